//! The application migrates its tables while Lethe runs: what the processes say, and what happens to an erasure meanwhile.

use lethe::receipts::seal::seal_all;
use serde_json::Value;

use super::database::{Application, MapFile, USER_A, USER_B};
use crate::support::service::{Service, answer};
use crate::support::world::{Log, PATIENCE};

const SQL: &str = "
    create table \"User\" (id text primary key, \"deletedAt\" timestamptz);
    create table \"Note\" (id serial primary key, \"userId\" text not null references \"User\", \"objectKey\" text);
    create index on \"Note\" (\"userId\");
    create index on \"Note\" (\"objectKey\");
    insert into \"User\" (id) values ('user_2aaaaaaaaaaaaaaaaaaaaaaaaaa'), ('user_2bbbbbbbbbbbbbbbbbbbbbbbbbb');
    insert into \"Note\" (\"userId\", \"objectKey\") select id, 'notes/' || id from \"User\";
";

const MAP: &str = "
version = 1
[bucket.main]
[user]
table = \"User\"
soft_delete = { at = \"deletedAt\" }
[table.Note]
on_erase.userId = \"delete\"
objects = [{ column = \"objectKey\", bucket = \"main\", within = \"notes/\" }]
";

async fn application() -> (Application, MapFile) {
    let (application, file) = Application::migrated(SQL, MAP).await;
    for user in [USER_A, USER_B] {
        application.world.s3.put(&format!("notes/{user}"));
    }
    (application, file)
}

async fn erase(service: &Service, message: &str, user: &str) {
    let (status, body) = answer(service.user_deleted(message, user)).await;
    assert_eq!(status, 204, "{body}");
}

async fn until_metric(service: &Service, line: &str) {
    let started = std::time::Instant::now();
    loop {
        let request = service.request(reqwest::Method::GET, "/metrics", "");
        let text = request.send().await.unwrap().text().await.unwrap();
        if text.lines().any(|one| one == line) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{line} is not in {text}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_reference_without_a_rule_makes_receipts_incomplete_until_the_map_speaks_of_it() {
    let (application, _file) = application().await;
    let world = &application.world;
    world
        .execute(
            "create table public.\"Invoice\" (id serial primary key, \"userId\" text references public.\"User\")",
        )
        .await;
    let log = Log::new();
    let _worker = world.logged(&["worker"], &[], &log);
    let service = Service::start(world).await;
    log.until("does not speak of everything").await;
    assert!(log.text().contains("Invoice.userId"), "{}", log.text());
    until_metric(&service, "lethe_map_incomplete 1").await;

    // Work goes on.
    erase(&service, "msg_1", USER_A).await;
    application.until_settled().await;
    world
        .expect_rows("\"Note\" where \"userId\" like 'user_2a%'", 0)
        .await;
    let of_user = format!("/admin/users/{USER_A}/erasure");
    let receipt = service.get(&of_user).await;
    assert_eq!(receipt["status"], "incomplete", "{receipt}");
    assert_eq!(receipt["sequence"], Value::Null, "{receipt}");
    seal_all(&world.pool, None).await.unwrap();
    world
        .expect_rows("lethe.receipts where sequence is not null", 0)
        .await;
    let listed = service.get("/admin/erasures?status=incomplete").await;
    assert_eq!(listed["items"][0]["userId"], USER_A, "{listed}");
    let complete = service.get("/admin/erasures?status=complete").await;
    assert_eq!(
        complete["items"].as_array().map(Vec::len),
        Some(0),
        "{complete}"
    );

    let mended = MapFile::new(&format!(
        "{MAP}[table.Invoice]\non_erase.userId = \"detach\"\n"
    ));
    let applied = world
        .run(&["map", "apply", "--map", mended.path()], &[])
        .await;
    assert!(applied.status.success());
    until_metric(&service, "lethe_map_incomplete 0").await;
    // What ended under the old map stays incomplete; what ends now is complete.
    assert_eq!(service.get(&of_user).await["status"], "incomplete");
    seal_all(&world.pool, None).await.unwrap();
    world
        .expect_rows("lethe.receipts where sequence is not null", 0)
        .await;
    erase(&service, "msg_2", USER_B).await;
    application.until_settled().await;
    let receipt = service.get(&format!("/admin/users/{USER_B}/erasure")).await;
    assert_eq!(receipt["status"], "complete", "{receipt}");
}

/// What breaks the map, and what mends it again.
const BREAKS: [(&str, &str, &str); 3] = [
    (
        "alter table \"Note\" rename column \"objectKey\" to key",
        "alter table \"Note\" rename column key to \"objectKey\"",
        "Note.objectKey",
    ),
    (
        "alter table \"Note\" rename to \"Notes\"",
        "alter table \"Notes\" rename to \"Note\"",
        "Note",
    ),
    (
        "create table public.\"Like\" (id serial primary key, \"noteId\" int references public.\"Note\" on delete cascade)",
        "drop table public.\"Like\"",
        "Like.noteId",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_breaks_the_map_stops_the_work_and_uses_up_no_attempt() {
    let (application, _file) = application().await;
    let world = &application.world;
    let service = Service::start(world).await;
    erase(&service, "msg_1", USER_A).await;
    for (breaks, mends, place) in BREAKS {
        world.execute(breaks).await;
        let log = Log::new();
        let mut worker = world.logged(&["worker"], &[], &log);
        log.until("no longer fits the erasure map").await;
        assert!(log.text().contains(place), "{}", log.text());
        assert!(!log.text().contains("made again"), "{}", log.text());
        world.execute("select pg_notify('cleanup_tasks', '')").await;
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        world
            .expect_rows(
                "lethe.cleanup_tasks where attempts > 0 or status <> 'pending'",
                0,
            )
            .await;
        worker.kill().await.unwrap();
        world.execute(mends).await;
    }
    let _worker = world.worker().await;
    application.until_settled().await;
    world.expect_rows("\"Note\"", 1).await;
    let receipt = service.get(&format!("/admin/users/{USER_A}/erasure")).await;
    assert_eq!(receipt["status"], "complete", "{receipt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_goes_while_objects_are_deleted_hands_the_task_back() {
    let (application, _file) = application().await;
    let world = &application.world;
    let service = Service::start(world).await;
    erase(&service, "msg_1", USER_A).await;
    world.s3.hold();
    let log = Log::new();
    let _worker = world.logged(&["worker"], &[("METRICS_ADDR", "127.0.0.1:0")], &log);
    while world.s3.contains(&format!("notes/{USER_A}")) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let (breaks, mends, _) = BREAKS[0];
    world.execute(breaks).await;
    world.s3.release();
    log.until("no longer fits the erasure map").await;
    world
        .until("exists (select from lethe.cleanup_tasks where status = 'pending' and attempts = 0)")
        .await;
    let text = log.text();
    let (_, address) = text.split_once("\"address\":\"").unwrap();
    let (address, _) = address.split_once('"').unwrap();
    let ready = reqwest::get(format!("http://{address}/health/ready"))
        .await
        .unwrap();
    assert_eq!(ready.status(), 503);
    let body = ready.text().await.unwrap();
    assert!(body.contains("no longer fits the erasure map"), "{body}");
    world.execute(mends).await;
    log.until("fits the erasure map again").await;
    application.until_settled().await;
    world.expect_rows("lethe.tasks where attempts > 1", 0).await;
    let receipt = service.get(&format!("/admin/users/{USER_A}/erasure")).await;
    assert_eq!(receipt["status"], "complete", "{receipt}");
}

/// PostgreSQL drops a function with the table whose row it takes.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_made_again_needs_the_map_again() {
    let (application, file) = application().await;
    let world = &application.world;
    for statement in [
        "create table public.\"NewNote\" (like \"Note\" including all)",
        "alter table \"NewNote\" add foreign key (\"userId\") references \"User\"",
        "insert into \"NewNote\" select * from \"Note\"",
        "drop table \"Note\" cascade",
        "alter table \"NewNote\" rename to \"Note\"",
    ] {
        world.execute(statement).await;
    }
    let log = Log::new();
    let mut worker = world.logged(&["worker"], &[], &log);
    log.until("the table was made again since the map was applied")
        .await;
    let given = [("ERASURE_MAP", file.path())];
    let applied = world.run(&["map", "apply"], &given).await;
    assert!(
        applied.status.success(),
        "{}",
        String::from_utf8_lossy(&applied.stderr)
    );
    // Within a few seconds, not at the next look of every half a minute.
    log.until("the database fits the erasure map again").await;
    let service = Service::start(world).await;
    erase(&service, "msg_1", USER_A).await;
    application.until_settled().await;
    world.expect_rows("\"Note\"", 1).await;
    worker.kill().await.unwrap();
}

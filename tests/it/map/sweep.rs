//! A map that grew: users who were erased under the earlier one are erased again.

use serde_json::{Value, json};

use super::database::{Application, MapFile, USER_A, USER_B};
use crate::support::service::{Service, answer};

const SQL: &str = "
    create table \"User\" (id text primary key, \"clerkId\" text not null unique, \"deletedAt\" timestamptz);
    create table \"Note\" (id serial primary key, \"userId\" text not null references \"User\");
    create table \"Event\" (id serial primary key, \"userId\" text, \"objectKey\" text);
    create index on \"Note\" (\"userId\");
    create index on \"Event\" (\"userId\");
    create index on \"Event\" (\"objectKey\");
    insert into \"User\" (id, \"clerkId\") values
        ('c1', 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa'), ('c2', 'user_2bbbbbbbbbbbbbbbbbbbbbbbbbb');
    insert into \"Note\" (\"userId\") select id from \"User\";
    insert into \"Event\" (\"userId\", \"objectKey\") select id, 'events/' || id || '/' || n from \"User\", generate_series(1, 3) n;
";

const MAP: &str = "
version = 1
[bucket.main]
[user]
table = \"User\"
clerk_id = \"clerkId\"
soft_delete = { at = \"deletedAt\" }
[table.Note]
on_erase.userId = \"delete\"
";

const BEFORE: &str = "
[ignore]
\"Event\" = \"counters, it was thought\"
";

const AFTER: &str = "
[table.Event]
on_erase.userId = { do = \"delete\", to = \"user.id\" }
objects = [{ column = \"objectKey\", bucket = \"main\", within = \"events/\" }]
";

#[tokio::test(flavor = "multi_thread")]
async fn a_map_that_grew_finds_and_erases_what_an_earlier_one_left() {
    let application = Application::new(SQL).await;
    let world = &application.world;
    for user in ["c1", "c2"] {
        for number in 1..=3 {
            world.s3.put(&format!("events/{user}/{number}"));
        }
    }
    let before = MapFile::new(&format!("{MAP}{BEFORE}"));
    let migrated = world
        .run(&["migrate"], &[("ERASURE_MAP", before.path())])
        .await;
    assert!(migrated.status.success(), "{migrated:?}");
    let service = Service::start(world).await;
    let worker = world.worker().await;
    let (status, body) = answer(service.user_deleted("msg_1", USER_A)).await;
    assert_eq!(status, 204, "{body}");
    application.until_settled().await;
    world.expect_rows("\"User\"", 1).await;
    world.expect_rows("\"Event\"", 6).await;

    let after = MapFile::new(&format!("{MAP}{AFTER}"));
    let apply = |more: &[&str]| {
        let arguments: Vec<String> = ["map", "apply", "--map", after.path(), "--sweep"]
            .iter()
            .chain(more)
            .map(|word| (*word).to_owned())
            .collect();
        async move {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let output = world.run(&arguments, &[]).await;
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        }
    };
    let report = apply(&[]).await;
    assert!(
        report.contains("of 1 erased users 1 have something left")
            && report.contains("3 rows of event to delete")
            && report.contains(USER_A)
            && report.contains("nothing was asked for"),
        "{report}"
    );
    world.expect_rows("lethe.cleanup_tasks", 0).await;
    world.expect_rows("\"Event\"", 6).await;

    // Who was erased before stays away, also if the second erasure is cancelled.
    worker.stop().await;
    let report = apply(&["--yes"]).await;
    assert!(report.contains("asked for 1 erasures"), "{report}");
    let cancelled = world
        .run(
            &["erasures", "cancel", USER_A, "--reason", "wrong map"],
            &[],
        )
        .await;
    assert!(cancelled.status.success(), "{cancelled:?}");
    world.expect_rows("lethe.user_tombstones", 1).await;
    world.expect_rows("lethe.cleanup_tasks", 0).await;

    apply(&["--yes"]).await;
    let worker = world.worker().await;
    application.until_settled().await;
    world
        .expect_rows("\"Event\" where \"userId\" = 'c1'", 0)
        .await;
    world
        .expect_rows("\"Event\" where \"userId\" = 'c2'", 3)
        .await;
    assert_eq!(
        world.s3.keys(),
        ["events/c2/1", "events/c2/2", "events/c2/3"]
    );
    let receipt = service.get(&format!("/admin/users/{USER_A}/erasure")).await;
    assert_eq!(
        (&receipt["status"], &receipt["rowsDeleted"]["event"]),
        (&Value::from("complete"), &json!(3)),
        "{receipt}"
    );
    let report = apply(&[]).await;
    assert!(report.contains("of 1 erased users 0 have"), "{report}");
    // A live user is none of its business.
    world
        .expect_rows(
            &format!("\"User\" where \"clerkId\" = '{USER_B}' and \"deletedAt\" is null"),
            1,
        )
        .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn yes_without_sweep_is_a_bad_flag() {
    let application = Application::new(SQL).await;
    let output = application.world.run(&["map", "apply", "--yes"], &[]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

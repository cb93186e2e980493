//! A map of one's own in the running program: applied, proved, erased through the API, deleted row by row, and restored.

use reqwest::Method;
use serde_json::{Value, json};

use super::database::{Application, MapFile, USER_A};
use crate::support::service::{ADMIN_TOKEN, Service, answer};

const SQL: &str = "
    create table \"User\" (id text primary key, \"clerkId\" text not null unique, name text, \"avatarUrl\" text,
        email text not null, \"createdAt\" timestamptz not null default now(), \"deletedAt\" timestamptz);
    create table \"Project\" (id uuid primary key default gen_random_uuid(), \"ownerId\" text not null references \"User\",
        \"deletedAt\" timestamptz);
    create table \"Asset\" (\"projectId\" uuid not null references \"Project\" on delete cascade, number int not null,
        \"uploaderId\" text references \"User\" on delete set null, keys text[] not null default '{}',
        \"deletedAt\" timestamptz, \"deletedBy\" text, primary key (\"projectId\", number));
    create index on \"Project\" (\"ownerId\");
    create index on \"Asset\" (\"uploaderId\");
    create index on \"Asset\" using gin (keys);
    insert into \"User\" (id, \"clerkId\", name, \"avatarUrl\", email) values
        ('c1', 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', 'A', 'https://cdn.acme.com/avatars/c1/a%20b.png?v=2', 'a@example.com'),
        ('c2', 'user_2bbbbbbbbbbbbbbbbbbbbbbbbbb', 'B', 'https://cdn.acme.com/avatars/c2/b.png', 'b@example.com');
    insert into \"Project\" (id, \"ownerId\") values
        ('11111111-1111-1111-1111-111111111111', 'c1'), ('22222222-2222-2222-2222-222222222222', 'c2');
    insert into \"Asset\" (\"projectId\", number, \"uploaderId\", keys) values
        ('11111111-1111-1111-1111-111111111111', 1, 'c1', '{assets/1,assets/shared}'),
        ('11111111-1111-1111-1111-111111111111', 2, 'c2', '{assets/2}'),
        ('22222222-2222-2222-2222-222222222222', 1, 'c1', '{assets/3,assets/shared}');
";

const MAP: &str = "
version = 1
[bucket.public]
name = \"acme-public\"
urls = [\"https://cdn.acme.com/\"]
[bucket.main]
[user]
table = \"User\"
clerk_id = \"clerkId\"
soft_delete = { at = \"deletedAt\" }
on_erase = { do = \"keep\", why = \"invoices point here\", set = { email = \"erased+{pk}@invalid\", clerkId = \"erased+{pk}\" }, clear = [\"name\"] }
objects = [{ column = \"avatarUrl\", bucket = \"public\", within = \"avatars/{user.id}/\", on_keep = \"erase\" }]
[table.Project]
soft_delete = { at = \"deletedAt\" }
on_erase.ownerId = \"delete\"
[table.Asset]
api = true
soft_delete = { at = \"deletedAt\", by = \"deletedBy\" }
on_erase = { projectId = { do = \"delete\", others = \"too\" }, uploaderId = \"detach\" }
objects = [{ column = \"keys\", bucket = \"main\", within = \"assets/\" }]
";

pub const PROJECT_A: &str = "11111111-1111-1111-1111-111111111111";
pub const PROJECT_B: &str = "22222222-2222-2222-2222-222222222222";

/// The application with its map applied by `lethe migrate`, and its objects.
pub async fn acme() -> (Application, MapFile) {
    let (application, file) = Application::migrated(SQL, MAP).await;
    for key in [
        "assets/1",
        "assets/2",
        "assets/3",
        "assets/shared",
        "avatars/c1/a b.png",
        "avatars/c2/b.png",
    ] {
        application.world.s3.put(key);
    }
    (application, file)
}

async fn clerk_reports(service: &Service) {
    let (status, body) = answer(service.user_deleted("msg_1", USER_A)).await;
    assert_eq!(status, 204, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_an_application_with_its_own_tables_is_erased() {
    let (application, file) = acme().await;
    let world = &application.world;
    world
        .expect_rows(
            "pg_class where relname in ('users', 'samples', 'collections', 'sample_images')",
            0,
        )
        .await;
    let again = world
        .run(&["migrate", "--check"], &[("ERASURE_MAP", file.path())])
        .await;
    assert!(again.status.success());
    let service = Service::start_with(world, &[("ERASURE_MAP", file.path())]).await;
    let user = service.get(&format!("/admin/users/{USER_A}")).await;
    assert_eq!(
        (&user["known"], &user["counts"]["rows"]["asset"]),
        (&Value::from(true), &Value::from(2)),
        "{user}"
    );

    clerk_reports(&service).await;
    let worker = world.worker().await;
    application.until_settled().await;

    world
        .expect_rows("\"Project\" where \"ownerId\" = 'c1'", 0)
        .await;
    world
        .expect_rows(&format!("\"Asset\" where \"projectId\" = '{PROJECT_A}'"), 0)
        .await;
    world
        .expect_rows(
            "\"Asset\" where \"uploaderId\" is null and keys = '{assets/3,assets/shared}'",
            1,
        )
        .await;
    world
        .expect_rows(
            "\"User\" where id = 'c1' and \"clerkId\" = 'erased+c1' and email = 'erased+c1@invalid' and name is null
                 and \"avatarUrl\" is null and \"deletedAt\" is not null",
            1,
        )
        .await;
    assert_eq!(
        world.s3.keys(),
        ["assets/3", "assets/shared", "avatars/c2/b.png"]
    );
    let receipt = service.get(&format!("/admin/users/{USER_A}/erasure")).await;
    assert_eq!(receipt["status"], "complete", "{receipt}");
    assert_eq!(receipt["rowsDeleted"]["asset"], 2, "{receipt}");
    assert_eq!(receipt["rowsDeleted"]["project"], 1, "{receipt}");
    assert_eq!(
        receipt["kept"][0]["why"], "invoices point here",
        "{receipt}"
    );
    assert_eq!(receipt["objectsKept"], 1, "{receipt}");
    // The application cannot let the user in again.
    let back =
        format!("insert into \"User\" (id, \"clerkId\", email) values ('c9', '{USER_A}', 'x')");
    let refused = sqlx::query(sqlx::AssertSqlSafe(back))
        .execute(&world.pool)
        .await;
    assert!(refused.unwrap_err().to_string().contains("was deleted"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_with_a_composite_key_is_deleted_and_restored() {
    let (application, file) = acme().await;
    let world = &application.world;
    let given = [
        ("ERASURE_MAP", file.path()),
        ("CLEANUP_GRACE_PERIOD_MS", "3600000"),
    ];
    let service = Service::start_with(world, &given).await;
    let path = format!("/entities/asset/{PROJECT_A}~1");
    let live = format!(
        "\"Asset\" where \"projectId\" = '{PROJECT_A}' and number = 1 and \"deletedAt\" is null"
    );
    for (path, status) in [
        ("/entities/asset/nothing".to_owned(), 404),
        (format!("/entities/asset/{PROJECT_A}~7"), 404),
        (format!("/entities/project/{PROJECT_A}"), 404),
        ("/entities/nothing/1".to_owned(), 404),
    ] {
        let (answered, body) = service.admin(Method::DELETE, &path).await;
        assert_eq!(answered.as_u16(), status, "{path}: {body}");
    }
    let (status, task) = service.admin(Method::DELETE, &path).await;
    assert_eq!(status, 202, "{task}");
    assert_eq!(
        (&task["kind"], &task["entityType"]),
        (&Value::from("entity-delete"), &Value::from("asset"))
    );
    world.expect_rows(&live, 0).await;
    let id = format!("{PROJECT_A}~1");
    assert_eq!(task["entityId"], id, "{task}");
    let deleted = service.get("/admin/deleted?entityType=asset").await;
    assert_eq!(deleted["items"][0]["id"], id, "{deleted}");
    assert_eq!(deleted["items"][0]["userId"], USER_A, "{deleted}");
    assert_eq!(deleted["items"][0]["taskId"], task["id"], "{deleted}");
    // A filter takes the id as the answers have it, and as the database has it.
    let in_database = format!("%5B%22{PROJECT_A}%22%2C%20%221%22%5D");
    for (form, found) in [(&id, 1), (&in_database, 1), (&format!("{PROJECT_A}~2"), 0)] {
        for list in ["deleted", "cleanup-tasks", "audit"] {
            let page = service.get(&format!("/admin/{list}?entityId={form}")).await;
            let items = page["items"].as_array().unwrap();
            assert_eq!(items.len(), found, "{list} {form}: {page}");
            for item in items {
                let shown = item.get("entityId").or(item.get("id")).unwrap();
                assert_eq!(*shown, id, "{list}: {page}");
            }
        }
        let body = json!({"reason": "x", "entityId": form.replace("%5B%22", "[\"").replace("%22%2C%20%22", "\", \"").replace("%22%5D", "\"]"), "dryRun": true});
        world
            .execute("update lethe.cleanup_tasks set status = 'failed', error_class = 'transient', last_error = 'x'")
            .await;
        let retry = service.request(Method::POST, "/admin/cleanup-tasks/retry", ADMIN_TOKEN);
        let (status, counted) = answer(retry.json(&body)).await;
        assert_eq!(
            (status.as_u16(), &counted["retried"]),
            (202, &json!(found)),
            "{counted}"
        );
        world
            .execute("update lethe.cleanup_tasks set status = 'pending', error_class = null, last_error = null")
            .await;
    }
    let listed = world
        .run(&["deleted", "--entity-id", &id, "--json"], &given)
        .await;
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["items"][0]["id"], id, "{listed}");
    let shown = service.get(&format!("{path}/deletion")).await;
    assert_eq!(shown["status"], "pending", "{shown}");

    let (status, body) = service
        .admin(Method::POST, &format!("{path}/restore"))
        .await;
    assert_eq!((status.as_u16(), &body["id"]), (200, &json!(id)), "{body}");
    world.expect_rows(&live, 1).await;
    let shown = service.get(&format!("{path}/deletion")).await;
    assert_eq!(shown["status"], "cancelled", "{shown}");

    // Without grace, by SQL.
    world
        .execute(&format!(
            "select lethe.delete('asset', '[\"{PROJECT_A}\", \"1\"]', 'job:test')"
        ))
        .await;
    let worker = world.worker().await;
    application.until_settled().await;
    world
        .expect_rows(&format!("\"Asset\" where \"projectId\" = '{PROJECT_A}'"), 1)
        .await;
    assert!(!world.s3.contains("assets/1") && world.s3.contains("assets/shared"));
    let done = service
        .get(&format!("/admin/audit?event=task-completed&entityId={id}"))
        .await;
    assert_eq!(
        done["items"][0]["rowsRemoved"],
        json!({"asset": [id]}),
        "{done}"
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_the_map_never_erases_is_refused_by_every_way_in() {
    let application = Application::new(SQL).await;
    let never = format!("[user]\nnever = [\"{USER_A}\"]\n");
    let file = MapFile::new(&MAP.replacen("[user]\n", &never, 1));
    let world = &application.world;
    let given = [("ERASURE_MAP", file.path())];
    assert!(world.run(&["migrate"], &given).await.status.success());
    let service = Service::start_with(world, &given).await;
    // 204, so that it is not delivered again.
    clerk_reports(&service).await;
    let path = format!("/admin/users/{USER_A}");
    let (status, body) = service.admin(Method::DELETE, &path).await;
    assert_eq!(
        (status.as_u16(), &body["errors"][0]["field"]),
        (400, &json!("userId")),
        "{body}"
    );
    let erased = world.run(&["erase", USER_A, "--yes"], &[]).await;
    let said = String::from_utf8_lossy(&erased.stderr).into_owned();
    assert!(!erased.status.success() && said.contains("never"), "{said}");
    let sql = format!("select lethe.delete_user('{USER_A}', 'job:test')");
    let refused = sqlx::query(sqlx::AssertSqlSafe(sql))
        .execute(&world.pool)
        .await;
    assert!(refused.unwrap_err().to_string().contains("never erased"));
    world.expect_rows("lethe.user_tombstones", 0).await;
    world
        .expect_rows("\"User\" where \"deletedAt\" is null", 2)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_erasure_leaves_every_row_as_it_was() {
    let (application, file) = acme().await;
    let world = &application.world;
    // A row that the application had soft-deleted before stays so.
    world
        .execute(&format!("update \"Asset\" set \"deletedAt\" = '2026-01-01' where \"projectId\" = '{PROJECT_A}' and number = 2"))
        .await;
    let service = Service::start_with(
        world,
        &[
            ("ERASURE_MAP", file.path()),
            ("USER_ERASURE_DELAY_MS", "3600000"),
        ],
    )
    .await;
    let rows = "select string_agg(x, E'\\n') from (select u::text from \"User\" u union all select p::text from \"Project\" p
                union all select a::text from \"Asset\" a order by 1) y (x)";
    let before: String = world.one(rows).await;
    clerk_reports(&service).await;
    assert_ne!(world.one::<String>(rows).await, before);
    // The table of users has no column that says who deleted them. The tombstone does.
    for (by, found) in [("clerk:user.deleted", 1), ("somebody", 0)] {
        let path = format!("/admin/deleted?entityType=user&deletedBy={by}");
        let deleted = service.get(&path).await;
        assert_eq!(
            deleted["items"].as_array().unwrap().len(),
            found,
            "{deleted}"
        );
    }
    let deleted = service.get("/admin/deleted?entityType=user").await;
    assert_eq!(
        deleted["items"][0]["deletedBy"], "clerk:user.deleted",
        "{deleted}"
    );
    let path = format!("/admin/users/{USER_A}/erasure/cancel");
    let cancel = service.request(Method::POST, &path, ADMIN_TOKEN);
    let (status, body) = answer(cancel.json(&json!({"reason": "by mistake"}))).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(world.one::<String>(rows).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_outside_waits_for_a_person_and_a_retry_reads_it_anew() {
    let (application, file) = acme().await;
    let world = &application.world;
    world
        .execute(&format!("update \"Asset\" set keys = '{{backups/db,assets/1}}' where \"projectId\" = '{PROJECT_A}' and number = 1"))
        .await;
    world.s3.put("backups/db");
    let service = Service::start_with(world, &[("ERASURE_MAP", file.path())]).await;
    clerk_reports(&service).await;
    let worker = world.worker().await;
    application.until_settled().await;
    world
        .expect_rows(
            "lethe.cleanup_tasks where is_dead and error_class = 'blocked'",
            1,
        )
        .await;
    // Everything else went, and the row with its ancestors waits.
    world
        .expect_rows(&format!("\"Asset\" where \"projectId\" = '{PROJECT_A}'"), 1)
        .await;
    world
        .expect_rows("\"Project\" where \"ownerId\" = 'c1'", 1)
        .await;
    assert!(world.s3.contains("backups/db"));
    let receipt = service.get(&format!("/admin/users/{USER_A}/erasure")).await;
    assert_eq!(receipt["status"], "incomplete", "{receipt}");
    assert!(
        receipt["parked"][0]["lastError"]
            .as_str()
            .unwrap()
            .contains("backups/db"),
        "{receipt}"
    );

    world
        .execute(&format!("update \"Asset\" set keys = '{{assets/1}}' where \"projectId\" = '{PROJECT_A}' and number = 1"))
        .await;
    let retry = service.request(Method::POST, "/admin/cleanup-tasks/retry", ADMIN_TOKEN);
    let (status, body) = answer(retry.json(&json!({"reason": "corrected"}))).await;
    assert_eq!(status, 202, "{body}");
    world
        .until("not exists (select from lethe.cleanup_tasks)")
        .await;
    world
        .expect_rows("\"Project\" where \"ownerId\" = 'c1'", 0)
        .await;
    assert!(world.s3.contains("backups/db"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_user_is_erased_in_parts() {
    let (application, _file) = acme().await;
    let world = &application.world;
    world
        .execute(&format!(
            "insert into \"Asset\" (\"projectId\", number, \"uploaderId\", keys)
             select '{PROJECT_A}', n, 'c2', array['assets/x' || n, 'assets/y' || n] from generate_series(10, 12009) n"
        ))
        .await;
    world.delete_user(USER_A).await;
    let worker = world.worker().await;
    application.until_settled().await;
    world.expect_rows("lethe.cleanup_tasks", 0).await;
    world
        .expect_rows(&format!("\"Asset\" where \"projectId\" = '{PROJECT_A}'"), 0)
        .await;
    world
        .expect_rows(&format!("\"Asset\" where \"projectId\" = '{PROJECT_B}'"), 1)
        .await;
    let deleted: Value = world.one("select rows_deleted from lethe.receipts").await;
    assert_eq!(deleted["asset"], 12_002, "{deleted}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_is_proved_without_leaving_a_trace_and_another_one_is_refused() {
    let (application, file) = acme().await;
    let world = &application.world;
    let map = ["--map", file.path()];
    let run = async |arguments: &[&str]| {
        let output = world.run(&[arguments, &map].concat(), &[]).await;
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.code().unwrap(),
            String::from_utf8(text).unwrap(),
        )
    };
    let (code, text) = run(&["map", "prove", USER_A]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("Nothing was left."), "{text}");
    world
        .expect_rows("\"Project\" where \"ownerId\" = 'c1'", 1)
        .await;
    world.expect_rows("lethe.user_tombstones", 0).await;
    let (code, text) = run(&["map", "prove"]).await;
    assert_eq!(code, 0, "{text}");
    let (code, text) = run(&["map", "apply"]).await;
    assert!(code == 0 && text.contains("applied already"), "{text}");
    // A trigger that keeps a row is found before it matters.
    world
        .execute(
            "create function keep() returns trigger language plpgsql as 'begin return null; end'",
        )
        .await;
    world
        .execute(
            "create trigger keep before delete on \"Asset\" for each row execute function keep()",
        )
        .await;
    let (code, text) = run(&["map", "apply"]).await;
    assert!(code == 3 && text.contains("keep"), "{text}");

    let other = MapFile::new(&format!("{MAP}\n# another\n"));
    let log = crate::support::world::Log::new();
    let _serve = world.logged(&["worker"], &[("ERASURE_MAP", other.path())], &log);
    log.until("run `lethe map apply`").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_another_form_are_those_of_users_where_the_map_says_so() {
    let (application, file) = Application::migrated(
        &SQL.replace("user_2", "usr_2"),
        &MAP.replacen("[user]\n", "[user]\nids = \"^usr_\"\n", 1),
    )
    .await;
    let world = &application.world;
    let given = [("ERASURE_MAP", file.path())];
    let service = Service::start_with(world, &given).await;
    let user = USER_A.replace("user_2", "usr_2");
    let worker = world.worker().await;

    // An id of the usual form is none here: counted, not erased, and refused in a path.
    let (status, body) = answer(service.user_deleted("msg_1", USER_A)).await;
    assert_eq!(status, 204, "{body}");
    world.expect_rows("lethe.user_tombstones", 0).await;
    for path in ["", "/plan", "/erasure"] {
        let path = format!("/admin/users/{USER_A}{path}");
        let (status, body) = service.admin(Method::GET, &path).await;
        assert_eq!(
            (status.as_u16(), &body["errors"][0]["field"]),
            (400, &json!("userId")),
            "{path}: {body}"
        );
    }

    let (status, body) = answer(service.user_deleted("msg_2", &user)).await;
    assert_eq!(status, 204, "{body}");
    application.until_settled().await;
    let receipt = service.get(&format!("/admin/users/{user}/erasure")).await;
    assert_eq!(receipt["status"], "complete", "{receipt}");
    let told = world.run(&["receipt", &user], &[]).await;
    assert!(told.status.success(), "{told:?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_map_of_ones_own_sql_refuses_what_is_no_clerk_id() {
    let world = crate::support::world::World::new().await;
    let refused = sqlx::query("select lethe.delete_user('bad', 'job:test')")
        .execute(&world.pool)
        .await;
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("does not match ^user_"), "{error}");
    world.expect_rows("lethe.user_tombstones", 0).await;
}

/// Two tables that hang on each other, and a third one that hangs on the user alone.
const CIRCLE: &str = "
    create table users (id text primary key, deleted_at timestamptz);
    create table a (id serial primary key, user_id text not null references users, b_id int);
    create table b (id serial primary key, a_id int not null references a);
    alter table a add foreign key (b_id) references b;
    create table notes (id serial primary key, user_id text not null references users);
    insert into users (id) values ('user_2aaaaaaaaaaaaaaaaaaaaaaaaaa');
    insert into a (user_id) select id from users;
    insert into b (a_id) select id from a;
    update a set b_id = (select id from b);
    insert into notes (user_id) select id from users, generate_series(1, 3);
";
const MAP_OF_CIRCLE: &str = "
version = 1
[bucket.main]
[user]
table = \"users\"
soft_delete = { at = \"deleted_at\" }
[table.a]
on_erase = { user_id = \"delete\", b_id = { do = \"delete\", others = \"too\" } }
[table.b]
on_erase.a_id = \"delete\"
[table.notes]
on_erase.user_id = \"delete\"
";

#[tokio::test(flavor = "multi_thread")]
async fn rows_outside_of_a_circle_are_found_once() {
    let (application, _file) = Application::migrated(CIRCLE, MAP_OF_CIRCLE).await;
    let world = &application.world;
    let sql = format!("select lethe.delete_user('{USER_A}', 'job:test')");
    let asked = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&world.pool);
    let asked = tokio::time::timeout(std::time::Duration::from_secs(20), asked).await;
    asked.expect("the request ends").unwrap();
    let worker = world.worker().await;
    application.until_settled().await;
    for table in ["users", "a", "b", "notes"] {
        world.expect_rows(table, 0).await;
    }
    worker.stop().await;
}

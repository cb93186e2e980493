//! `lethe check` and `lethe migrate`: what they find wrong, and how they say it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use lethe::schema::{self, needs};
use lethe::vocabulary::ProcessRole;
use reqwest::{Method, StatusCode};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::support::service::Service;
use crate::support::world::{Log, PATIENCE, World};

/// A role of one test, without any right that was not granted to it.
pub struct Role {
    pub name: String,
    pub url: String,
}

fn built_in_tables() -> Vec<String> {
    let tables = needs::BUILT_IN_TABLES.iter();
    tables.map(|need| need.table.to_owned()).collect()
}

/// The rights on tables that processes of both kinds need, as SQL.
fn listed_rights() -> Vec<String> {
    let application = needs::application_rights(ProcessRole::ALL, &built_in_tables());
    let all = needs::own_rights(ProcessRole::ALL)
        .into_iter()
        .chain(application);
    all.map(|right| right.to_string()).collect()
}

/// A role that can log in and has no right.
pub async fn role_without_rights(world: &World) -> Role {
    let name = format!("role_{}", Uuid::new_v4().simple());
    world
        .execute(&format!("create role {name} login password 'secret'"))
        .await;
    let (_, place) = world.url.split_once('@').unwrap();
    let url = format!("postgres://{name}:secret@{place}");
    Role { name, url }
}

/// A role with exactly the rights of the list, for processes of both kinds.
pub async fn role_with_listed_rights(world: &World) -> Role {
    let role = role_without_rights(world).await;
    let name = &role.name;
    let mut statements = vec![format!("grant usage on schema lethe, lethe_map to {name}")];
    for right in listed_rights() {
        statements.push(format!("grant {right} to {name}"));
    }
    for function in needs::functions_of(ProcessRole::ALL) {
        statements.push(format!("grant execute on function {function} to {name}"));
    }
    for statement in statements {
        world.execute(&statement).await;
    }
    role
}

/// A role that is one of sql/roles.sql, after that file was run.
pub async fn role_of_the_file(world: &World, group: &str) -> Role {
    let mut connection = PgConnection::connect(&world.url).await.unwrap();
    // The roles belong to the cluster, and tests run at the same time.
    sqlx::raw_sql("select pg_advisory_lock(2)")
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::raw_sql(include_str!("../../sql/roles.sql"))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let role = role_without_rights(world).await;
    world
        .execute(&format!("grant {group} to {}", role.name))
        .await;
    role
}

pub async fn check(world: &World, more: &[(&str, &str)]) -> (bool, String) {
    let output = world.run(&["check"], more).await;
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

/// The cells of the table's row of this name. A row begins with a mark, and its cells go on in lines without one.
pub fn row(table: &str, name: &str) -> Vec<String> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for line in table.lines() {
        let cells: Vec<&str> = line.trim_matches('│').split('┆').map(str::trim).collect();
        match rows.last_mut() {
            Some(row) if cells.len() == row.len() && cells[0].is_empty() => {
                for (cell, more) in row.iter_mut().zip(cells) {
                    *cell = format!("{cell} {more}").trim().to_owned();
                }
            }
            _ => rows.push(cells.into_iter().map(str::to_owned).collect()),
        }
    }
    let found = rows
        .into_iter()
        .find(|row| row.get(1).is_some_and(|cell| cell == name));
    found.unwrap_or_else(|| panic!("no row {name:?} in:\n{table}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_needs_names_what_the_migrations_create() {
    // PostgreSQL asks for the right to execute these when their trigger is created.
    const OF_TRIGGERS: [&str; 9] = [
        "lethe.notice_audit()",
        "lethe.notice_held()",
        "lethe.notice_receipts()",
        "lethe.refuse_audit_change()",
        "lethe.refuse_map_change()",
        "lethe.refuse_receipt_change()",
        "lethe.refuse_receipt_key_change()",
        "lethe.refuse_tombstoned_user()",
        "lethe.wake_sleepers()",
    ];
    let world = World::new().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "select relnamespace::regnamespace || '.' || relname from pg_class
         where relnamespace::regnamespace::text in ('public', 'lethe') and relkind in ('r', 'p', 'v', 'm')
             and relname !~ '^finished_tasks_[0-9]{8}$'",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    let functions: Vec<String> = sqlx::query_scalar(
        "select pronamespace::regnamespace || '.' || proname || '('
             || regexp_replace(replace(oidvectortypes(proargtypes), ', ', ','), '(lethe\\.)?cleanup_tasks',
                               'lethe.cleanup_tasks') || ')'
         from pg_proc where pronamespace = 'lethe'::regnamespace",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    let listed_tables = needs::TABLES.iter().chain(needs::BUILT_IN_TABLES);
    let listed_tables = listed_tables.map(|need| need.table);
    assert_eq!(
        tables.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        listed_tables.chain([needs::RECORD]).collect()
    );
    // What the gate takes as Lethe's own is what the migrations create, and no view.
    let own: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class
         where relnamespace = 'lethe'::regnamespace and relkind in ('r', 'p') and not relispartition order by relname::text collate \"C\"",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    assert_eq!(own, lethe::map::gate::LETHES_TABLES);
    let newest = schema::MIGRATOR.iter().map(|migration| migration.version);
    assert_eq!(newest.max(), Some(lethe::map::gate::NEWEST_MIGRATION));
    let listed_functions = needs::FUNCTIONS.iter().map(|(function, _)| *function);
    assert_eq!(
        functions
            .iter()
            .map(String::as_str)
            .collect::<BTreeSet<_>>(),
        listed_functions.chain(OF_TRIGGERS).collect()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_with_exactly_the_listed_rights_runs_serve_and_worker() {
    let world = World::new().await;
    let role = role_with_listed_rights(&world).await;
    let as_role = [
        ("DATABASE_URL", role.url.as_str()),
        ("RECONCILE_INTERVAL_MS", "300"),
    ];
    world.user("user_a").await;
    world.user("user_b").await;
    world.sample("user_a", &["a/1", "a/2"]).await;
    let sample = world.sample("user_b", &["b/1"]).await;
    let restored = world.sample("user_b", &["b/2"]).await;
    // What reconciliation finds: it was soft-deleted without a task, an hour ago.
    let forgotten = world.sample("user_b", &["b/3"]).await;
    world
        .execute(&format!(
            "update samples set deleted_at = now() - interval '1 day' where id = '{forgotten}'"
        ))
        .await;
    // What is pruned.
    world
        .execute(
            "insert into lethe.webhook_events (svix_id, body_sha256, received_at)
             values ('old', '', now() - interval '1 year')",
        )
        .await;
    let log = Log::new();
    let mut environment = as_role.to_vec();
    environment.push(("CLEANUP_GRACE_PERIOD_MS", "600000"));
    let service = Service::start_with(&world, &environment).await;
    let accepted = service.user_deleted("m1", "user_a").send().await.unwrap();
    assert_eq!(accepted.status(), StatusCode::NO_CONTENT);
    let (status, body) = service
        .admin(Method::DELETE, &format!("/samples/{restored}"))
        .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    let (status, body) = service
        .admin(Method::POST, &format!("/samples/{restored}/restore"))
        .await;
    assert!(status.is_success(), "{status} {body}");
    sqlx::query("select lethe.delete_sample($1, 'test')")
        .bind(sample)
        .execute(&world.pool)
        .await
        .unwrap();
    let _worker = world.logged(&["worker"], &as_role, &log);
    world
        .until(
            "(select count(*) = 0 from lethe.tasks where status not in ('completed', 'cancelled'))
             and not exists (select from samples where deleted_at is not null)
             and not exists (select from lethe.webhook_events where svix_id = 'old')",
        )
        .await;
    let receipt = service.get("/admin/users/user_a/erasure").await;
    assert_eq!(receipt["status"], "complete", "{receipt}");
    for path in [
        "/admin/cleanup-tasks",
        "/admin/deleted",
        "/admin/audit",
        "/admin/stats",
    ] {
        service.get(path).await;
    }
    let ready = service.request(Method::GET, "/health/ready", "none");
    assert_eq!(ready.send().await.unwrap().status(), StatusCode::OK);
    let text = log.text();
    assert!(!text.contains("permission denied"), "{text}");
    let (is_fine, text) = check(&world, &as_role).await;
    assert!(is_fine, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_missing_right_is_found() {
    let world = World::new().await;
    let role = role_with_listed_rights(&world).await;
    let mut connection = PgConnection::connect(&role.url).await.unwrap();
    let on_tables = listed_rights().into_iter();
    let on_tables = on_tables.map(|right| (right.clone(), right));
    let on_schemas = ["usage on schema lethe", "usage on schema lethe_map"].into_iter();
    let on_schemas = on_schemas.map(|right| (right.to_owned(), right.to_owned()));
    let on_functions = needs::functions_of(ProcessRole::ALL);
    let on_functions = on_functions.iter().map(|function| {
        (
            format!("execute on function {function}"),
            format!("execute on {function}"),
        )
    });
    for (right, missing) in on_tables.chain(on_schemas).chain(on_functions) {
        let name = &role.name;
        world.execute(&format!("revoke {right} from {name}")).await;
        let found = schema::missing_rights(&mut connection, ProcessRole::ALL, None)
            .await
            .unwrap();
        assert_eq!(found, [missing]);
        world.execute(&format!("grant {right} to {name}")).await;
    }
    assert!(
        schema::missing_rights(&mut connection, ProcessRole::ALL, None)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_the_missing_right_and_the_webhook_is_sent_again() {
    let world = World::new().await;
    let role = role_with_listed_rights(&world).await;
    let as_role = [("DATABASE_URL", role.url.as_str())];
    let log = Log::new();
    let service = Service::start_logged(&world, &as_role, &log).await;
    world
        .execute(&format!(
            "revoke insert on lethe.webhook_events from {}",
            role.name
        ))
        .await;
    let environment = [&as_role[..], &clerk()].concat();
    let (is_fine, text) = check(&world, &environment).await;
    assert!(!is_fine, "{text}");
    let rights = row(&text, "rights");
    assert!(rights[0] == "WRONG", "{text}");
    assert!(
        rights[2].contains("insert on lethe.webhook_events"),
        "{text}"
    );
    let event = service.user_deleted("m1", "user_a").send().await.unwrap();
    assert_eq!(event.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(event.text().await.unwrap().contains("lethe check"));
    // No load balancer sends it further webhooks, and the name of the table is for the log only.
    let url = format!("{}/health/ready", service.url);
    let begun = Instant::now();
    let said = loop {
        let ready = reqwest::get(&url).await.unwrap();
        if ready.status() == StatusCode::SERVICE_UNAVAILABLE {
            break ready.text().await.unwrap();
        }
        assert!(begun.elapsed() < PATIENCE, "it stays ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(
        said.contains("lacks a right") && !said.contains("webhook_events"),
        "{said}"
    );
    log.until("insert on lethe.webhook_events").await;
    let grant = format!("grant insert on lethe.webhook_events to {}", role.name);
    world.execute(&grant).await;
    service_is_ready(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_when_row_level_security_hides_rows() {
    let world = World::new().await;
    let role = role_with_listed_rights(&world).await;
    let as_role = [("DATABASE_URL", role.url.as_str())];
    let (is_fine, text) = check(&world, &as_role).await;
    assert!(is_fine, "{text}");
    world
        .execute("alter table sample_images enable row level security")
        .await;
    let (is_fine, text) = check(&world, &as_role).await;
    assert!(!is_fine, "{text}");
    let row = row(&text, "row level security");
    assert!(row[2].contains("sample_images"), "{text}");
    assert!(row[3].contains("bypassrls"), "{text}");
    // A role that is exempt sees everything, and so does an owner who is not forced.
    let mut connection = PgConnection::connect(&role.url).await.unwrap();
    let name = &role.name;
    for (statement, hidden) in [
        (format!("alter role {name} bypassrls"), 0),
        (format!("alter role {name} nobypassrls"), 1),
        (format!("alter table sample_images owner to {name}"), 0),
        (
            "alter table sample_images force row level security".to_owned(),
            1,
        ),
    ] {
        world.execute(&statement).await;
        let found = schema::tables_with_hidden_rows(&mut connection)
            .await
            .unwrap();
        assert_eq!(found.len(), hidden, "{statement}: {found:?}");
    }
    // The role owns a table of the cluster that other tests share; it goes with this database.
    world
        .execute("alter table sample_images owner to current_user")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_notes_a_prefix_that_is_not_the_name_of_a_folder() {
    let world = World::new().await;
    let (_, text) = check(&world, &[("S3_KEY_PREFIXES", "samples/,abc")]).await;
    assert!(text.contains("abc-old/1"), "{text}");
    let (_, text) = check(&world, &[("S3_KEY_PREFIXES", "samples/,abc/")]).await;
    assert!(
        text.contains("only keys that begin with samples/, abc/"),
        "{text}"
    );
    assert!(!text.contains("S3_KEY_PREFIXES"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_no_permission_for_a_store_that_is_not_reached() {
    let world = World::new().await;
    let (is_fine, text) = check(&world, &[("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")]).await;
    assert!(!is_fine, "{text}");
    assert!(!text.contains("grant s3:"), "{text}");
    assert!(text.contains("AWS_ENDPOINT_URL_S3"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_changes_nothing_when_the_applications_tables_do_not_fit() {
    let world = World::unmigrated().await;
    world
        .execute("create table public.users (id int primary key, deleted_at timestamptz, deleted_by text)")
        .await;
    world
        .execute("create table public.sample_images (id uuid primary key, sample_id uuid not null, object_key text, deleted_at timestamptz, deleted_by text)")
        .await;
    let migrated = world.run(&["migrate"], &[]).await;
    assert_eq!(migrated.status.code(), Some(1));
    let said = String::from_utf8(migrated.stderr).unwrap();
    for problem in [
        "table public.samples is missing",
        "column id of public.users is integer, not text",
        "column object_key of public.sample_images may be null",
        "lethe map init",
    ] {
        assert_eq!(said.matches(problem).count(), 1, "{problem}: {said}");
    }
    world
        .expect_rows("pg_class where relname = 'cleanup_tasks'", 0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_uses_the_applications_tables_when_they_fit() {
    let world = World::unmigrated().await;
    for sql in [
        "create table public.users (id text primary key, email text, plan text, deleted_at timestamptz, deleted_by text)",
        "create table public.collections (id uuid primary key default gen_random_uuid(), user_id text not null references users,
             name text, deleted_at timestamptz, deleted_by text)",
        "create table public.samples (id uuid primary key default gen_random_uuid(), user_id text not null references users,
             collection_id uuid references collections, name text, created_at timestamptz not null default now(),
             deleted_at timestamptz, deleted_by text)",
        "create table public.sample_images (id uuid primary key default gen_random_uuid(),
             sample_id uuid not null references samples, object_key text not null,
             deleted_at timestamptz, deleted_by text)",
        "insert into public.users (id, plan) values ('user_old', 'gold')",
        "create index samples_user_id_idx on public.samples (user_id)",
    ] {
        world.execute(sql).await;
    }
    let migrated = world.run(&["migrate"], &[]).await;
    assert!(
        migrated.status.success(),
        "{}",
        String::from_utf8_lossy(&migrated.stderr)
    );
    // The application's index of the usual name did not take the place of Lethe's.
    world
        .expect_rows(
            "pg_indexes where tablename = 'samples' and indexdef like '%(user_id, id)'",
            1,
        )
        .await;
    world.sample("user_old", &["old/1"]).await;
    let task = world.delete_user("user_old").await;
    let worker = world.worker().await;
    world.until_status(task, "completed").await;
    world.expect_rows("public.users", 0).await;
    assert!(world.s3.keys().is_empty());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_refuses_a_database_of_version_0_1() {
    let world = World::unmigrated().await;
    world
        .execute("create table public.cleanup_tasks (id bigint primary key)")
        .await;
    let own_map = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/prisma/lethe.toml");
    for environment in [&[][..], &[("ERASURE_MAP", own_map)]] {
        let migrated = world.run(&["migrate"], environment).await;
        assert_eq!(migrated.status.code(), Some(1));
        let said = String::from_utf8(migrated.stderr).unwrap();
        assert!(said.contains("Lethe 0.1"), "{said}");
    }
    world
        .expect_rows("pg_namespace where nspname = 'lethe'", 0)
        .await;
}

/// The whole story, with a role for each process and one for the application.
#[tokio::test(flavor = "multi_thread")]
async fn each_process_does_its_work_with_the_role_that_the_file_gives_it() {
    let world = World::new().await;
    let serve = role_of_the_file(&world, "lethe_serve").await;
    let worker = role_of_the_file(&world, "lethe_worker").await;
    let application = role_of_the_file(&world, "lethe_application").await;
    world
        .execute(&format!(
            "grant select, insert, update on users, collections, samples, sample_images to {}",
            application.name
        ))
        .await;
    for user in ["user_web", "user_api", "user_sql", "user_held", "user_back"] {
        world.user(user).await;
        world.samples(user, &format!("{user}/"), 3).await;
    }
    let restored = world.sample("user_back", &["back/1"]).await;
    let forgotten = world.sample("user_back", &["back/2"]).await;
    world
        .execute(&format!(
            "update samples set deleted_at = now() - interval '1 day' where id = '{forgotten}'"
        ))
        .await;
    let as_serve = [
        ("DATABASE_URL", serve.url.as_str()),
        ("ERASURE_LIMIT_PER_HOUR", "3"),
        ("CLEANUP_GRACE_PERIOD_MS", "600000"),
    ];
    let service = Service::start_with(&world, &as_serve).await;
    service_is_ready(&service).await;
    let as_worker = [
        ("DATABASE_URL", worker.url.as_str()),
        ("RECONCILE_INTERVAL_MS", "300"),
    ];
    let log = Log::new();
    let _worker = world.logged(&["worker"], &as_worker, &log);

    let accepted = service.user_deleted("m1", "user_web").send().await.unwrap();
    assert_eq!(accepted.status(), StatusCode::NO_CONTENT);
    let (status, body) = service.admin(Method::DELETE, "/admin/users/user_api").await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    let mut app = PgConnection::connect(&application.url).await.unwrap();
    for call in [
        "select lethe.delete_user('user_sql', 'job:cleanup')",
        "select lethe.delete_user('user_held', 'user:user_held')",
    ] {
        sqlx::query(call).execute(&mut app).await.unwrap();
    }
    let (status, body) = service
        .admin(Method::DELETE, &format!("/samples/{restored}"))
        .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    let (status, body) = service
        .admin(Method::POST, &format!("/samples/{restored}/restore"))
        .await;
    assert!(status.is_success(), "{status} {body}");
    let (status, body) = service
        .admin(Method::POST, "/admin/users/user_held/erasure/cancel")
        .await;
    assert_eq!(
        (status, &body["status"]),
        (StatusCode::OK, &"cancelled".into()),
        "{body}"
    );
    world
        .until(&format!(
            "not exists (select from lethe.cleanup_tasks) and not exists (select from samples where id = '{forgotten}')
             and (select count(*) = 2 from users)"
        ))
        .await;
    for path in [
        "/admin/cleanup-tasks",
        "/admin/deleted",
        "/admin/audit",
        "/admin/stats",
        "/admin/settings",
    ] {
        service.get(path).await;
    }
    let receipt = service.get("/admin/users/user_sql/erasure").await;
    assert_eq!(receipt["status"], "complete", "{receipt}");
    world
        .expect_rows(
            &format!(
                "lethe.cleanup_audit where actor = 'job:cleanup' and db_role = '{}'",
                application.name
            ),
            1,
        )
        .await;
    assert!(!log.text().contains("permission denied"), "{}", log.text());

    // Each role has what it needs, and no more.
    for (role, process, settings) in [
        (&serve, "serve", &[][..]),
        (&worker, "worker", &[("S3_BUCKET", "lethe")][..]),
    ] {
        let environment = [&[("DATABASE_URL", role.url.as_str())], settings, &clerk()].concat();
        let output = world
            .run(&["check", "--role", process, "--json"], &environment)
            .await;
        let found: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {output:?}"));
        assert_eq!(found["ok"], true, "{process}: {found:#}");
        let named = |name: &str| {
            let findings = found["findings"].as_array().unwrap();
            findings
                .iter()
                .find(|one| one["name"] == name)
                .cloned()
                .unwrap()
        };
        assert_eq!(named("rights")["result"], "ok", "{process}: {found:#}");
        assert_eq!(
            named("surplus rights")["result"],
            "ok",
            "{process}: {found:#}"
        );
    }
}

/// What `serve` needs beside the database.
fn clerk() -> [(&'static str, &'static str); 2] {
    const KEY: &str = include_str!("fixtures/session-key.pub.pem");
    [
        (
            "CLERK_WEBHOOK_SIGNING_SECRET",
            crate::support::service::WEBHOOK_SECRET,
        ),
        ("CLERK_JWT_KEY", KEY),
    ]
}

pub async fn service_is_ready(service: &Service) {
    loop {
        let ready = service.request(Method::GET, "/health/ready", "none");
        if ready.send().await.unwrap().status() == StatusCode::OK {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_asks_in_its_own_name_only_and_reads_and_writes_nothing_of_lethes() {
    let world = World::new().await;
    let application = role_of_the_file(&world, "lethe_application").await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    let mut app = PgConnection::connect(&application.url).await.unwrap();
    for actor in [
        "admin:alice",
        "cli:root",
        "clerk:user.deleted",
        "reconcile",
        "reconcile:clerk",
        " admin:alice",
    ] {
        for call in [
            format!("select lethe.delete_user('user_a', '{actor}')"),
            format!("select lethe.delete_sample('{sample}', '{actor}')"),
            format!("select lethe.delete_image((select gen_random_uuid()), '{actor}')"),
        ] {
            let refused = sqlx::query(sqlx::AssertSqlSafe(call.clone()))
                .execute(&mut app)
                .await;
            let error = refused.expect_err(&call).to_string();
            assert!(
                error.contains("does not belong to Lethe"),
                "{call}: {error}"
            );
        }
    }
    for statement in [
        "insert into lethe.cleanup_audit (event, actor) values ('user-deletion-requested', 'admin:alice')",
        "select * from lethe.cleanup_audit",
        "delete from lethe.user_tombstones",
        "update lethe.settings set erasure_limit_per_hour = 0",
        "update lethe.cleanup_tasks set held_reason = null",
        "select lethe.resume('x', 'x', 1)",
        "select lethe.cancel_erasure('user_a', 'x', 'x')",
        "select lethe.configure('serve', 0, null, 'x')",
        "select lethe.hold_reason()",
    ] {
        let error = sqlx::query(statement)
            .execute(&mut app)
            .await
            .expect_err(statement);
        assert!(
            error.to_string().contains("permission denied"),
            "{statement}: {error}"
        );
    }
    world.expect_rows("lethe.cleanup_audit", 0).await;
    sqlx::query("select lethe.delete_user('user_a', 'user:user_a')")
        .execute(&mut app)
        .await
        .unwrap();
    let reader = role_of_the_file(&world, "lethe_reader").await;
    let mut reader = PgConnection::connect(&reader.url).await.unwrap();
    let seen: i64 = sqlx::query_scalar("select count(*) from lethe.audit")
        .fetch_one(&mut reader)
        .await
        .unwrap();
    assert_eq!(seen, 1);
    let error = sqlx::query("select * from public.users")
        .execute(&mut reader)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("permission denied"), "{error}");
}

/// The accounts of serve and worker write entries of the audit trail themselves, and could write false ones. That something
/// was erased is no such entry: it is a finished task and a receipt, which only functions of the owner write.
#[tokio::test(flavor = "multi_thread")]
async fn no_account_of_a_process_can_forge_that_somebody_was_erased() {
    let world = World::new().await;
    world.user("user_a").await;
    world.sample("user_a", &["a/1"]).await;
    let service = Service::start(&world).await;
    world.delete_user("user_a").await;
    for group in ["lethe_serve", "lethe_worker"] {
        let role = role_of_the_file(&world, group).await;
        let mut forger = PgConnection::connect(&role.url).await.unwrap();
        let entry = |event: &str, user: &str| {
            format!(
                "insert into lethe.cleanup_audit (event, actor, kind, entity_type, entity_id, user_id, object_keys)
                 values ('{event}', 'admin:alice', 'user-delete', 'user', '{user}', '{user}', '{{a/1}}')"
            )
        };
        for statement in [
            &entry("user-erased", "user_a"),
            &entry("task-completed", "user_a"),
            "insert into lethe.finished_tasks select * from lethe.finished_tasks",
            "insert into lethe.receipts default values",
            "update lethe.receipts set user_id = 'user_a'",
            "update lethe.cleanup_audit set actor = 'admin:bob'",
            "delete from lethe.cleanup_audit",
            "alter table lethe.cleanup_audit disable trigger all",
            "set session_replication_role = replica",
        ] {
            let refused = sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()))
                .execute(&mut forger)
                .await;
            assert!(refused.is_err(), "{group}: {statement}");
        }
        sqlx::query(sqlx::AssertSqlSafe(entry(
            "user-deletion-requested",
            "user_b",
        )))
        .execute(&mut forger)
        .await
        .unwrap();
    }
    let receipt = service.get("/admin/users/user_a/erasure").await;
    assert_eq!(receipt["status"], "in-progress", "{receipt}");
    assert_eq!(receipt["rowsDeleted"]["users"], 0, "{receipt}");
    let (status, receipt) = service
        .admin(Method::GET, "/admin/users/user_b/erasure")
        .await;
    assert_eq!(status, 404, "{receipt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_rights_that_a_role_does_not_need() {
    let world = World::new().await;
    let role = role_of_the_file(&world, "lethe_worker").await;
    world
        .execute(&format!("grant insert on users to {}", role.name))
        .await;
    let (is_fine, text) = check(&world, &[("DATABASE_URL", role.url.as_str())]).await;
    assert!(is_fine || text.contains("missing"), "{text}");
    let output = world
        .run(
            &["check", "--role", "worker"],
            &[("DATABASE_URL", role.url.as_str())],
        )
        .await;
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let surplus = row(&text, "surplus rights");
    assert!(surplus[2].contains("insert on public.users"), "{text}");
    // The owner of everything is told so.
    let (_, text) = check(&world, &[]).await;
    assert!(
        row(&text, "surplus rights")[2].contains("superuser"),
        "{text}"
    );
}

//! `lethe check` and `lethe migrate`: what they find wrong, and how they say it.

use std::collections::BTreeSet;

use lethe::schema::{self, needs};
use reqwest::{Method, StatusCode};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::support::service::Service;
use crate::support::world::{Log, World};

/// A role of one test, without any right that was not granted to it.
pub struct Role {
    pub name: String,
    pub url: String,
}

/// A role with exactly the rights of the list.
pub async fn role_with_listed_rights(world: &World) -> Role {
    let name = format!("role_{}", Uuid::new_v4().simple());
    let mut statements = vec![
        format!("create role {name} login password 'secret'"),
        format!("grant usage on schema lethe to {name}"),
        "revoke execute on all functions in schema lethe from public".to_owned(),
        format!("grant select on {} to {name}", needs::RECORD),
    ];
    for (table, rights) in needs::TABLES {
        statements.push(format!("grant {} on {table} to {name}", rights.join(", ")));
    }
    for function in needs::FUNCTIONS {
        statements.push(format!("grant execute on function {function} to {name}"));
    }
    for statement in statements {
        world.execute(&statement).await;
    }
    let (_, place) = world.url.split_once('@').unwrap();
    let url = format!("postgres://{name}:secret@{place}");
    Role { name, url }
}

async fn check(world: &World, more: &[(&str, &str)]) -> (bool, String) {
    let output = world.run(&["check"], more).await;
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

/// The cells of the table's row of this name. A row begins with a mark, and its cells go on in lines without one.
fn row(table: &str, name: &str) -> Vec<String> {
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
    const OF_TRIGGERS: [&str; 3] = [
        "lethe.refuse_audit_change()",
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
    let listed_tables = needs::TABLES.iter().map(|(table, _)| *table);
    assert_eq!(
        tables.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        listed_tables.chain([needs::RECORD]).collect()
    );
    let listed_functions = needs::FUNCTIONS.iter().copied();
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
    let (tables, rights) = needs::table_rights();
    let on_tables = tables.iter().zip(&rights).map(|(table, right)| {
        let missing = format!("{right} on {table}");
        (missing.clone(), missing)
    });
    let on_functions = needs::FUNCTIONS.iter().map(|function| {
        (
            format!("execute on function {function}"),
            format!("execute on {function}"),
        )
    });
    for (right, missing) in on_tables.chain(on_functions) {
        let name = &role.name;
        world.execute(&format!("revoke {right} from {name}")).await;
        let found = schema::missing_rights(&mut connection).await.unwrap();
        assert_eq!(found, [missing]);
        world.execute(&format!("grant {right} to {name}")).await;
    }
    assert!(
        schema::missing_rights(&mut connection)
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
    let service = Service::start_with(&world, &as_role).await;
    world
        .execute(&format!(
            "revoke insert on lethe.webhook_events from {}",
            role.name
        ))
        .await;
    let (is_fine, text) = check(&world, &as_role).await;
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
async fn check_names_no_permission_for_a_store_that_is_not_reached() {
    let world = World::new().await;
    let (is_fine, text) = check(&world, &[("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")]).await;
    assert!(!is_fine, "{text}");
    assert!(!text.contains("grant"), "{text}");
    assert!(text.contains("AWS_ENDPOINT_URL_S3"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_changes_nothing_when_the_applications_tables_do_not_fit() {
    let world = World::unmigrated().await;
    world
        .execute("create table public.users (id int primary key, deleted_at timestamptz, deleted_by text)")
        .await;
    let migrated = world.run(&["migrate"], &[]).await;
    assert_eq!(migrated.status.code(), Some(1));
    let said = String::from_utf8(migrated.stderr).unwrap();
    for problem in [
        "table public.samples is missing",
        "column id of public.users is integer, not text",
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
    ] {
        world.execute(sql).await;
    }
    let migrated = world.run(&["migrate"], &[]).await;
    assert!(
        migrated.status.success(),
        "{}",
        String::from_utf8_lossy(&migrated.stderr)
    );
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
    let migrated = world.run(&["migrate"], &[]).await;
    assert_eq!(migrated.status.code(), Some(1));
    let said = String::from_utf8(migrated.stderr).unwrap();
    assert!(said.contains("Lethe 0.1"), "{said}");
    world
        .expect_rows("pg_namespace where nspname = 'lethe'", 0)
        .await;
}

//! Rows that a role cannot see, tables of the same names elsewhere, and the documented rights.

use std::time::Duration;

use sqlx::AssertSqlSafe;

use super::application::{Application, DONE_LIMIT, Role, TABLES};

/// Erases one user and one sample of another, as `role`, on tables with row level security.
async fn with_row_level_security(role: Role, force: bool) -> (Application, i64, i64) {
    let mut app = Application::new().await;
    app.user("user_a").await;
    app.user("user_b").await;
    app.sample("user_a", &["user_a/1", "user_a/2"]).await;
    // A live image of another tenant names the key too.
    app.sample("user_b", &["shared"]).await;
    let sample = app.sample("user_b", &["shared", "user_b/own"]).await;
    app.row_level_security(force).await;
    app.run_as(role).await;
    let (root, task) = (
        app.delete_user("user_a").await,
        app.delete_sample(sample).await,
    );
    (app, root, task)
}

/// Until both are completed, or a person is told that rows are hidden.
async fn until_done_or_told(app: &Application, root: i64, task: i64) {
    let told = |user: &str, task: i64| {
        format!(
            "exists (select from lethe.tasks where id = {task} and status = 'completed'
                     or user_id = '{user}' and last_error like '%row-level security%')"
        )
    };
    let both = format!("{} and {}", told("user_a", root), told("user_b", task));
    app.within(DONE_LIMIT, &both).await;
}

/// What is completed has left no row, and the object of a live image is there.
async fn expect_no_false_end(app: &Application, root: i64, task: i64) -> bool {
    let (root, task) = (app.status_of(root).await, app.status_of(task).await);
    if root == "completed" {
        app.expect_nothing_left("user_a").await;
    }
    if task == "completed" {
        app.expect_rows("samples where user_id = 'user_b'", 1).await;
    }
    assert!(
        app.s3.contains("shared"),
        "a live image of another tenant needs it"
    );
    app.expect_bystander().await;
    root == "completed" && task == "completed"
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_sees_every_row_and_a_forced_owner_is_told() {
    let (app, root, task) = with_row_level_security(Role::Owner, false).await;
    let worker = app.worker().await;
    until_done_or_told(&app, root, task).await;
    assert!(
        expect_no_false_end(&app, root, task).await,
        "an owner is not bound by policies"
    );
    worker.stop().await;

    // The functions run with the owner's rights: they refuse rather than see no row.
    let mut app = Application::new().await;
    app.user("user_a").await;
    app.sample("user_a", &["user_a/1"]).await;
    app.row_level_security(true).await;
    app.run_as(Role::Owner).await;
    let asked = sqlx::query("select lethe.delete_user('user_a', 'test')")
        .execute(&app.pool)
        .await;
    let refused = asked.expect_err("a forced owner sees no row");
    assert!(
        refused.to_string().contains("row-level security"),
        "{refused}"
    );
    app.expect_rows("lethe.user_tombstones", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_of_the_application_find_its_own_tables() {
    let app = Application::new().await;
    app.execute("create table public.history (what text, id text)")
        .await;
    // As applications write them: no name is qualified.
    app.execute(
        "create function public.remember() returns trigger language plpgsql as $$ begin
             insert into history select tg_op || ' ' || tg_table_name, old.id::text from (select count(*) from comments) c;
             return null; end $$",
    )
    .await;
    for table in TABLES {
        app.execute(&format!(
            "create trigger remember after update or delete on {table} for each row execute function public.remember()"
        ))
        .await;
    }
    app.user("user_a").await;
    app.sample("user_a", &["user_a/1"]).await;
    let sample = app.sample("user_keep", &["user_keep/1"]).await;
    let image = app
        .image(app.sample("user_keep", &[]).await, "user_keep/2")
        .await;
    let (root, task) = (
        app.delete_user("user_a").await,
        app.delete_sample(sample).await,
    );
    let of_image: i64 = app
        .one(&format!("select lethe.delete_image('{image}', 'test')"))
        .await;
    let worker = app.worker().await;
    app.within(
        DONE_LIMIT,
        &format!(
            "(select count(*) = 3 from lethe.tasks where id in ({root}, {task}, {of_image}) and status = 'completed')"
        ),
    )
    .await;
    app.expect_nothing_left("user_a").await;
    for table in TABLES {
        let deleted = app
            .count(&format!("history where what = 'DELETE {table}'"))
            .await;
        assert!(deleted > 0, "the trigger of {table} wrote nothing");
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_bypasses_row_security_erases_everything() {
    for force in [false, true] {
        let (app, root, task) = with_row_level_security(Role::BypassesRowSecurity, force).await;
        let worker = app.worker().await;
        until_done_or_told(&app, root, task).await;
        assert!(
            expect_no_false_end(&app, root, task).await,
            "force: {force}"
        );
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_it_completes_nothing_that_it_cannot_see() {
    for force in [false, true] {
        let (app, root, task) = with_row_level_security(Role::Documented, force).await;
        let worker = app.worker().await;
        until_done_or_told(&app, root, task).await;
        expect_no_false_end(&app, root, task).await;
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_lets_rows_be_seen_and_not_deleted_ends_no_erasure() {
    let mut app = Application::new().await;
    app.user("user_a").await;
    app.sample("user_a", &["user_a/1"]).await;
    for table in ["samples", "sample_images"] {
        for sql in [
            format!("create policy seen on {table} for select using (true)"),
            format!("create policy changed on {table} for update using (true)"),
            format!("create policy kept on {table} for delete using (false)"),
            format!("alter table {table} enable row level security"),
        ] {
            app.execute(&sql).await;
        }
    }
    app.run_as(Role::Documented).await;
    let root = app.delete_user("user_a").await;
    let worker = app.worker().await;
    app.within(
        DONE_LIMIT,
        &format!(
            "(select status = 'completed' from lethe.tasks where id = {root})
             or exists (select from lethe.tasks where user_id = 'user_a'
                   and (last_error like '%row-level security%' or error_class = 'blocked'))"
        ),
    )
    .await;
    if app.status_of(root).await == "completed" {
        app.expect_nothing_left("user_a").await;
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_the_same_names_first_in_the_search_path_stay_empty() {
    let mut app = Application::new().await;
    let role = app.run_as(Role::Documented).await;
    app.shadow_tables(&role).await;
    app.user("user_a").await;
    app.samples("user_a", "user_a/", 20).await;
    let sample = app.sample("user_keep", &["user_keep/1"]).await;
    let (root, task) = (
        app.delete_user("user_a").await,
        app.delete_sample(sample).await,
    );
    let worker = app.worker().await;
    app.within(
        DONE_LIMIT,
        &format!("(select count(*) = 2 from lethe.tasks where id in ({root}, {task}) and status = 'completed')"),
    )
    .await;
    app.expect_nothing_left("user_a").await;
    for table in [
        "users",
        "cleanup_tasks",
        "cleanup_audit",
        "cleanup_workers",
        "user_tombstones",
    ] {
        app.expect_rows(&format!("shadow.{table}"), 0).await;
    }
    app.expect_bystander().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_tables_with_lethes_names_change_nothing() {
    let app = Application::new().await;
    app.user("user_a").await;
    app.user("user_b").await;
    let sample = app.sample("user_b", &["user_b/1"]).await;
    let kept = app.sample("user_b", &["user_b/2"]).await;
    let image = app.image(kept, "user_b/3").await;
    app.sample("user_a", &["user_a/1"]).await;
    let mut session = app.session().await;
    for table in [
        "users",
        "collections",
        "samples",
        "sample_images",
        "user_tombstones",
        "cleanup_tasks",
        "cleanup_audit",
        "cleanup_workers",
        "webhook_events",
        "maps",
        "receipts",
        "settings",
        "tasks",
    ] {
        sqlx::query(AssertSqlSafe(format!(
            "create temporary table {table} (id text)"
        )))
        .execute(&mut session)
        .await
        .unwrap();
    }
    sqlx::raw_sql(
        "create function pg_temp.lock_user(text, boolean) returns void language sql as 'select'",
    )
    .execute(&mut session)
    .await
    .unwrap();
    let mut tasks = Vec::new();
    for call in [
        "select lethe.delete_user('user_a', 'test')".to_owned(),
        format!("select lethe.delete_sample('{sample}', 'test')"),
        format!("select lethe.delete_image('{image}', 'test')"),
    ] {
        let task: i64 = sqlx::query_scalar(AssertSqlSafe(call))
            .fetch_one(&mut session)
            .await
            .unwrap();
        tasks.push(task);
    }
    let worker = app.worker().await;
    app.within(
        DONE_LIMIT,
        &format!(
            "(select count(*) = 3 from lethe.tasks where id in ({}, {}, {}) and status = 'completed')",
            tasks[0], tasks[1], tasks[2]
        ),
    )
    .await;
    app.expect_nothing_left("user_a").await;
    assert_eq!(app.s3.keys(), ["keep/1", "user_b/2"]);
    let refused = sqlx::query("insert into public.users (id) values ('user_a')")
        .execute(&mut session)
        .await;
    assert!(refused.is_err(), "the tombstone holds in this session too");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_is_never_completed_while_a_superuser_sees_a_row() {
    let mut app = Application::new().await;
    app.user("user_a").await;
    app.sample("user_a", &["user_a/1"]).await;
    // Somebody else hides the user's row alone: nothing but the row itself says that it is there.
    app.execute("create policy none on users using (false)")
        .await;
    app.execute("alter table users enable row level security")
        .await;
    app.run_as(Role::Documented).await;
    let root = app.delete_user("user_a").await;
    let worker = app.worker().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    if app.status_of(root).await == "completed" {
        app.expect_nothing_left("user_a").await;
    } else {
        app.within(
            DONE_LIMIT,
            "exists (select from lethe.tasks where user_id = 'user_a' and last_error like '%row-level security%')",
        )
        .await;
    }
    worker.stop().await;
}

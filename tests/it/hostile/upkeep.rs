//! What runs beside the erasures: pruning, rescue, the audit, and reconciliation's safety limit.

use std::time::Duration;

use lethe::reconcile::PassContext;
use lethe::reconcile::database::{self, DatabasePass, DatabaseReport};
use lethe::reconcile::safety_limit::SafetyLimit;
use tokio_util::sync::CancellationToken;

use super::application::{Application, DONE_LIMIT};

/// Old webhook ids must be gone within this.
const PRUNE_LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn pruning_of_webhook_ids_keeps_up() {
    let app = Application::new().await;
    app.execute(
        "insert into lethe.webhook_events (svix_id, body_sha256, received_at)
         select 'msg_' || n, ''::bytea, now() - interval '1 year' from generate_series(1, 50000) n
         union all select 'msg_new', ''::bytea, now()",
    )
    .await;
    let worker = app.worker().await;
    app.within(
        PRUNE_LIMIT,
        "(select count(*) = 1 from lethe.webhook_events)",
    )
    .await;
    app.unrelated_erasures_are_done().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rescue_does_not_wait_for_the_pruning() {
    let app = Application::new().await;
    app.user("user_a").await;
    let sample = app.sample("user_a", &["user_a/1"]).await;
    let task = app.delete_sample(sample).await;
    app.execute(
        "insert into lethe.webhook_events (svix_id, body_sha256, received_at)
         select 'msg_' || n, '', now() - interval '1 year' from generate_series(1, 20000) n",
    )
    .await;
    // Each batch of the pruning takes its time.
    app.execute(
        "create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(5); return null; end $$",
    )
    .await;
    app.execute("create trigger slow after delete on lethe.webhook_events for each statement execute function slow()")
        .await;
    app.execute("insert into lethe.cleanup_workers (id, expires_at) values ('lost', now() - interval '1 minute')")
        .await;
    app.execute(&format!(
        "update lethe.cleanup_tasks set status = 'running', attempts = 1, lease_token = 1, lease_owner = 'lost' where id = {task}"
    ))
    .await;
    let worker = app.worker().await;
    app.within(
        Duration::from_secs(12),
        &format!("(select status = 'completed' from lethe.tasks where id = {task})"),
    )
    .await;
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_owner_has_no_row_is_rescued() {
    let app = Application::new().await;
    app.user("user_a").await;
    let sample = app.sample("user_a", &["user_a/1"]).await;
    let task = app.delete_sample(sample).await;
    // As after a restore of the tasks without the workers.
    app.execute(&format!(
        "update lethe.cleanup_tasks set status = 'running', attempts = 1, lease_token = 1, lease_owner = 'nobody' where id = {task}"
    ))
    .await;
    let worker = app.worker().await;
    app.within(
        DONE_LIMIT,
        &format!("(select status = 'completed' from lethe.tasks where id = {task})"),
    )
    .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_that_is_held_for_long_writes_few_audit_rows() {
    let app = Application::new().await;
    app.user("user_a").await;
    let sample = app.sample("user_a", &["user_a/1"]).await;
    let task = app.delete_sample(sample).await;
    let held = app
        .hold(&format!(
            "select from samples where id = '{sample}' for update"
        ))
        .await;
    let worker = app.worker().await;
    app.until(&format!(
        "(select lease_token > 0 from lethe.tasks where id = {task})"
    ))
    .await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    let rows = app
        .count(&format!("lethe.cleanup_audit where task_id = {task}"))
        .await;
    assert!(rows <= 10, "{rows} audit rows in 8 s");
    held.release().await;
    app.within(
        DONE_LIMIT,
        &format!("(select status = 'completed' from lethe.tasks where id = {task})"),
    )
    .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_for_long_does_not_fill_the_audit_with_the_same_line() {
    let app = Application::new().await;
    app.user("user_a").await;
    let sample = app.sample("user_a", &["user_a/1"]).await;
    app.s3.fail_key("user_a/1", "InternalError", None);
    let task = app.delete_sample(sample).await;
    let worker = app.worker().await;
    app.until(&format!(
        "(select attempts >= 25 from lethe.tasks where id = {task})"
    ))
    .await;
    let rows = app
        .count(&format!("lethe.cleanup_audit where task_id = {task}"))
        .await;
    assert!(rows <= 15, "{rows} audit rows of 25 equal failures");
    app.s3.behave();
    worker.stop().await;
}

impl Application {
    /// One pass of reconciliation with a limit in percent of the users.
    async fn reconcile(&self, max_user_share: u32) -> DatabaseReport {
        let stop = CancellationToken::new();
        let context = PassContext {
            pool: &self.pool,
            lease: None,
            stop: &stop,
        };
        let pass = DatabasePass {
            limit: SafetyLimit { max_user_share },
            grace_period: Duration::ZERO,
        };
        database::run(context, pass).await.unwrap()
    }

    async fn old_users(&self, count: u32) {
        self.execute(&format!(
            "insert into users (id, created_at)
             select 'user_' || n, now() - interval '1 hour' from generate_series(1, {count}) n"
        ))
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_who_lose_samples_or_images_count_over_a_day_too() {
    for table in ["samples", "sample_images"] {
        let app = Application::new().await;
        app.old_users(400).await;
        app.execute("insert into samples (user_id) select id from users where id <> 'user_keep'")
            .await;
        app.execute(
            "insert into sample_images (sample_id, object_key) select id, user_id || '/1' from samples where name is null",
        )
        .await;
        // A faulty job of the application marks ten users' rows before each pass.
        let mut stopped = false;
        for pass in 0..8 {
            let owners = format!(
                "(select 'user_' || n from generate_series({pass} * 10 + 1, {pass} * 10 + 10) n)"
            );
            let filter = match table {
                "samples" => format!("user_id in {owners}"),
                _ => format!("sample_id in (select id from samples where user_id in {owners})"),
            };
            app.execute(&format!(
                "update {table} set deleted_at = now() - interval '1 minute', deleted_by = 'app' where {filter}"
            ))
            .await;
            stopped = app.reconcile(5).await.stopped.is_some();
        }
        assert!(stopped, "{table}: nothing stopped the job");
        let users: i64 = app
            .one("select count(distinct user_id) from lethe.cleanup_audit where event like '%-deletion-requested'")
            .await;
        assert!(
            users <= 20,
            "{table}: {users} of 400 users lost data; the limit is 5 %"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_owners_than_are_remembered_are_too_many() {
    let app = Application::new().await;
    app.old_users(120_000).await;
    app.execute(
        "insert into samples (user_id, deleted_at) select id, now() - interval '1 minute' from users
         where id <> 'user_keep' and length(id) > 9",
    )
    .await;
    let owners = app.count("samples where deleted_at is not null").await;
    assert!(owners > 108_000, "{owners}");
    let report = app.reconcile(90).await;
    assert!(
        report.stopped.is_some(),
        "{owners} of 120,001 users would lose data, which is more than 90 %: {:?}",
        report.enqueued
    );
    app.expect_rows("lethe.cleanup_tasks", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_beyond_the_first_100000_count_too() {
    let app = Application::new().await;
    app.old_users(20_000).await;
    // A script that goes from user to user.
    app.execute(
        "with s as (insert into samples (user_id) select 'user_' || n from generate_series(1, 1400) n returning id, user_id)
         insert into sample_images (sample_id, object_key, deleted_at)
         select s.id, s.user_id || '/' || n, now() - interval '1 hour' + right('0' || regexp_replace(s.user_id, '\\D', '', 'g'), 5)::int * interval '1 second'
         from s, generate_series(1, 100) n",
    )
    .await;
    let report = app.reconcile(5).await;
    assert!(
        report.stopped.is_some(),
        "1,400 of 20,001 users would lose images, which is more than 5 %: {:?}",
        report.enqueued
    );
    app.expect_rows("lethe.cleanup_tasks", 0).await;
}

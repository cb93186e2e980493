//! Each kind of failure has an end that a person sees: what is too slow or held fails by itself and is tried again,
//! what is refused ends dead with the reason, and what the application changed meanwhile is seen.

use std::time::{Duration, Instant};

use lethe::vocabulary::WorkerProblem;

use super::application::{Application, DONE_LIMIT, Mischief, Role};

/// More entries than this for one task that makes no progress are a flood.
const FEW_AUDIT_ROWS: i64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_takes_too_long_by_itself_fails_its_task_with_table_and_reason() {
    let app = Application::new().await;
    app.user("user_a").await;
    let sample = app.sample("user_a", &["user_a/stuck"]).await;
    app.mischief(
        "sample_images",
        Mischief::Sleep(60.0),
        "old.object_key = 'user_a/stuck'",
    )
    .await;
    let task = app.delete_sample(sample).await;
    let worker = app.worker().await;
    app.within(
        DONE_LIMIT,
        &format!(
            "(select error_class = 'transient' and attempts > 0 and last_error like '%sample_images%'
                 and last_error ~* 'time-?out|too long|canceling'
              from lethe.tasks where id = {task} and status in ('failed', 'running'))"
        ),
    )
    .await;
    app.no_more_mischief("sample_images").await;
    app.within(
        DONE_LIMIT,
        &format!("(select status = 'completed' from lethe.tasks where id = {task})"),
    )
    .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_key_that_refuses_is_named_by_each_kind_of_task() {
    let app = Application::new().await;
    for user in ["user_a", "user_b", "user_c", "user_d"] {
        app.user(user).await;
    }
    let commented = app.sample("user_a", &["user_a/1"]).await;
    let liked = app.sample("user_b", &["user_b/1"]).await;
    for sql in [
        format!("insert into comments values ('mine', '{commented}')"),
        format!("insert into likes select id from sample_images where sample_id = '{liked}'"),
        "insert into boards select id from collections where user_id = 'user_c'".to_owned(),
        "insert into logins values ('user_d')".to_owned(),
    ] {
        app.execute(&sql).await;
    }
    let sample = app.delete_sample(commented).await;
    for user in ["user_b", "user_c", "user_d"] {
        app.delete_user(user).await;
    }
    let worker = app.worker().await;
    for (user, constraint) in [
        ("user_a", "comments_sample_id_fkey"),
        ("user_b", "likes_image_id_fkey"),
        ("user_c", "boards_collection_id_fkey"),
        ("user_d", "logins_user_id_fkey"),
    ] {
        app.within(
            DONE_LIMIT,
            &format!(
                "exists (select from lethe.tasks where user_id = '{user}' and status = 'dead' and error_class = 'blocked'
                     and last_error like '%{constraint}%')"
            ),
        )
        .await;
        app.expect_rows(&format!("users where id = '{user}'"), 1)
            .await;
    }
    app.unrelated_erasures_are_done().await;
    // The application mends it, and a person retries.
    for table in ["comments", "likes", "boards", "logins"] {
        app.execute(&format!("delete from {table}")).await;
    }
    let retried = app
        .run(&["tasks", "retry", "--all-dead", "--reason", "mended"], &[])
        .await;
    assert!(retried.status.success(), "{retried:?}");
    app.within(
        DONE_LIMIT,
        &format!("(select status = 'completed' from lethe.tasks where id = {sample})"),
    )
    .await;
    app.within(
        DONE_LIMIT,
        "not exists (select from users where id in ('user_b', 'user_c', 'user_d'))",
    )
    .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_no_delete_removes_ends_dead_with_few_audit_rows() {
    for table in ["sample_images", "samples"] {
        let app = Application::new().await;
        app.user("user_a").await;
        app.user("user_b").await;
        let sample = app.sample("user_a", &["user_a/1"]).await;
        app.sample("user_b", &["user_b/1"]).await;
        app.mischief(table, Mischief::ReturnNull, "true").await;
        let task = app.delete_sample(sample).await;
        app.delete_user("user_b").await;
        let worker = app.worker().await;
        for user in ["user_a", "user_b"] {
            app.within(
                DONE_LIMIT,
                &format!(
                    "exists (select from lethe.tasks where user_id = '{user}' and status = 'dead' and error_class = 'blocked'
                         and last_error ~ '\\y{table}\\y')"
                ),
            )
            .await;
        }
        for user in ["user_a", "user_b"] {
            let rows = app
                .count(&format!("lethe.cleanup_audit where user_id = '{user}'"))
                .await;
            assert!(
                rows <= FEW_AUDIT_ROWS,
                "{table}: {rows} audit rows of {user}"
            );
        }
        app.expect_rows(
            &format!("lethe.tasks where id = {task} and status = 'completed'"),
            0,
        )
        .await;
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_or_user_that_no_delete_removes_ends_dead() {
    for table in ["collections", "users"] {
        let app = Application::new().await;
        app.user("user_a").await;
        app.mischief(table, Mischief::ReturnNull, "true").await;
        app.delete_user("user_a").await;
        let worker = app.worker().await;
        app.within(
            DONE_LIMIT,
            &format!(
                "exists (select from lethe.tasks where user_id = 'user_a' and kind = 'user-delete' and status = 'dead'
                     and error_class = 'blocked' and last_error ~ '\\y{table}\\y')"
            ),
        )
        .await;
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_collections_than_a_step_takes_that_no_delete_removes_end_dead() {
    let app = Application::new().await;
    app.user("user_a").await;
    app.execute("insert into collections (user_id, name) select 'user_a', 'c' from generate_series(1, 6000)")
        .await;
    app.mischief("collections", Mischief::ReturnNull, "true")
        .await;
    app.delete_user("user_a").await;
    let worker = app.worker().await;
    app.within(
        DONE_LIMIT,
        "exists (select from lethe.tasks where user_id = 'user_a' and kind = 'user-delete' and status = 'dead'
             and error_class = 'blocked' and last_error ~ '\\ycollections\\y')",
    )
    .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_locked_shows_on_the_task() {
    let app = Application::new().await;
    app.user("user_a").await;
    let sample = app.sample("user_a", &["user_a/1"]).await;
    let task = app.delete_sample(sample).await;
    // As a migration of the application that rewrites the table.
    let held = app
        .hold("lock table public.sample_images in access exclusive mode")
        .await;
    let worker = app.worker().await;
    app.within(
        Duration::from_secs(90),
        &format!(
            "(select error_class = 'transient' and last_error ~ 'which keys are live'
              from lethe.cleanup_tasks where id = {task})"
        ),
    )
    .await;
    assert!(app.s3.contains("user_a/1"));
    held.release().await;
    app.within(
        DONE_LIMIT,
        &format!("(select status = 'completed' from lethe.tasks where id = {task})"),
    )
    .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_every_task_fails_for_a_minute_says_so_until_one_gets_on() {
    let app = Application::new().await;
    for user in ["user_a", "user_b"] {
        app.user(user).await;
        let sample = app.sample(user, &[&format!("{user}/1")]).await;
        app.delete_sample(sample).await;
    }
    let held = app
        .hold("select from samples where user_id in ('user_a', 'user_b') for update")
        .await;
    let worker = app.worker().await;
    let stuck = "lethe_worker_problem{problem=\"no-progress\"} 1";
    let began = Instant::now();
    while !worker.scraped().contains(stuck) {
        let status = worker.status.problem();
        assert!(began.elapsed() < Duration::from_secs(120), "{status:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(began.elapsed() > Duration::from_secs(60), "too early");
    assert_eq!(worker.status.problem(), Some(WorkerProblem::NoProgress));
    held.release().await;
    app.within(
        DONE_LIMIT,
        "(select bool_and(status = 'completed') from lethe.tasks where user_id in ('user_a', 'user_b'))",
    )
    .await;
    while worker.scraped().contains(stuck) {
        assert!(began.elapsed() < Duration::from_secs(180));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(worker.status.problem(), None);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_updated_while_it_is_deleted_goes() {
    let app = Application::new().await;
    app.user("user_a").await;
    let sample = app.sample("user_a", &["user_a/1", "user_a/2"]).await;
    app.s3.hold();
    let task: i64 = app
        .one("select lethe.delete_image(id, 'test') from sample_images where object_key = 'user_a/1'")
        .await;
    let worker = app.worker().await;
    app.until("exists (select from lethe.cleanup_tasks where status = 'running')")
        .await;
    let held = app
        .hold("update sample_images set created_at = now() where object_key = 'user_a/1'")
        .await;
    app.s3.release();
    wait_for_lock_or(Duration::from_millis(1500), &app).await;
    held.commit().await;
    app.within(
        DONE_LIMIT,
        &format!("(select status = 'completed' from lethe.tasks where id = {task})"),
    )
    .await;
    app.expect_rows(&format!("sample_images where sample_id = '{sample}'"), 1)
        .await;
    assert!(!app.s3.contains("user_a/1"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_gets_another_key_while_it_is_deleted_goes_with_both_objects() {
    let app = Application::new().await;
    app.user("user_a").await;
    app.sample("user_a", &["user_a/1", "user_a/2"]).await;
    app.s3.put("user_a/new");
    app.s3.hold();
    let task: i64 = app
        .one("select lethe.delete_image(id, 'test') from sample_images where object_key = 'user_a/1'")
        .await;
    let worker = app.worker().await;
    app.until("exists (select from lethe.cleanup_tasks where status = 'running')")
        .await;
    let held = app
        .hold("update sample_images set object_key = 'user_a/new' where object_key = 'user_a/1'")
        .await;
    app.s3.release();
    wait_for_lock_or(Duration::from_millis(1500), &app).await;
    held.commit().await;
    app.within(
        DONE_LIMIT,
        &format!("(select status = 'completed' from lethe.tasks where id = {task})"),
    )
    .await;
    app.expect_rows(
        "sample_images where object_key in ('user_a/1', 'user_a/new')",
        0,
    )
    .await;
    assert_eq!(app.s3.keys(), ["keep/1", "user_a/2"]);
    worker.stop().await;
}

/// Until a session waits for the lock, or so long that it does not wait at all.
async fn wait_for_lock_or(limit: Duration, app: &Application) {
    let began = std::time::Instant::now();
    while began.elapsed() < limit {
        let waits: bool = app
            .one(
                "select exists (select from pg_locks l join pg_stat_activity a using (pid)
                 where not l.granted and a.datname = current_database())",
            )
            .await;
        if waits {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_mended_after_the_task_died_is_deleted_by_a_retry() {
    let app = Application::new().await;
    app.user("user_a").await;
    let sample = app.sample("user_a", &["user_a/mended"]).await;
    let long = "k".repeat(1_025);
    app.execute(&format!(
        "update sample_images set object_key = '{long}' where sample_id = '{sample}'"
    ))
    .await;
    let task = app.delete_sample(sample).await;
    let worker = app.worker().await;
    app.until(&format!(
        "(select status = 'dead' from lethe.tasks where id = {task})"
    ))
    .await;
    app.execute(&format!(
        "update sample_images set object_key = 'user_a/mended' where sample_id = '{sample}'"
    ))
    .await;
    let retried = app
        .run(&["tasks", "retry", "--all-dead", "--reason", "mended"], &[])
        .await;
    assert!(retried.status.success(), "{retried:?}");
    app.within(
        DONE_LIMIT,
        &format!("(select status = 'completed' from lethe.tasks where id = {task})"),
    )
    .await;
    app.expect_rows(&format!("samples where id = '{sample}'"), 0)
        .await;
    assert!(!app.s3.contains("user_a/mended"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_taken_away_shows_on_the_task_or_the_worker_and_ends_when_it_is_given_back()
{
    let mut app = Application::new().await;
    let role = app.run_as(Role::Documented).await;
    app.user("user_a").await;
    let sample = app.sample("user_a", &["user_a/1"]).await;
    app.execute(&format!(
        "revoke select, update, delete on samples, sample_images from {role}"
    ))
    .await;
    let task = app.delete_sample(sample).await;
    let worker = app.worker().await;
    let began = std::time::Instant::now();
    loop {
        let on_task: bool = app
            .one(&format!(
                "select coalesce(last_error like '%permission denied%sample%', false) from lethe.tasks where id = {task}"
            ))
            .await;
        // Functions of the schema's owner may need no right of the worker.
        if on_task || worker.status.problem().is_some() || app.status_of(task).await == "completed"
        {
            break;
        }
        assert!(began.elapsed() < DONE_LIMIT, "nobody sees it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    app.execute(&format!(
        "grant select, update, delete on samples, sample_images to {role}"
    ))
    .await;
    let retried = app
        .run(&["tasks", "retry", "--all-dead", "--reason", "mended"], &[])
        .await;
    assert!(retried.status.success(), "{retried:?}");
    app.within(
        DONE_LIMIT,
        &format!("(select status = 'completed' from lethe.tasks where id = {task})"),
    )
    .await;
    app.expect_rows(&format!("samples where id = '{sample}'"), 0)
        .await;
    worker.stop().await;
}

//! What one user's data do to a worker must not concern other users: beside each fault an unrelated erasure is done
//! within five seconds, and whatever shares a batch with the fault follows.

use super::application::{Application, DONE_LIMIT, FILLS_EVERY_SLOT, Mischief};
use crate::support::world::quick;

/// Deletes every sample of a user, each as a task of its own, in one transaction.
async fn delete_samples_of(app: &Application, user: &str) {
    app.execute(&format!(
        "select count(lethe.delete_sample(id, 'test')) from samples where user_id = '{user}'"
    ))
    .await;
}

/// A user with a sample of one image each for every slot of a worker.
async fn victims(app: &Application) {
    app.user("user_many").await;
    app.samples("user_many", "user_many/", FILLS_EVERY_SLOT)
        .await;
    delete_samples_of(app, "user_many").await;
}

async fn until_every_slot_works(app: &Application) {
    app.until(
        "(select count(*) >= 8000 from lethe.tasks where status <> 'pending' or attempts > 0)",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_key_without_an_index_holds_nobody_else() {
    let app = Application::new().await;
    app.comments(200_000).await;
    victims(&app).await;
    let worker = app.worker().await;
    until_every_slot_works(&app).await;
    app.unrelated_erasures_are_done().await;
    app.expect_bystander().await;
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_of_a_table_without_an_index_are_deleted_in_the_end() {
    let app = Application::new().await;
    app.comments(200_000).await;
    app.user("user_many").await;
    // More than the product lets one statement take, and seconds when each is taken by itself.
    app.samples("user_many", "user_many/", 1_000).await;
    delete_samples_of(&app, "user_many").await;
    let worker = app.worker_of_one_slot().await;
    app.within(
        DONE_LIMIT * 3,
        "not exists (select from samples where user_id = 'user_many')",
    )
    .await;
    app.expect_bystander().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_sleeps_holds_nobody_else() {
    let app = Application::new().await;
    app.mischief(
        "sample_images",
        Mischief::Sleep(0.1),
        "old.object_key like 'user_many/%'",
    )
    .await;
    victims(&app).await;
    let worker = app.worker().await;
    until_every_slot_works(&app).await;
    app.unrelated_erasures_are_done().await;
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_is_too_slow_holds_nobody_else() {
    let app = Application::new().await;
    app.mischief("users", Mischief::Sleep(60.0), "old.id like 'user_slow_%'")
        .await;
    for n in 0..12 {
        app.user(&format!("user_slow_{n}")).await;
    }
    for n in 0..300 {
        app.user(&format!("user_quick_{n}")).await;
    }
    // In one transaction, so that they are claimed together.
    app.execute("select lethe.delete_user(id, 'test') from users where id <> 'user_keep'")
        .await;
    let worker = app.worker().await;
    app.until("exists (select from lethe.cleanup_tasks where status <> 'pending' or attempts > 0)")
        .await;
    app.unrelated_erasures_are_done().await;
    app.within(
        DONE_LIMIT,
        "not exists (select from users where id like 'user_quick_%')",
    )
    .await;
    app.within(
        DONE_LIMIT,
        "(select count(*) > 0 from lethe.tasks where user_id like 'user_slow_%' and error_class = 'transient'
             and last_error like '%users%')",
    )
    .await;
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_raises_refuses_its_own_task_alone() {
    let app = Application::new().await;
    app.user("user_many").await;
    app.samples("user_many", "user_many/", 1_000).await;
    app.mischief(
        "sample_images",
        Mischief::Raise,
        "old.object_key = 'user_many/500'",
    )
    .await;
    delete_samples_of(&app, "user_many").await;
    let worker = app.worker_of_one_slot().await;
    app.unrelated_erasures_are_done().await;
    app.within(
        DONE_LIMIT,
        "(select count(*) = 1 from samples where user_id = 'user_many')",
    )
    .await;
    app.within(
        DONE_LIMIT,
        "exists (select from lethe.tasks where status = 'dead' and error_class = 'blocked'
             and last_error like '%the application keeps%sample_images%')",
    )
    .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_returns_null_refuses_its_own_task_alone() {
    let app = Application::new().await;
    app.user("user_many").await;
    app.samples("user_many", "user_many/", 1_000).await;
    app.mischief(
        "sample_images",
        Mischief::ReturnNull,
        "old.object_key = 'user_many/500'",
    )
    .await;
    delete_samples_of(&app, "user_many").await;
    let worker = app.worker_of_one_slot().await;
    app.unrelated_erasures_are_done().await;
    app.within(
        DONE_LIMIT,
        "(select count(*) = 1 from samples where user_id = 'user_many')",
    )
    .await;
    app.within(
        DONE_LIMIT,
        "exists (select from lethe.tasks where status = 'dead' and error_class = 'blocked'
             and last_error like '%sample_images%')",
    )
    .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_placeholder_in_50000_rows_is_looked_up_by_the_rows_of_the_task() {
    let app = Application::new().await;
    app.placeholder("placeholder.png", 50_000).await;
    app.user("user_many").await;
    app.execute(
        "with s as (insert into samples (user_id) select 'user_many' from generate_series(1, 1000) returning id)
         insert into sample_images (sample_id, object_key) select id, 'placeholder.png' from s",
    )
    .await;
    delete_samples_of(&app, "user_many").await;
    let worker = app.worker_of_one_slot().await;
    app.unrelated_erasures_are_done().await;
    app.within(
        DONE_LIMIT,
        "not exists (select from samples where user_id = 'user_many')",
    )
    .await;
    assert!(app.s3.contains("placeholder.png"), "a live image needs it");
    app.expect_rows("sample_images where object_key = 'placeholder.png'", 50_000)
        .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_own_20000_images_of_one_key_are_erased_in_batches() {
    let app = Application::new().await;
    app.user("user_many").await;
    app.s3.put("user_many/placeholder.png");
    app.execute(
        "with s as (insert into samples (user_id) select 'user_many' from generate_series(1, 200) returning id)
         insert into sample_images (sample_id, object_key)
         select id, 'user_many/placeholder.png' from s, generate_series(1, 100)",
    )
    .await;
    let root = app.delete_user("user_many").await;
    let worker = app.worker().await;
    app.within(
        DONE_LIMIT,
        &format!("(select status = 'completed' from lethe.tasks where id = {root})"),
    )
    .await;
    app.expect_nothing_left("user_many").await;
    assert!(!app.s3.contains("user_many/placeholder.png"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_somebody_holds_holds_its_own_task_alone() {
    let app = Application::new().await;
    app.user("user_many").await;
    app.samples("user_many", "user_many/", 1_000).await;
    delete_samples_of(&app, "user_many").await;
    let held = app
        .hold("select from sample_images where object_key = 'user_many/500' for update")
        .await;
    let worker = app.worker_of_one_slot().await;
    app.unrelated_erasures_are_done().await;
    app.within(
        DONE_LIMIT,
        "(select count(*) = 1 from samples where user_id = 'user_many')",
    )
    .await;
    expect_visible(&app, "sample_images").await;
    app.unrelated_erasures_are_done().await;
    held.release().await;
    app.within(
        DONE_LIMIT,
        "not exists (select from samples where user_id = 'user_many')",
    )
    .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_that_somebody_holds_holds_its_own_task_alone() {
    let app = Application::new().await;
    app.user("user_many").await;
    app.samples("user_many", "user_many/", 300).await;
    delete_samples_of(&app, "user_many").await;
    let held = app
        .hold("select from samples where name = '100' and user_id = 'user_many' for update")
        .await;
    let worker = app.worker_of_one_slot().await;
    app.unrelated_erasures_are_done().await;
    app.within(
        DONE_LIMIT,
        "(select count(*) = 1 from samples where user_id = 'user_many')",
    )
    .await;
    expect_visible(&app, "samples").await;
    held.release().await;
    app.within(
        DONE_LIMIT,
        "not exists (select from samples where user_id = 'user_many')",
    )
    .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_somebody_holds_holds_its_own_user_alone() {
    a_row_of_one_user_holds_that_user_alone("collections", "user_id = 'user_7'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_row_that_somebody_holds_holds_its_own_user_alone() {
    a_row_of_one_user_holds_that_user_alone("users", "id = 'user_7'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_image_that_somebody_holds_holds_its_own_user_alone() {
    a_row_of_one_user_holds_that_user_alone("sample_images", "object_key = 'user_7/1'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_sample_that_somebody_holds_holds_its_own_user_alone() {
    a_row_of_one_user_holds_that_user_alone("samples", "user_id = 'user_7'").await;
}

/// One row of one of fifty users who are erased together is held by another session.
async fn a_row_of_one_user_holds_that_user_alone(table: &str, condition: &str) {
    let app = Application::new().await;
    for n in 0..50 {
        let user = format!("user_{n}");
        app.user(&user).await;
        app.sample(&user, &[&format!("{user}/1")]).await;
    }
    app.execute("select lethe.delete_user(id, 'test') from users where id <> 'user_keep'")
        .await;
    let held = app
        .hold(&format!("select from {table} where {condition} for update"))
        .await;
    let worker = app.worker_of_one_slot().await;
    app.unrelated_erasures_are_done().await;
    app.within(
        DONE_LIMIT,
        "(select count(*) = 1 from users where id ~ '^user_[0-9]+$')",
    )
    .await;
    expect_visible(&app, table).await;
    app.unrelated_erasures_are_done().await;
    held.release().await;
    app.within(
        DONE_LIMIT,
        "not exists (select from users where id = 'user_7')",
    )
    .await;
    app.expect_nothing_left("user_7").await;
    worker.stop().await;
}

/// A person sees which table's row a task waits for.
async fn expect_visible(app: &Application, table: &str) {
    app.within(
        DONE_LIMIT,
        &format!(
            "exists (select from lethe.tasks where error_class = 'transient' and attempts > 0
                 and last_error ~ '\\y{table}\\y')"
        ),
    )
    .await;
    app.expect_rows("lethe.tasks where status = 'dead'", 0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn held_rows_of_many_users_hold_nobody_else() {
    let app = Application::new().await;
    for n in 0..40 {
        let user = format!("user_{n}");
        app.user(&user).await;
        app.samples(&user, &format!("{user}/"), 30).await;
    }
    app.execute("select lethe.delete_user(id, 'test') from users where id <> 'user_keep'")
        .await;
    // One row of each: no batch is without one.
    let held = app
        .hold("select from sample_images where object_key like 'user\\_%/7' for update")
        .await;
    let mut cleanup = quick();
    cleanup.claim_batch = 5;
    let worker = app.worker_with(cleanup).await;
    app.until("exists (select from lethe.cleanup_tasks where status <> 'pending' or attempts > 0)")
        .await;
    app.unrelated_erasures_are_done().await;
    held.release().await;
    app.within(
        DONE_LIMIT,
        "not exists (select from users where id ~ '^user_[0-9]+$')",
    )
    .await;
    worker.stop().await;
}

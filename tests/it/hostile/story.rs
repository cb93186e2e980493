//! The whole story (webhook, deletion of a sample, restore, reconciliation, receipt) on the hostile application.

use reqwest::{Method, StatusCode};

use super::application::{Application, DONE_LIMIT, Role};
use crate::support::service::{Service, answer};

/// Erases `user_a` by a webhook, deletes and restores samples of `user_b`, and finds what the application marked.
async fn the_whole_story(app: &Application) {
    for user in ["user_a", "user_b"] {
        app.user(user).await;
    }
    app.placeholder("placeholder.png", 5_000).await;
    app.samples("user_a", "user_a/", 60).await;
    app.sample("user_a", &["placeholder.png", "user_a/own"])
        .await;
    let restored = app
        .sample("user_b", &["user_b/1", "user_b/2", "placeholder.png"])
        .await;
    let marked = app.sample("user_b", &["user_b/3", "user_b/4"]).await;
    let deleted = app.sample("user_b", &["user_b/5", "placeholder.png"]).await;
    let forgotten = app.sample("user_b", &["user_b/6"]).await;
    let with_grace = [
        ("CLEANUP_GRACE_PERIOD_MS", "600000"),
        ("RECONCILE_INTERVAL_MS", "300"),
    ];
    let service = Service::start_with(app, &with_grace).await;
    let _worker = app.process(&["worker"], &with_grace);

    let held = app
        .hold("select from sample_images where object_key = 'user_a/7' for update")
        .await;
    let accepted = service
        .user_deleted("msg_1", "user_a")
        .send()
        .await
        .unwrap();
    assert_eq!(accepted.status(), StatusCode::NO_CONTENT);

    let token = service.session("user_b");
    let path = format!("/samples/{restored}");
    let (status, body) = answer(service.request(Method::DELETE, &path, &token)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    let (status, body) =
        answer(service.request(Method::POST, &format!("{path}/restore"), &token)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    app.expect_restored(restored, 3).await;

    // The application marks the sample alone, and reconciliation finds it.
    app.execute(&format!(
        "update samples set deleted_at = now(), deleted_by = 'app' where id = '{marked}'"
    ))
    .await;
    app.within(
        DONE_LIMIT,
        &format!("exists (select from lethe.tasks where entity_id = '{marked}' and kind = 'sample-delete')"),
    )
    .await;
    let (status, body) = service
        .admin(Method::POST, &format!("/samples/{marked}/restore"))
        .await;
    assert_eq!(status, StatusCode::OK, "{body}");
    app.expect_restored(marked, 2).await;

    let task = app.delete_sample(deleted).await;
    app.execute(&format!(
        "update samples set deleted_at = now() - interval '1 day', deleted_by = 'app' where id = '{forgotten}'"
    ))
    .await;
    app.within(
        DONE_LIMIT,
        &format!(
            "(select status = 'completed' from lethe.tasks where id = {task})
             and not exists (select from samples where id in ('{deleted}', '{forgotten}'))"
        ),
    )
    .await;
    held.release().await;
    app.within(
        DONE_LIMIT,
        "not exists (select from users where id = 'user_a')",
    )
    .await;
    app.within(
        DONE_LIMIT,
        "not exists (select from lethe.tasks where status not in ('completed', 'cancelled'))",
    )
    .await;
    app.expect_nothing_left("user_a").await;
    // Reconciliation has passed several times meanwhile.
    app.expect_restored(restored, 3).await;
    app.expect_restored(marked, 2).await;
    let receipt = service.get("/admin/users/user_a/erasure").await;
    assert_eq!(receipt["status"], "complete", "{receipt}");
    assert_eq!(receipt["objectsDeleted"], 61, "{receipt}");
    assert_eq!(receipt["rowsDeleted"]["samples"], 61, "{receipt}");
    assert_eq!(receipt["rowsDeleted"]["sampleImages"], 62, "{receipt}");
    assert_eq!(
        app.s3.keys(),
        [
            "keep/1",
            "placeholder.png",
            "user_b/1",
            "user_b/2",
            "user_b/3",
            "user_b/4"
        ]
    );
    for table in ["comments", "likes", "boards", "logins"] {
        app.expect_rows(table, 2_000).await;
    }
    app.expect_bystander().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_foreign_keys_without_indexes_shared_keys_and_a_held_row() {
    let app = Application::new().await;
    the_whole_story(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_documented_rights_serializable_by_default_and_other_tables_first() {
    let mut app = Application::new().await;
    let role = app.run_as(Role::Documented).await;
    app.shadow_tables(&role).await;
    app.execute(&format!(
        "alter role {role} set default_transaction_isolation = 'serializable'"
    ))
    .await;
    app.freeze_statistics(true).await;
    the_whole_story(&app).await;
    app.expect_rows("shadow.cleanup_tasks", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_forced_row_level_security_and_a_role_that_bypasses_it() {
    let mut app = Application::new().await;
    app.run_as(Role::BypassesRowSecurity).await;
    app.row_level_security(true).await;
    app.freeze_statistics(false).await;
    the_whole_story(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_the_owner_of_tables_with_row_level_security() {
    let mut app = Application::new().await;
    app.row_level_security(false).await;
    app.run_as(Role::Owner).await;
    the_whole_story(&app).await;
}

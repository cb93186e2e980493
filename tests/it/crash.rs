//! Processes that are killed (-9) at the worst moments.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use crate::support::service::Service;
use crate::support::world::{PATIENCE, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_after_its_claim_loses_nothing() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    let task = world.delete_sample(sample).await;
    // A lock on the images keeps the worker between its claim and the store.
    let mut blocker = world.pool.begin().await.unwrap();
    sqlx::query("lock table sample_images in access exclusive mode")
        .execute(&mut *blocker)
        .await
        .unwrap();
    let mut victim = world.process(&["worker"], &[]);
    world.until_status(task, "running").await;
    victim.kill().await.unwrap();
    blocker.rollback().await.unwrap();
    assert!(world.s3.asked().is_empty());
    let _successor = world.process(&["worker"], &[]);
    world.until_status(task, "completed").await;
    assert!(world.s3.keys().is_empty());
    world.expect_rows("lethe.tasks where attempts = 2", 1).await;
    world
        .expect_rows("lethe.audit where error_class = 'crash'", 1)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_after_the_store_answered_is_followed_by_one_that_finishes() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    let task = world.delete_sample(sample).await;
    world.s3.hold();
    let mut victim = world.process(&["worker"], &[]);
    world.until_status(task, "running").await;
    let started = std::time::Instant::now();
    while world.s3.contains("a/1") && started.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    victim.kill().await.unwrap();
    world.s3.release();
    // The row is the memory of its key.
    world.expect_rows("sample_images", 1).await;
    let _successor = world.process(&["worker"], &[]);
    world.until_status(task, "completed").await;
    world.expect_rows("samples", 0).await;
    assert_eq!(
        world
            .one::<i64>("select sum(cardinality(object_keys)) from lethe.audit")
            .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_between_commit_and_response_has_promised_exactly_one_erasure() {
    let world = World::new().await;
    world.user("user_a").await;
    world.sample("user_a", &["a/1"]).await;
    let mut service = Service::start(&world).await;
    let event = service.user_deleted("msg_1", "user_a");
    let sending = tokio::spawn(event.send());
    world
        .until("exists (select from lethe.webhook_events)")
        .await;
    service.kill().await;
    drop(sending.await);
    let service = Service::start(&world).await;
    let again = service
        .user_deleted("msg_1", "user_a")
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 204);
    world
        .expect_rows("lethe.tasks where kind = 'user-delete'", 1)
        .await;
    let worker = world.worker().await;
    world
        .until("exists (select from lethe.audit where event = 'user-erased')")
        .await;
    world
        .expect_rows("lethe.audit where event = 'user-deletion-requested'", 1)
        .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_worker_drains_and_exits_with_0() {
    let world = World::new().await;
    world.user("user_a").await;
    world.samples("user_a", "a/", 200).await;
    world
        .execute("select lethe.delete_sample(id, 'test') from samples")
        .await;
    let mut worker = world.process(&["worker"], &[("CLEANUP_CLAIM_BATCH", "10")]);
    world
        .until("exists (select from lethe.tasks where status <> 'pending')")
        .await;
    let pid = i32::try_from(worker.id().unwrap()).unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    assert!(worker.wait().await.unwrap().success());
    world
        .expect_rows("lethe.tasks where status = 'running'", 0)
        .await;
    world
        .expect_rows(
            "lethe.tasks where attempts > 1 or (status = 'pending' and attempts > 0)",
            0,
        )
        .await;
    world
        .expect_rows("lethe.cleanup_workers where lost_at is null", 0)
        .await;
}

/// Each step of a worker that takes the way from claim to settle, or the rescue of what another left.
const STEPS: [&str; 12] = [
    "claimed",
    "keys-checked",
    "objects-deleted",
    "settle-locked",
    "rows-deleted",
    "settle-written",
    "settle-committed",
    "root-stepped",
    "root-written",
    "root-committed",
    "rescue-written",
    "rescue-committed",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_at_any_step_is_followed_by_one_that_finishes() {
    futures::future::join_all(STEPS.map(killed_at)).await;
}

async fn killed_at(step: &str) {
    let world = World::new().await;
    for user in ["user_a", "user_b"] {
        world.user(user).await;
        world
            .sample(user, &[&format!("{user}/1"), &format!("{user}/2")])
            .await;
        world.sample(user, &[&format!("{user}/3")]).await;
    }
    let alone = world.sample("user_b", &["alone"]).await;
    world.delete_sample(alone).await;
    if step.starts_with("root") {
        // With so many samples the erasure does not fit into one task.
        world
            .execute("insert into samples (user_id) select 'user_a' from generate_series(1, 1000)")
            .await;
    }
    world.delete_user("user_a").await;
    if step.starts_with("rescue") {
        ends_at(&world, "claimed").await;
    }
    ends_at(&world, step).await;
    let _successor = world.process(&["worker"], &[]);
    world
        .until("not exists (select from lethe.tasks where status <> 'completed')")
        .await;
    assert_eq!(
        world.s3.keys(),
        ["user_b/1", "user_b/2", "user_b/3"],
        "{step}"
    );
    for (what, expected) in [
        ("users", 1),
        ("samples", 2),
        ("sample_images", 3),
        ("lethe.audit where event = 'user-erased'", 1),
        (
            "(select task_id from lethe.audit where event in ('task-completed', 'user-erased') group by task_id having count(*) > 1) twice",
            0,
        ),
        (
            "(select unnest(object_keys) as key from lethe.audit) gone",
            4,
        ),
        (
            "(select distinct unnest(object_keys) from lethe.audit) gone",
            4,
        ),
    ] {
        assert_eq!(world.count(what).await, expected, "{step}: {what}");
    }
}

/// A worker that ends at this step.
async fn ends_at(world: &World, step: &str) {
    let mut worker = world.process(&["worker"], &[("LETHE_FAILPOINT", step)]);
    let ended = tokio::time::timeout(PATIENCE, worker.wait()).await;
    let signal = ended.map(|status| status.unwrap().signal());
    assert_eq!(signal.ok().flatten(), Some(6), "{step}: SIGABRT");
}

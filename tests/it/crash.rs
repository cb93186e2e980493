//! Processes that are killed (-9) at the worst moments.

use std::time::Duration;

use crate::support::service::Service;
use crate::support::world::World;

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
    assert_eq!(world.count("cleanup_tasks where attempts = 2").await, 1);
    assert_eq!(
        world
            .count("cleanup_audit where error_class = 'crash'")
            .await,
        1
    );
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
    assert_eq!(
        world.count("sample_images").await,
        1,
        "the row is the memory of its key"
    );
    let _successor = world.process(&["worker"], &[]);
    world.until_status(task, "completed").await;
    assert_eq!(world.count("samples").await, 0);
    assert_eq!(
        world
            .one::<i64>("select sum(objects_deleted) from cleanup_audit")
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
    world.until("exists (select from webhook_events)").await;
    service.kill().await;
    drop(sending.await);
    let service = Service::start(&world).await;
    let again = service
        .user_deleted("msg_1", "user_a")
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 204);
    assert_eq!(
        world
            .count("cleanup_tasks where kind = 'user-delete'")
            .await,
        1
    );
    let worker = world.worker().await;
    world
        .until("exists (select from cleanup_audit where event = 'user-erased')")
        .await;
    assert_eq!(
        world
            .count("cleanup_audit where event = 'user-deletion-requested'")
            .await,
        1
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_worker_drains_and_exits_with_0() {
    let world = World::new().await;
    world.user("user_a").await;
    world.samples("user_a", "a/", 200).await;
    world
        .execute("select lethe_delete_sample(id, 'test') from samples")
        .await;
    let mut worker = world.process(&["worker"], &[("CLEANUP_CLAIM_BATCH", "10")]);
    world
        .until("exists (select from cleanup_tasks where status <> 'pending')")
        .await;
    let pid = i32::try_from(worker.id().unwrap()).unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    assert!(worker.wait().await.unwrap().success());
    assert_eq!(
        world.count("cleanup_tasks where status = 'running'").await,
        0
    );
    assert_eq!(
        world
            .count("cleanup_tasks where attempts > 1 or (status = 'pending' and attempts > 0)")
            .await,
        0
    );
    assert_eq!(
        world.count("cleanup_workers where lost_at is null").await,
        0
    );
}

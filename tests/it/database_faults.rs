//! What breaks in the database and on the way to it, each on a PostgreSQL of the test's own. The figures
//! of docs/reliability.md are what these tests print.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use sqlx::{Connection as _, PgConnection};

use crate::support::outage::{
    AS_DEPLOYED, FIRST_SETTLED, POLL_INTERVAL, SLACK, assert_done_once, assert_notifications_wake,
    assert_promises_kept, assert_unavailable, delete_users, enqueue, first_settled,
    until_completed, until_deletion_is,
};
use crate::support::own_postgres::{OwnPostgres, Stop};
use crate::support::service::Service;
use crate::support::tcp_proxy::TcpProxy;
use crate::support::world::{Log, PATIENCE, World};

async fn work_goes_on_after_a_restart(how: Stop) {
    let mut postgres = OwnPostgres::start(&[]).await;
    let world = postgres.world(postgres.url()).await;
    let tasks = enqueue(&world, 3000).await;
    let sample = world.sample("user_a", &["late"]).await;
    let service = Service::start(&world).await;
    let _workers = [
        world.process(&["worker"], &AS_DEPLOYED),
        world.process(&["worker"], &AS_DEPLOYED),
    ];
    until_completed(&world, 300).await;
    postgres.stop(how).await;
    assert_unavailable(&service, sample).await;
    postgres.start_again().await;
    let settled = first_settled(&world).await;
    let accepted = until_deletion_is(&service, sample, StatusCode::ACCEPTED).await;
    assert!(settled < FIRST_SETTLED + SLACK, "settled after {settled:?}");
    assert!(
        accepted < FIRST_SETTLED + SLACK,
        "accepted after {accepted:?}"
    );
    assert_done_once(&world, tasks + 1).await;
    let woken = assert_notifications_wake(&world).await;
    println!(
        "{how:?}: first settled {settled:?}, accepted {accepted:?} later, woken within {woken:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_after_the_database_was_stopped_fast() {
    work_goes_on_after_a_restart(Stop::Fast).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_after_the_database_was_stopped_immediately() {
    work_goes_on_after_a_restart(Stop::Immediate).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_longer_than_the_lease_makes_nobody_lost() {
    const LEASE: Duration = Duration::from_secs(5);
    let short = [
        ("CLEANUP_LEASE_MS", "5000"),
        ("CLEANUP_POLL_INTERVAL_MS", "1000"),
        ("CLEANUP_CLAIM_BATCH", "5"),
        ("CLEANUP_CONCURRENCY", "4"),
    ];
    let mut postgres = OwnPostgres::start(&[]).await;
    let world = postgres.world(postgres.url()).await;
    let tasks = enqueue(&world, 2000).await;
    let logs = [(); 6].map(|()| Log::new());
    let (early, late) = logs.split_at(2);
    let start = |log| world.logged(&["worker"], &short, log);
    let _early: Vec<_> = early.iter().map(start).collect();
    until_completed(&world, 200).await;
    postgres.stop(Stop::Fast).await;
    // Whoever comes meanwhile finds every lease out at its first look.
    let _late: Vec<_> = late.iter().map(start).collect();
    for log in late {
        log.until("waiting for the database").await;
    }
    // Nothing but the time tells that the leases are out.
    tokio::time::sleep(LEASE).await;
    postgres.start_again().await;
    let settled = first_settled(&world).await;
    assert_done_once(&world, tasks).await;
    for log in &logs {
        assert!(
            !log.text().contains("declared workers lost"),
            "{}",
            log.text()
        );
    }
    println!("longer than the lease: first settled {settled:?} after the return");
}

/// Ends every session but the test's own.
const TERMINATE: &str = "select pg_terminate_backend(pid) from pg_stat_activity
    where backend_type = 'client backend' and application_name <> 'test'";

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_when_all_sessions_are_terminated_again_and_again() {
    let postgres = OwnPostgres::start(&[]).await;
    let world = postgres.world(postgres.url()).await;
    let tasks = enqueue(&world, 3000).await;
    let sample = world.sample("user_a", &["late"]).await;
    let service = Service::start(&world).await;
    let _workers = [
        world.process(&["worker"], &AS_DEPLOYED),
        world.process(&["worker"], &AS_DEPLOYED),
    ];
    let mut terminated = 0;
    for round in 1..=8 {
        until_completed(&world, round * 200).await;
        terminated += world.execute(TERMINATE).await;
    }
    let accepted = until_deletion_is(&service, sample, StatusCode::ACCEPTED).await;
    assert!(
        accepted < FIRST_SETTLED + SLACK,
        "accepted after {accepted:?}"
    );
    assert_done_once(&world, tasks + 1).await;
    assert!(terminated >= 16, "{terminated}");
    let woken = assert_notifications_wake(&world).await;
    println!(
        "{terminated} sessions terminated: accepted {accepted:?} later, woken within {woken:?}"
    );
}

/// One task whose worker waits at the store, and the session that holds its image's row.
async fn worker_that_meets_a_lock(world: &World, log: &Log) -> (tokio::process::Child, i64) {
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    let task = world.delete_sample(sample).await;
    world.s3.hold();
    let worker = world.logged(&["worker"], &AS_DEPLOYED, log);
    let started = Instant::now();
    while world.s3.contains("a/1") {
        assert!(started.elapsed() < PATIENCE, "{}", log.text());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (worker, task)
}

const SOMEBODY_WAITS: &str = "exists (select from pg_locks where not granted)";

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_tried_again_without_an_attempt() {
    let postgres = OwnPostgres::start(&[("deadlock_timeout", "200ms")]).await;
    let world = postgres.world(postgres.url()).await;
    let log = Log::new();
    let (_worker, task) = worker_that_meets_a_lock(&world, &log).await;
    // In the opposite order: the worker locks its tasks before their rows.
    let mut session = world.pool.begin().await.unwrap();
    sqlx::raw_sql("set local deadlock_timeout = '30s'; select from sample_images for update")
        .execute(&mut *session)
        .await
        .unwrap();
    world.s3.release();
    world.until(SOMEBODY_WAITS).await;
    sqlx::raw_sql("select from lethe.cleanup_tasks for update")
        .execute(&mut *session)
        .await
        .unwrap();
    session.rollback().await.unwrap();
    world.until_status(task, "completed").await;
    assert!(log.text().contains("deadlock detected"), "{}", log.text());
    assert_done_once(&world, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_of_serializable_costs_no_attempt() {
    let strict = [("default_transaction_isolation", "serializable")];
    let postgres = OwnPostgres::start(&strict).await;
    let world = postgres.world(postgres.url()).await;
    let log = Log::new();
    let (_worker, task) = worker_that_meets_a_lock(&world, &log).await;
    let mut session = world.pool.begin().await.unwrap();
    sqlx::query("update lethe.cleanup_tasks set updated_at = now()")
        .execute(&mut *session)
        .await
        .unwrap();
    world.s3.release();
    world.until(SOMEBODY_WAITS).await;
    session.commit().await.unwrap();
    world.until_status(task, "completed").await;
    assert_done_once(&world, 1).await;
    // Lethe's transactions are read committed. Its single statements are not, and are sent again after a conflict.
    let log = log.text();
    assert!(!log.contains("LISTEN is interrupted"), "{log}");
    assert!(!log.contains("cannot settle"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_is_reported_and_survived() {
    let postgres = OwnPostgres::start(&[("max_connections", "20")]).await;
    let world = postgres.world(postgres.url()).await;
    let tasks = enqueue(&world, 200).await;
    let sample = world.sample("user_a", &["late"]).await;
    let mut others = Vec::new();
    let refusal = loop {
        match PgConnection::connect(&world.url).await {
            Ok(connection) => others.push(connection),
            Err(refusal) => break refusal.to_string(),
        }
    };
    assert!(refusal.contains("too many clients"), "{refusal}");
    let log = Log::new();
    let _worker = world.logged(&["worker"], &AS_DEPLOYED, &log);
    let service = Service::start(&world).await;
    assert_unavailable(&service, sample).await;
    log.until("waiting for the database").await;
    let returned = Instant::now();
    for connection in others {
        connection.close().await.unwrap();
    }
    until_completed(&world, 1).await;
    let settled = returned.elapsed();
    assert!(settled < POLL_INTERVAL, "settled after {settled:?}");
    until_deletion_is(&service, sample, StatusCode::ACCEPTED).await;
    assert_done_once(&world, tasks + 1).await;
    println!("full server: first settled {settled:?} after there was room");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_server_is_reported_and_survived() {
    let postgres = OwnPostgres::start(&[]).await;
    let world = postgres.world(postgres.url()).await;
    let tasks = enqueue(&world, 1500).await;
    let sample = world.sample("user_a", &["late"]).await;
    let service = Service::start(&world).await;
    let log = Log::new();
    let _worker = world.logged(&["worker"], &AS_DEPLOYED, &log);
    until_completed(&world, 200).await;
    world
        .execute("alter system set default_transaction_read_only = on")
        .await;
    world.execute("select pg_reload_conf()").await;
    log.until("read-only transaction").await;
    assert_unavailable(&service, sample).await;
    let before = world.count("lethe.tasks where status = 'completed'").await;
    assert!(before < tasks, "it must be read-only before all is done");
    world
        .execute("alter system reset default_transaction_read_only")
        .await;
    world.execute("select pg_reload_conf()").await;
    let returned = Instant::now();
    until_completed(&world, before + 1).await;
    let settled = returned.elapsed();
    assert!(settled < FIRST_SETTLED + SLACK, "settled after {settled:?}");
    until_deletion_is(&service, sample, StatusCode::ACCEPTED).await;
    assert_done_once(&world, tasks + 1).await;
    let woken = assert_notifications_wake(&world).await;
    println!("read-only: first settled {settled:?} after it was writable, woken within {woken:?}");
}

/// What `db::timeout` waits for an answer to one transaction.
const SILENCE_LIMIT: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_after_the_database_vanished_without_a_word() {
    let postgres = OwnPostgres::start(&[]).await;
    let proxy = TcpProxy::start(postgres.port());
    let world = postgres.world(postgres.url_at(proxy.address)).await;
    let tasks = enqueue(&world, 3000).await;
    let sample = world.sample("user_a", &["late"]).await;
    let service = Service::start(&world).await;
    let logs = [Log::new(), Log::new()];
    let _workers = [
        world.logged(&["worker"], &AS_DEPLOYED, &logs[0]),
        world.logged(&["worker"], &AS_DEPLOYED, &logs[1]),
    ];
    until_completed(&world, 300).await;
    proxy.vanish();
    assert_unavailable(&service, sample).await;
    // The listener's own heartbeat, with nothing to read and nobody to close the connection.
    for log in &logs {
        log.until("LISTEN is interrupted").await;
    }
    let before = world.count("lethe.tasks where status = 'completed'").await;
    assert!(before < tasks, "it must vanish before all is done");
    proxy.come_back();
    let returned = Instant::now();
    until_completed(&world, before + 1).await;
    let settled = returned.elapsed();
    let accepted = until_deletion_is(&service, sample, StatusCode::ACCEPTED).await;
    assert!(
        settled < SILENCE_LIMIT + POLL_INTERVAL,
        "settled after {settled:?}"
    );
    assert!(
        accepted < POLL_INTERVAL + SLACK,
        "accepted after {accepted:?}"
    );
    assert_done_once(&world, tasks + 1).await;
    let woken = assert_notifications_wake(&world).await;
    println!(
        "vanished: first settled {settled:?}, accepted {accepted:?} later, woken within {woken:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_answer_was_lost_is_taken_up_by_the_same_worker() {
    let postgres = OwnPostgres::start(&[]).await;
    let proxy = TcpProxy::start(postgres.port());
    let world = postgres.world(postgres.url_at(proxy.address)).await;
    world.user("user_a").await;
    let first = world.sample("user_a", &["a/1"]).await;
    let first = world.delete_sample(first).await;
    // Its pruning waits for an answer too, which must not hold up the rescue.
    let mut pruning = world.pool.begin().await.unwrap();
    sqlx::query("lock table lethe.webhook_events in access exclusive mode")
        .execute(&mut *pruning)
        .await
        .unwrap();
    let log = Log::new();
    let _worker = world.logged(&["worker"], &AS_DEPLOYED, &log);
    world.until_status(first, "completed").await;
    world
        .until(
            "exists (select from pg_stat_activity where wait_event_type = 'Lock'
                     and query like '%delete from lethe.webhook_events%')",
        )
        .await;
    let sample = world.sample("user_a", &["a/2"]).await;
    let id: String = world.one("select id from lethe.cleanup_workers").await;
    // The claim waits for the worker's row, and is done when nobody is there to hear of it.
    let mut session = world.pool.begin().await.unwrap();
    sqlx::query("select from lethe.cleanup_workers for update")
        .execute(&mut *session)
        .await
        .unwrap();
    let task = world.delete_sample(sample).await;
    world
        .until(
            "exists (select from pg_stat_activity, lethe.cleanup_tasks
                     where wait_event_type = 'Lock' and query like '-- Claims due tasks%'
                       and status = 'pending' and query_start > created_at)",
        )
        .await;
    proxy.vanish();
    session.rollback().await.unwrap();
    pruning.rollback().await.unwrap();
    world.until_status(task, "running").await;
    assert_eq!(world.s3.asked().len(), 1, "the worker knows nothing of it");
    proxy.come_back();
    let returned = Instant::now();
    world.until_status(task, "completed").await;
    let settled = returned.elapsed();
    assert!(
        settled < SILENCE_LIMIT + 4 * POLL_INTERVAL,
        "settled after {settled:?}"
    );
    log.until("a claim may have been lost on the way").await;
    assert_done_once(&world, 2).await;
    let by: String = world
        .one(&format!(
            "select worker from lethe.audit where event = 'task-completed' and task_id = {task}"
        ))
        .await;
    assert_ne!(by, id, "under a new id");
    println!("lost claim: settled {settled:?} after the return");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_at_a_promoted_standby_and_no_promise_is_lost() {
    let mut primary = OwnPostgres::start(&[]).await;
    let standby = primary.standby().await;
    let proxy = TcpProxy::start(primary.port());
    let mut world = primary.world(primary.url_at(proxy.address)).await;
    world
        .execute("alter system set synchronous_standby_names = '*'")
        .await;
    world.execute("select pg_reload_conf()").await;
    world
        .until("exists (select from pg_stat_replication where sync_state = 'sync')")
        .await;
    let tasks = enqueue(&world, 2500).await;
    let sample = world.sample("user_a", &["late"]).await;
    let service = Service::start(&world).await;
    let _workers = [
        world.process(&["worker"], &AS_DEPLOYED),
        world.process(&["worker"], &AS_DEPLOYED),
    ];
    until_completed(&world, 300).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let (promised, settled) = tokio::join!(delete_users(&service, &stop), async {
        world
            .until("(select count(*) >= 20 from lethe.user_tombstones)")
            .await;
        primary.stop(Stop::Immediate).await;
        proxy.lead_to(standby.port());
        world.pool = standby.pool().await;
        assert_unavailable(&service, sample).await;
        let before = world.count("lethe.tasks where status = 'completed'").await;
        assert!(before < tasks, "the primary must die before all is done");
        standby.promote().await;
        let promoted = Instant::now();
        until_completed(&world, before + 1).await;
        let settled = promoted.elapsed();
        stop.cancel();
        settled
    });
    assert!(settled < FIRST_SETTLED + SLACK, "settled after {settled:?}");
    until_deletion_is(&service, sample, StatusCode::ACCEPTED).await;
    assert!(promised.len() >= 20, "{}", promised.len());
    assert_promises_kept(&world, &promised).await;
    assert_done_once(&world, tasks + 1).await;
    let woken = assert_notifications_wake(&world).await;
    println!(
        "promoted: first settled {settled:?} later, {} promises kept, woken within {woken:?}",
        promised.len()
    );
}

//! The database's disk is full to the last byte: of the tables, and of the write-ahead log. The figures of
//! docs/reliability.md are what these tests print.

use std::time::Instant;

use reqwest::StatusCode;
use tokio_util::sync::CancellationToken;

use crate::support::namespaces::in_namespaces;
use crate::support::outage::{
    AS_DEPLOYED, FIRST_SETTLED, SLACK, assert_done_once, assert_notifications_wake,
    assert_promises_kept, assert_unavailable, delete_users, enqueue, first_settled,
    until_completed, until_deletion_is,
};
use crate::support::own_postgres::OwnPostgres;
use crate::support::service::Service;
use crate::support::small_disk::SmallDisk;
use crate::support::world::Log;

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_after_no_table_could_grow() {
    in_namespaces(
        &["--mount"],
        "disk_full::work_goes_on_after_no_table_could_grow",
        no_table_can_grow(),
    )
    .await;
}

async fn no_table_can_grow() {
    let disk = SmallDisk::mount(200);
    // What a vacuum finds in the tables would be room too.
    let postgres = OwnPostgres::start(&[("autovacuum", "off")]).await;
    postgres.move_tables_to(&disk.directory("tables")).await;
    let world = postgres.world(postgres.url()).await;
    let tasks = enqueue(&world, 3000).await;
    let sample = world.sample("user_a", &["late"]).await;
    let service = Service::start(&world).await;
    let logs = [Log::new(), Log::new()];
    let _workers = logs
        .each_ref()
        .map(|log| world.logged(&["worker"], &AS_DEPLOYED, log));
    until_completed(&world, 300).await;
    let stop = CancellationToken::new();
    let (at_first, (meanwhile, full_for, settled)) =
        tokio::join!(delete_users(&service, &stop), async {
            world
                .until("(select count(*) >= 20 from lethe.user_tombstones)")
                .await;
            let filled = Instant::now();
            disk.fill();
            for log in &logs {
                log.until("No space left on device").await;
            }
            // Whoever is refused now is refused again and again: nothing makes room.
            let promised = until_refused(&service).await;
            let before = world.count("lethe.tasks where status = 'completed'").await;
            assert!(before < tasks, "it must be full before all is done");
            disk.make_room();
            let returned = Instant::now();
            until_completed(&world, before + 1).await;
            let settled = returned.elapsed();
            stop.cancel();
            (promised, returned - filled, settled)
        });
    let promised = [at_first, meanwhile].concat();
    assert!(settled < FIRST_SETTLED + SLACK, "settled after {settled:?}");
    let accepted = until_deletion_is(&service, sample, StatusCode::ACCEPTED).await;
    assert_promises_kept(&world, &promised).await;
    assert_done_once(&world, tasks + 1).await;
    let woken = assert_notifications_wake(&world).await;
    println!(
        "tables full for {full_for:?}: first settled {settled:?} after there was room, accepted \
         {accepted:?} later, {} promises kept, woken within {woken:?}",
        promised.len()
    );
}

/// Asks for deletions of users until one is refused, and told when to come back. Returns those that were
/// promised before.
async fn until_refused(service: &Service) -> Vec<String> {
    let mut promised = Vec::new();
    loop {
        let user = format!("user_full_{}", promised.len());
        let event = service.user_deleted(&format!("msg_{user}"), &user);
        let answer = event.send().await.unwrap();
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            assert!(answer.headers().contains_key("retry-after"));
            return promised;
        }
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        promised.push(user);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_after_the_log_could_not_be_written() {
    in_namespaces(
        &["--mount"],
        "disk_full::work_goes_on_after_the_log_could_not_be_written",
        no_log_can_be_written(),
    )
    .await;
}

async fn no_log_can_be_written() {
    let disk = SmallDisk::mount(300);
    // Each segment of the log is a new file.
    let settings = [("wal_recycle", "off"), ("max_wal_size", "64MB")];
    let mut postgres = OwnPostgres::start_at(disk.path.join("postgres"), &settings).await;
    let world = postgres.world(postgres.url()).await;
    let tasks = enqueue(&world, 3000).await;
    let sample = world.sample("user_a", &["late"]).await;
    let service = Service::start(&world).await;
    let _workers = [
        world.process(&["worker"], &AS_DEPLOYED),
        world.process(&["worker"], &AS_DEPLOYED),
    ];
    until_completed(&world, 300).await;
    let stop = CancellationToken::new();
    let (promised, settled) = tokio::join!(delete_users(&service, &stop), async {
        world
            .until("(select count(*) >= 20 from lethe.user_tombstones)")
            .await;
        disk.fill();
        // A segment that is begun while there is load, until none can be made.
        while sqlx::query("select pg_switch_wal()")
            .execute(&world.pool)
            .await
            .is_ok()
        {}
        // It cannot recover either: that begins a segment.
        postgres.until_down().await;
        assert_unavailable(&service, sample).await;
        disk.make_room();
        postgres.start_again().await;
        let settled = first_settled(&world).await;
        stop.cancel();
        settled
    });
    assert!(settled < FIRST_SETTLED + SLACK, "settled after {settled:?}");
    let accepted = until_deletion_is(&service, sample, StatusCode::ACCEPTED).await;
    assert_promises_kept(&world, &promised).await;
    assert_done_once(&world, tasks + 1).await;
    let woken = assert_notifications_wake(&world).await;
    println!(
        "no room for the log: first settled {settled:?} after the start, accepted {accepted:?} \
         later, {} promises kept, woken within {woken:?}",
        promised.len()
    );
}

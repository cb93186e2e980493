//! Two versions of the program on one database, while it is migrated. A newer one is played by the migrations
//! that it would bring. The figures of docs/reliability.md are what these tests print.

use std::time::{Duration, Instant};

use lethe::schema::{self, MIGRATOR};
use reqwest::{Method, StatusCode};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Connection as _, PgConnection, SqlStr};

use crate::support::outage::{
    AS_DEPLOYED, FIRST_SETTLED, SLACK, assert_done_once, assert_notifications_wake,
    assert_promises_kept, delete_users, enqueue, until_completed,
};
use crate::support::service::{ADMIN_TOKEN, Service, answer};
use crate::support::world::{Log, PATIENCE, World, apply_built_in_map};

/// What a newer program would bring: a step that widens, in a transaction, and an index that is built while
/// everything goes on.
fn of_a_newer_version() -> Migrator {
    let later = |version, description: &'static str, sql: &'static str, no_tx| {
        Migration::new(
            version,
            description.into(),
            MigrationType::Simple,
            SqlStr::from_static(sql),
            no_tx,
        )
    };
    let column = "alter table lethe.cleanup_tasks add column later text";
    let index = "create index concurrently cleanup_tasks_later_idx on lethe.cleanup_tasks (later)";
    let mut all: Vec<_> = MIGRATOR.iter().cloned().collect();
    all.push(later(9001, "a column", column, false));
    all.push(later(9002, "an index", index, true));
    schema::migrator(all)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_migration_under_load_stops_nobody() {
    let world = World::new().await;
    let tasks = enqueue(&world, 2000).await;
    let service = Service::start(&world).await;
    let logs = [Log::new(), Log::new(), Log::new()];
    let _workers = [
        world.logged(&["worker"], &AS_DEPLOYED, &logs[0]),
        world.logged(&["worker"], &AS_DEPLOYED, &logs[1]),
    ];
    until_completed(&world, 200).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let (promised, took) = tokio::join!(delete_users(&service, &stop), async {
        world
            .until("(select count(*) >= 20 from lethe.user_tombstones)")
            .await;
        let begun = Instant::now();
        let mut connection = PgConnection::connect(&world.url).await.unwrap();
        of_a_newer_version().run(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let took = begun.elapsed();
        let (done, promised) = (
            world.count("lethe.tasks where status = 'completed'").await,
            world.count("lethe.user_tombstones").await,
        );
        assert!(done < tasks, "it must be migrated before all is done");
        until_completed(&world, done + 100).await;
        world
            .until(&format!(
                "(select count(*) >= {promised} + 20 from lethe.user_tombstones)"
            ))
            .await;
        stop.cancel();
        took
    });
    // A process of this version, which is now the older one, started on the newer schema.
    let _late = world.logged(&["worker"], &AS_DEPLOYED, &logs[2]);
    world
        .until("(select count(*) = 3 from lethe.cleanup_workers where lost_at is null)")
        .await;
    let replica = Service::start(&world).await;
    let (status, ready) = answer(replica.request(Method::GET, "/health/ready", ADMIN_TOKEN)).await;
    assert_eq!(status, 200, "{ready}");
    let event = replica.user_deleted("msg_late", "user_late");
    assert_eq!(event.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    let migrated = world.run(&["migrate"], &[]).await;
    let said = String::from_utf8(migrated.stdout).unwrap();
    assert!(migrated.status.success(), "{said}");
    assert!(said.contains("ahead of this binary, at 9002"), "{said}");
    assert_promises_kept(&world, &promised).await;
    assert_done_once(&world, tasks).await;
    for log in &logs {
        assert!(!log.text().contains("\"error\":"), "{}", log.text());
        assert!(!log.text().contains("ERROR"), "{}", log.text());
    }
    let woken = assert_notifications_wake(&world).await;
    let refused = promised.last() != Some(&format!("user_{}", promised.len() - 1));
    assert!(!refused, "a webhook was refused");
    println!("migrated under load in {took:?}, woken within {woken:?} after");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_migrations_at_once_one_does_it() {
    let world = World::unmigrated().await;
    let (one, other) = tokio::join!(world.run(&["migrate"], &[]), world.run(&["migrate"], &[]));
    let said = [&one, &other].map(|run| String::from_utf8(run.stdout.clone()).unwrap());
    assert!(one.status.success() && other.status.success(), "{said:?}");
    for migration in MIGRATOR.iter() {
        let line = format!("applied {:04}", migration.version);
        let times = said.iter().filter(|said| said.contains(&line)).count();
        assert_eq!(times, 1, "{said:?}");
    }
    let applied = world.count("lethe._sqlx_migrations where success").await;
    assert_eq!(usize::try_from(applied), Ok(MIGRATOR.iter().count()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_newer_than_the_schema_waits_and_says_what_to_do() {
    let world = World::unmigrated().await;
    let mut older: Vec<_> = MIGRATOR.iter().cloned().collect();
    older.pop().unwrap();
    schema::migrator(older).run(&world.pool).await.unwrap();
    apply_built_in_map(&mut world.pool.acquire().await.unwrap()).await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    let task = world.delete_sample(sample).await;
    let log = Log::new();
    let _worker = world.logged(&["worker"], &[], &log);
    let service = Service::start(&world).await;
    let ready = service.request(Method::GET, "/health/ready", ADMIN_TOKEN);
    let (status, body) = answer(ready).await;
    assert_eq!(status, 503, "{body}");
    assert!(body.to_string().contains("run `lethe migrate`"), "{body}");
    log.until("run `lethe migrate`").await;
    assert_eq!(world.status(task).await, "pending");

    let migrated = world.run(&["migrate"], &[]).await;
    assert!(migrated.status.success());
    let begun = Instant::now();
    world.until_status(task, "completed").await;
    let worked = begun.elapsed();
    assert!(worked < FIRST_SETTLED + SLACK, "worked after {worked:?}");
    while answer(service.request(Method::GET, "/health/ready", ADMIN_TOKEN))
        .await
        .0
        != 200
    {
        assert!(begun.elapsed() < PATIENCE, "it does not get ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("newer than the schema: worked {worked:?} after `lethe migrate`");
}

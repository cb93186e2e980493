//! What a test of an outage asks at its end, and meanwhile.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::hostile_s3::Behaviour;
use super::service::{ADMIN_TOKEN, Service};
use super::world::{PATIENCE, World};

/// Poll interval and lease as people run them; small batches and a store that takes its time, so that work
/// lasts.
pub const AS_DEPLOYED: [(&str, &str); 4] = [
    ("CLEANUP_POLL_INTERVAL_MS", "5000"),
    ("CLEANUP_LEASE_MS", "30000"),
    ("CLEANUP_CLAIM_BATCH", "5"),
    ("CLEANUP_CONCURRENCY", "4"),
];
pub const POLL_INTERVAL: Duration = Duration::from_secs(5);
const STORE_DELAY: Duration = Duration::from_millis(30);
/// Within so long after the database's return the first task is to be settled.
pub const FIRST_SETTLED: Duration = Duration::from_secs(2);
/// For a machine that does other things besides.
pub const SLACK: Duration = Duration::from_secs(2);

/// A user whose samples are asked for deletion, one task each. Returns how many.
pub async fn enqueue(world: &World, count: i32) -> i64 {
    world.user("user_a").await;
    world.samples("user_a", "a/", count).await;
    world.s3.next_requests(Behaviour::Delay(STORE_DELAY), None);
    world
        .execute("select lethe.delete_sample(id, 'test') from samples")
        .await;
    i64::from(count)
}

pub async fn until_completed(world: &World, count: i64) {
    world
        .until(&format!(
            "(select count(*) >= {count} from lethe.tasks where status = 'completed')"
        ))
        .await;
}

/// All is done, once each, and nobody's attempt was used up.
pub async fn assert_done_once(world: &World, tasks: i64) {
    until_completed(world, tasks).await;
    // No attempt is used up by an outage of the database.
    world
        .expect_rows(
            "lethe.tasks where attempts <> 1 or status <> 'completed'",
            0,
        )
        .await;
    assert_eq!(
        world
            .one::<i64>(
                "select coalesce(sum(cardinality(object_keys)), 0)::bigint from lethe.audit"
            )
            .await,
        tasks,
        "each object stands once in the audit"
    );
    assert!(world.s3.keys().is_empty());
    world.expect_rows("samples", 0).await;
    world.expect_rows("sample_images", 0).await;
}

/// How long after now the first task is settled that was not before.
pub async fn first_settled(world: &World) -> Duration {
    let started = Instant::now();
    // Of a server that was stopped nothing is settled while it is away.
    world
        .until("exists (select from lethe.tasks where finished_at > pg_postmaster_start_time())")
        .await;
    started.elapsed()
}

/// Asks for a deletion of a sample that does not exist yet, until the answer is as it should be. Returns
/// how long that took.
pub async fn until_deletion_is(service: &Service, sample: Uuid, wanted: StatusCode) -> Duration {
    let started = Instant::now();
    loop {
        let request = service.request(Method::DELETE, &format!("/samples/{sample}"), ADMIN_TOKEN);
        let answer = request.send().await.unwrap();
        if answer.status() == wanted {
            return started.elapsed();
        }
        assert!(
            answer.status() == StatusCode::SERVICE_UNAVAILABLE && started.elapsed() < PATIENCE,
            "{}",
            answer.status()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The database is away: the answer says so, and when to come back.
pub async fn assert_unavailable(service: &Service, sample: Uuid) {
    let path = format!("/samples/{sample}");
    let answer = service.request(Method::DELETE, &path, ADMIN_TOKEN);
    let answer = answer.send().await.unwrap();
    assert_eq!(answer.status(), 503);
    let seconds = answer.headers()["retry-after"].to_str().unwrap();
    assert!(seconds.parse::<u64>().unwrap() > 0);
    let event = service.user_deleted(&format!("msg_{sample}"), "user_b");
    let answer = event.send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
}

/// Wakes by notification, thrice: each far sooner than the poll would. Returns the slowest.
pub async fn assert_notifications_wake(world: &World) -> Duration {
    let mut slowest = Duration::ZERO;
    world.s3.behave();
    for n in 0..3 {
        world
            .until(
                "not exists (select from lethe.cleanup_workers where lost_at is null and not sleeping)",
            )
            .await;
        let sample = world.sample("user_a", &[&format!("wake/{n}")]).await;
        let asked = Instant::now();
        let task = world.delete_sample(sample).await;
        world.until_status(task, "completed").await;
        slowest = slowest.max(asked.elapsed());
    }
    assert!(
        slowest < POLL_INTERVAL / 4,
        "woken after {slowest:?}: not by a notification"
    );
    slowest
}

/// Sends signed webhooks one after the other, each of another user, until it is told to stop. Returns the
/// users whose deletion was promised; whoever is refused is told when to come back.
pub async fn delete_users(service: &Service, stop: &CancellationToken) -> Vec<String> {
    let mut promised = Vec::new();
    for n in 0.. {
        if stop.is_cancelled() {
            break;
        }
        let user = format!("user_{n}");
        let event = service.user_deleted(&format!("msg_{n}"), &user);
        let answer = event.send().await.unwrap();
        if answer.status() == StatusCode::NO_CONTENT {
            promised.push(user);
        } else {
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(answer.headers().contains_key("retry-after"));
        }
    }
    promised
}

/// What was promised to these users is known, and done: no task is left.
pub async fn assert_promises_kept(world: &World, promised: &[String]) {
    let known: i64 =
        sqlx::query_scalar("select count(*) from lethe.user_tombstones where user_id = any ($1)")
            .bind(promised)
            .fetch_one(&world.pool)
            .await
            .unwrap();
    assert_eq!(
        usize::try_from(known),
        Ok(promised.len()),
        "a promise is lost"
    );
    world
        .until("not exists (select from lethe.tasks where status <> 'completed')")
        .await;
}

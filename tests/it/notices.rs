//! Outgoing notices: signed, delivered at least once whatever the receiver does, and never in the way of an erasure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lethe::notices::deliver::{self, Patience};
use lethe::notices::endpoint::{Endpoint, parse_secret};
use lethe::notices::manage;
use lethe::telemetry::metrics::Metrics;
use lethe::vocabulary::NoticeOutcome;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::receiver::{Receiver, SECRET};
use crate::support::world::{PATIENCE, World};

/// The deliveries of one worker.
struct Sender {
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Sender {
    async fn start(world: &World, receiver: &Receiver) -> Self {
        Self::start_with(world, receiver, patience()).await
    }

    /// Returns once the database knows where notices go.
    async fn start_with(world: &World, receiver: &Receiver, patience: Patience) -> Self {
        let secret = parse_secret(SECRET).unwrap();
        let endpoint = Endpoint::new(receiver.url().parse().unwrap(), vec![secret]);
        let metrics = Metrics::new().unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(deliver::run(
            world.pool.clone(),
            Some(endpoint),
            patience,
            30,
            Arc::clone(&metrics),
            stop.clone(),
        ));
        world
            .until("exists (select from lethe.notice_settings where endpoint is not null)")
            .await;
        Self {
            metrics,
            stop,
            task,
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// As a process that is killed.
    async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }

    fn count(&self, outcome: NoticeOutcome) -> u64 {
        self.metrics.notice_attempts.of(outcome).get()
    }
}

/// The defaults, quicker.
fn patience() -> Patience {
    Patience {
        connect: Duration::from_secs(1),
        request: Duration::from_millis(700),
        lease: Duration::from_secs(2),
        poll: Duration::from_millis(50),
        pauses: vec![Duration::from_millis(200); 100],
    }
}

async fn pause(world: &World) {
    world
        .execute("select lethe.pause('admin:alice', 'a secret reason')")
        .await;
}

async fn until_received(receiver: &Receiver, count: usize) {
    let begun = Instant::now();
    while receiver.received().len() < count {
        assert!(begun.elapsed() < PATIENCE, "{:?}", receiver.received());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const DELIVERED: &str =
    "(select count(*) > 0 and count(*) = count(delivered_at) from lethe.notices)";

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_is_told_of_once_signed_and_with_no_personal_data_but_the_id() {
    let world = World::new().await;
    let receiver = Receiver::start(204).await;
    let senders = [
        Sender::start(&world, &receiver).await,
        Sender::start(&world, &receiver).await,
    ];
    let worker = world.worker().await;
    world.user("user_told").await;
    world.sample("user_told", &["private/name.png"]).await;
    let task = world.delete_user("user_told").await;
    world.until_status(task, "completed").await;
    world.until(DELIVERED).await;
    worker.stop().await;
    let received = receiver.received();
    assert_eq!(received.len(), 1, "{received:?}");
    let notice = &received[0];
    assert!(notice.is_signed, "{notice:?}");
    assert_eq!(notice.body["type"], "erasure.completed", "{notice:?}");
    let data = &notice.body["data"];
    assert_eq!(data["userId"], "user_told", "{notice:?}");
    assert_eq!(data["taskId"], task.to_string(), "{notice:?}");
    assert_eq!(data["objectsDeleted"], 1, "{notice:?}");
    assert!(notice.body["timestamp"].as_str().unwrap().ends_with('Z'));
    assert!(!notice.body.to_string().contains("private"), "{notice:?}");
    let delivered: u64 = senders
        .iter()
        .map(|s| s.count(NoticeOutcome::Delivered))
        .sum();
    assert_eq!(delivered, 1);
    for sender in senders {
        sender.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_endpoint_nothing_is_written() {
    let world = World::new().await;
    let worker = world.worker().await;
    world.user("user_silent").await;
    let task = world.delete_user("user_silent").await;
    world.until_status(task, "completed").await;
    pause(&world).await;
    worker.stop().await;
    world.expect_rows("lethe.notices", 0).await;
    // What a worker without NOTIFY_WEBHOOK_URL records ends the notices of one before.
    manage::configure(&world.pool, Some(b"digest"))
        .await
        .unwrap();
    pause(&world).await;
    world.expect_rows("lethe.notices", 1).await;
    manage::configure(&world.pool, None).await.unwrap();
    pause(&world).await;
    world.expect_rows("lethe.notices", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_endpoint_old_notices_go_all_the_same() {
    let world = World::new().await;
    world
        .execute(
            "insert into lethe.notices (type, data, created_at, delivered_at)
             values ('cleanup.paused', '{}', now() - interval '31 days', now() - interval '31 days'),
                    ('cleanup.paused', '{}', now() - interval '29 days', now() - interval '29 days')",
        )
        .await;
    let stop = CancellationToken::new();
    let task = tokio::spawn(deliver::run(
        world.pool.clone(),
        None,
        Patience::default(),
        30,
        Metrics::new().unwrap(),
        stop.clone(),
    ));
    world
        .until("(select count(*) = 1 from lethe.notices)")
        .await;
    world
        .expect_rows(
            "lethe.notices where created_at > now() - interval '30 days'",
            1,
        )
        .await;
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_task_and_held_erasures_are_told_of_in_the_same_transaction() {
    let world = World::new().await;
    manage::configure(&world.pool, Some(b"digest"))
        .await
        .unwrap();
    // Longer than S3 allows.
    let key = "k".repeat(1_100);
    let worker = world.worker().await;
    world.user("user_dead").await;
    world.sample("user_dead", &[&key]).await;
    world.delete_user("user_dead").await;
    world
        .until("exists (select from lethe.cleanup_tasks where is_dead)")
        .await;
    worker.stop().await;
    let told = "lethe.notices where type = 'task.dead' and data ->> 'userId' = 'user_dead'
                and data ->> 'errorClass' = 'permanent' and not data::text like '%kkk%'";
    world.expect_rows(told, 1).await;
    world
        .execute("select lethe.configure('serve', 1, null, 'test')")
        .await;
    world.execute("delete from lethe.erasure_slots").await;
    for user in ["user_h1", "user_h2", "user_h3"] {
        world.user(user).await;
        world.delete_user(user).await;
    }
    world
        .expect_rows(
            "lethe.cleanup_tasks where held_reason is not null and kind = 'user-delete'",
            3,
        )
        .await;
    world
        .expect_rows("lethe.notices where type = 'erasures.held'", 1)
        .await;
    // What is rolled back is not told of.
    let mut tx = world.pool.begin().await.unwrap();
    sqlx::query("select lethe.pause('admin:alice', 'why')")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.rollback().await.unwrap();
    world
        .expect_rows("lethe.notices where type = 'cleanup.paused'", 0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_down_fails_or_redirects_gets_the_notice_in_the_end() {
    let world = World::new().await;
    let receiver = Receiver::start(204).await;
    let address = receiver.address;
    let sender = Sender::start(&world, &receiver).await;
    drop(receiver);
    pause(&world).await;
    world
        .until("exists (select from lethe.notices where attempts > 1 and last_error is not null)")
        .await;
    let receiver = Receiver::start_at(address, 500).await;
    for status in [500, 307, 0] {
        receiver.answer(status);
        until_received(&receiver, receiver.received().len() + 2).await;
        world
            .expect_rows("lethe.notices where delivered_at is null", 1)
            .await;
    }
    receiver.answer(200);
    world.until(DELIVERED).await;
    let received = receiver.received();
    let id: String = world.one("select id::text from lethe.notices").await;
    assert!(
        received.iter().all(|n| n.id == id && n.is_signed),
        "{received:?}"
    );
    assert_eq!(sender.count(NoticeOutcome::Delivered), 1);
    assert!(
        !received[0].body.to_string().contains("secret"),
        "{received:?}"
    );
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_delivery_is_made_again_after_its_lease_and_by_nobody_before() {
    let world = World::new().await;
    let receiver = Receiver::start(0).await;
    let slow = Patience {
        request: Duration::from_secs(60),
        ..patience()
    };
    let killed = Sender::start_with(&world, &receiver, slow).await;
    pause(&world).await;
    until_received(&receiver, 1).await;
    let begun = Instant::now();
    killed.kill().await;
    receiver.answer(204);
    let next = Sender::start(&world, &receiver).await;
    world.until(DELIVERED).await;
    assert!(
        begun.elapsed() > Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    let received = receiver.received();
    assert_eq!(received.len(), 2, "{received:?}");
    assert_eq!(received[0].id, received[1].id);
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_ends_the_notices_until_a_person_retries() {
    let world = World::new().await;
    let receiver = Receiver::start(410).await;
    let sender = Sender::start(&world, &receiver).await;
    pause(&world).await;
    world
        .until("exists (select from lethe.notice_settings where disabled_at is not null)")
        .await;
    world
        .until("exists (select from lethe.notices where last_error like '%410%')")
        .await;
    pause(&world).await;
    world.expect_rows("lethe.notices", 1).await;
    assert_eq!(receiver.received().len(), 1);
    receiver.answer(204);
    assert_eq!(manage::retry(&world.pool, None).await.unwrap(), 1);
    world.until(DELIVERED).await;
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_failure_gives_up_visibly_and_a_person_may_retry() {
    let world = World::new().await;
    let receiver = Receiver::start(500).await;
    let hasty = Patience {
        pauses: vec![Duration::from_millis(50)],
        ..patience()
    };
    let sender = Sender::start_with(&world, &receiver, hasty).await;
    pause(&world).await;
    world
        .until("exists (select from lethe.notices where given_up_at is not null)")
        .await;
    assert_eq!(receiver.received().len(), 2);
    let listed = manage::undelivered(&world.pool, 10).await.unwrap();
    assert!(listed.len() == 1 && listed[0].given_up, "{listed:?}");
    assert_eq!(sender.count(NoticeOutcome::GivenUp), 1);
    receiver.answer(204);
    assert_eq!(
        manage::retry(&world.pool, Some(&[listed[0].id]))
            .await
            .unwrap(),
        1
    );
    world.until(DELIVERED).await;
    world
        .execute("update lethe.notices set created_at = now() - interval '31 days'")
        .await;
    assert_eq!(manage::prune(&world.pool, 30).await.unwrap(), 1);
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_answers_does_not_hold_up_the_erasures_of_a_worker() {
    let world = World::new().await;
    let receiver = Receiver::start(0).await;
    let environment = [
        ("NOTIFY_WEBHOOK_URL", receiver.url()),
        ("NOTIFY_WEBHOOK_SECRET", SECRET.to_owned()),
    ];
    let environment = environment
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let _worker = world.process(&["worker"], &environment);
    world
        .until("exists (select from lethe.notice_settings where endpoint is not null)")
        .await;
    for number in 0..40 {
        let user = format!("user_n{number}");
        world.user(&user).await;
        let task = world.delete_user(&user).await;
        if number == 0 {
            world.until_status(task, "completed").await;
            until_received(&receiver, 1).await;
        }
    }
    // A request has 15 s: each of these erasures ends while the first one waits.
    let begun = Instant::now();
    world
        .until("(select count(*) = 40 from lethe.receipts)")
        .await;
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    world
        .expect_rows("lethe.notices where delivered_at is null", 40)
        .await;
}

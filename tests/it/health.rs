//! `/health/ready` and `/metrics` while something is away.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use reqwest::StatusCode;

use crate::support::hostile_s3::Behaviour;
use crate::support::service::Service;
use crate::support::tcp_proxy::TcpProxy;
use crate::support::world::{Log, PATIENCE, World};

/// A scrape waits 1 s for the database; the rest is for a busy machine.
const SCRAPE_LIMIT: Duration = Duration::from_secs(3);
/// The series that are read from the database.
const FROM_DATABASE: [&str; 5] = [
    "\nlethe_tasks{status=",
    "\nlethe_oldest_due_task_age_seconds ",
    "\nlethe_oldest_unfinished_erasure_age_seconds ",
    "\nlethe_reconcile_stopped{source=",
    "\nlethe_reconcile_failed{source=",
];

async fn scrape(service: &Service) -> String {
    let begun = Instant::now();
    let request = service.client.get(format!("{}/metrics", service.url));
    let text = request.send().await.unwrap().text().await.unwrap();
    assert!(begun.elapsed() < SCRAPE_LIMIT, "{:?}", begun.elapsed());
    text
}

async fn until_scrape_says(service: &Service, line: &str) -> String {
    let begun = Instant::now();
    loop {
        let metrics = scrape(service).await;
        if metrics.contains(line) {
            return metrics;
        }
        assert!(begun.elapsed() < PATIENCE, "no {line} in {metrics}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[track_caller]
fn assert_database_is_up(metrics: &str) {
    assert!(metrics.contains("\nlethe_database_up 1\n"), "{metrics}");
    for series in FROM_DATABASE {
        assert!(metrics.contains(series), "{series} is not in {metrics}");
    }
}

#[track_caller]
fn assert_database_is_down(metrics: &str) {
    assert!(metrics.contains("\nlethe_database_up 0\n"), "{metrics}");
    for series in FROM_DATABASE {
        assert!(!metrics.contains(series), "{series} is in {metrics}");
    }
    let counter = "lethe_webhook_events_total{outcome=\"accepted\"} 0";
    assert!(metrics.contains(counter), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_leave_out_what_a_database_that_was_never_there_would_say() {
    let world = World::new().await;
    let dead = ("DATABASE_URL", "postgres://nobody@127.0.0.1:9/none");
    let service = Service::start_with(&world, &[dead]).await;
    assert_database_is_down(&scrape(&service).await);
}

/// A pool that tries in vain only says that the time is over.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_why_there_is_no_connection_to_the_database() {
    let world = World::new().await;
    let (account, place) = world.url.split_once('@').unwrap();
    let (user, _) = account.rsplit_once(':').unwrap();
    let wrong = format!("{user}:wrong@{place}");
    for (url, cause) in [
        ("postgres://nobody@127.0.0.1:9/none", "Connection refused"),
        (wrong.as_str(), "password authentication failed"),
    ] {
        for (role, message) in [
            ("serve", "cannot record the limit of erasures"),
            (
                "serve",
                "not ready: the database does not answer as it should",
            ),
            ("worker", "waiting for the database"),
        ] {
            let log = Log::new();
            let more = [("DATABASE_URL", url), ("LOG_FORMAT", "json")];
            let running = match role {
                "serve" => {
                    let service = Service::start_logged(&world, &more, &log).await;
                    let ready = service.client.get(format!("{}/health/ready", service.url));
                    assert_eq!(ready.send().await.unwrap().status(), 503);
                    Running::Service(service)
                }
                _ => Running::Worker(world.logged(&["worker"], &more, &log)),
            };
            log.until(message).await;
            let text = log.text();
            let line = text.lines().find(|line| line.contains(message)).unwrap();
            assert!(line.contains(cause), "{line}");
            drop(running);
        }
    }
}

/// A process, until it is dropped.
#[expect(dead_code, reason = "it only has to be there")]
enum Running {
    Service(Service),
    Worker(tokio::process::Child),
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_leave_out_what_a_vanished_database_said_last() {
    let world = World::new().await;
    let (_, place) = world.url.split_once('@').unwrap();
    let (address, _) = place.split_once('/').unwrap();
    let port = address.rsplit_once(':').unwrap().1.parse().unwrap();
    let proxy = TcpProxy::start(port);
    let url = world.url.replace(address, &proxy.address.to_string());
    let service = Service::start_with(&world, &[("DATABASE_URL", &url)]).await;
    assert_database_is_up(&scrape(&service).await);
    proxy.vanish();
    until_scrape_says(&service, "\nlethe_database_up 0\n").await;
    assert_database_is_down(&scrape(&service).await);
    assert_database_is_down(&scrape(&service).await);
    proxy.come_back();
    assert_database_is_up(&until_scrape_says(&service, "\nlethe_database_up 1\n").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_without_one_of_its_functions_is_not_ready() {
    let world = World::new().await;
    let service = Service::start(&world).await;
    let url = format!("{}/health/ready", service.url);
    assert_eq!(reqwest::get(&url).await.unwrap().status(), StatusCode::OK);
    world.execute("drop function lethe.pause(text, text)").await;
    // An answer is given to everybody for a second.
    let begun = Instant::now();
    let text = loop {
        let answer = reqwest::get(&url).await.unwrap();
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            break answer.text().await.unwrap();
        }
        assert!(begun.elapsed() < PATIENCE, "still ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(text.contains("lethe migrate"), "{text}");
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

async fn until_readiness_is(address: &str, status: StatusCode) -> String {
    let begun = Instant::now();
    loop {
        if let Ok(ready) = reqwest::get(format!("http://{address}/health/ready")).await
            && ready.status() == status
        {
            return ready.text().await.unwrap();
        }
        assert!(begun.elapsed() < PATIENCE, "never {status}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Without a task a worker has no other reason to ask its bucket.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_ready_only_after_its_bucket_answered() {
    let world = World::new().await;
    world.s3.only_bucket("another");
    let (address, log) = (free_address(), Log::new());
    let _worker = world.logged(&["worker"], &[("METRICS_ADDR", &address)], &log);
    log.until("the bucket does not answer as it should").await;
    log.until("worker started").await;
    for _ in 0..50 {
        let ready = reqwest::get(format!("http://{address}/health/ready")).await;
        assert_eq!(ready.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let body = until_readiness_is(&address, StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(body.contains("object store"), "{body}");
    world.s3.only_bucket("lethe");
    until_readiness_is(&address, StatusCode::OK).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_keeps_the_stores_words_to_the_log() {
    const WORDS: &str = "User: arn:aws:iam::123456789012:role/lethe is not authorized";
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    let denied = Behaviour::Refuse(403, "AccessDenied", WORDS);
    world.s3.next_requests(denied, None);
    world.delete_sample(sample).await;
    let address = free_address();
    let log = Log::new();
    let _worker = world.logged(&["worker"], &[("METRICS_ADDR", &address)], &log);
    log.until("arn:aws:iam").await;
    let body = until_readiness_is(&address, StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(
        body.contains("object store") && body.contains("outage"),
        "{body}"
    );
    assert!(
        !body.contains("arn:") && !body.contains("123456789012"),
        "{body}"
    );
}

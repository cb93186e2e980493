//! Delivers notices in the background of a worker. No transaction is open during a request, and nothing else waits for
//! one.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures::future::join_all;
use reqwest::{Client, StatusCode};
use serde::Serialize;
use sqlx::{PgPool, query_file, query_file_as};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::endpoint::{self, Endpoint};
use super::manage;
use crate::cause::chain;
use crate::db::timeout::{STATEMENT_LIMIT, with_timeout};
use crate::telemetry::metrics::Metrics;
use crate::vocabulary::{NoticeOutcome, Timestamp};

/// Requests in flight in one worker.
const CONCURRENCY: i64 = 16;
/// How often notices are pruned.
const PRUNE_INTERVAL: Duration = Duration::from_secs(600);
/// A pause is longer or shorter by up to this share, so that many notices do not come at once.
const JITTER: f64 = 0.2;

/// How long is waited for what.
#[derive(Debug, Clone)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For an answer. What did not answer by then failed.
    pub request: Duration,
    /// After this time another worker takes over. Longer than `request` and a commit.
    pub lease: Duration,
    /// How often a worker looks for due notices.
    pub poll: Duration,
    /// The pauses after the first, second and each further failed attempt. After the last one the notice is given up.
    pub pauses: Vec<Duration>,
}

impl Default for Patience {
    /// The schedule that Standard Webhooks recommends: ten attempts within three days.
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        let pauses = [
            5,
            5 * MINUTE,
            30 * MINUTE,
            2 * HOUR,
            5 * HOUR,
            10 * HOUR,
            14 * HOUR,
            20 * HOUR,
            24 * HOUR,
        ];
        Self {
            connect: Duration::from_secs(5),
            request: Duration::from_secs(15),
            lease: Duration::from_secs(60),
            poll: Duration::from_secs(1),
            pauses: pauses.map(Duration::from_secs).to_vec(),
        }
    }
}

impl Patience {
    /// The pause after this many attempts; `None` if no further one is made.
    fn pause_after(&self, attempts: i32) -> Option<Duration> {
        let attempt = usize::try_from(attempts.max(1) - 1).unwrap_or(usize::MAX);
        let pause = self.pauses.get(attempt)?;
        Some(pause.mul_f64(1.0 + JITTER * (2.0 * rand::random::<f64>() - 1.0)))
    }
}

/// A notice that this worker delivers now.
struct Claimed {
    id: Uuid,
    kind: String,
    created_at: Timestamp,
    data: serde_json::Value,
    attempts: i32,
}

/// What the receiver reads.
#[derive(Serialize)]
struct Body<'a> {
    r#type: &'a str,
    timestamp: String,
    data: &'a serde_json::Value,
}

/// Why a notice was not delivered.
enum Failure {
    /// 410: the receiver wants no more.
    Gone,
    /// In words for the database.
    Other(String),
}

/// Records where notices go, then delivers them until cancelled. Any number of workers may run it. A delivery under way
/// is cut off; it is made again, with the same `webhook-id`, when its lease is over.
pub async fn run(
    pool: PgPool,
    endpoint: Option<Endpoint>,
    patience: Patience,
    retention_days: u32,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let work = async {
        let digest = endpoint.as_ref().map(Endpoint::digest);
        record(&pool, digest.as_deref(), &patience).await;
        let Some(endpoint) = endpoint else {
            // What was written for an endpoint of before names users, so it goes when its time is over.
            loop {
                prune(&pool, retention_days).await;
                sleep(PRUNE_INTERVAL).await;
            }
        };
        let client = endpoint::client(patience.connect, patience.request);
        match client {
            Ok(client) => {
                let sender = Sender {
                    pool,
                    endpoint,
                    patience,
                    metrics,
                    client,
                };
                sender.run(retention_days).await;
            }
            Err(error) => tracing::error!(
                error = chain(&error),
                "notices are not delivered: the HTTP client cannot be set up"
            ),
        }
    };
    stop.run_until_cancelled(work).await;
}

async fn record(pool: &PgPool, digest: Option<&[u8]>, patience: &Patience) {
    while let Err(error) = with_timeout(STATEMENT_LIMIT, manage::configure(pool, digest)).await {
        tracing::warn!(
            error = chain(&error),
            "cannot record in the database where notices go; trying again"
        );
        sleep(patience.poll).await;
    }
}

async fn prune(pool: &PgPool, retention_days: u32) {
    let pruning = manage::prune(pool, retention_days);
    if let Err(error) = with_timeout(STATEMENT_LIMIT, pruning).await {
        tracing::warn!(
            error = chain(&error),
            "cannot prune notices; trying again later"
        );
    }
}

struct Sender {
    pool: PgPool,
    endpoint: Endpoint,
    patience: Patience,
    metrics: Arc<Metrics>,
    client: Client,
}

impl Sender {
    async fn run(&self, retention_days: u32) {
        let mut pruned: Option<Instant> = None;
        loop {
            if pruned.is_none_or(|at| at.elapsed() >= PRUNE_INTERVAL) {
                prune(&self.pool, retention_days).await;
                pruned = Some(Instant::now());
            }
            match with_timeout(STATEMENT_LIMIT, self.claim()).await {
                Ok(notices) => {
                    let is_full = i64::try_from(notices.len()).is_ok_and(|n| n == CONCURRENCY);
                    join_all(notices.iter().map(|notice| self.deliver(notice))).await;
                    if is_full {
                        continue;
                    }
                }
                Err(error) => tracing::warn!(
                    error = chain(&error),
                    "cannot read the notices that are due; trying again"
                ),
            }
            sleep(self.patience.poll).await;
        }
    }

    async fn claim(&self) -> Result<Vec<Claimed>, sqlx::Error> {
        query_file_as!(
            Claimed,
            "sql/notices/claim.sql",
            CONCURRENCY,
            self.patience.lease.as_secs_f64(),
            self.endpoint.digest()
        )
        .fetch_all(&self.pool)
        .await
    }

    /// Delivers one notice, and records how that ended. If it cannot be recorded, the notice is delivered again.
    async fn deliver(&self, notice: &Claimed) {
        let sent = self.send(notice).await;
        let outcome = match &sent {
            Ok(()) => NoticeOutcome::Delivered,
            Err(_) if self.patience.pause_after(notice.attempts).is_none() => {
                NoticeOutcome::GivenUp
            }
            Err(_) => NoticeOutcome::Failed,
        };
        self.metrics.notice_attempts.of(outcome).inc();
        if let Err(error) = with_timeout(STATEMENT_LIMIT, self.settle(notice, sent)).await {
            tracing::warn!(
                error = chain(&error),
                notice = %notice.id,
                "cannot record how the delivery of a notice ended; it is delivered again"
            );
        }
    }

    async fn send(&self, notice: &Claimed) -> Result<(), Failure> {
        let body = Body {
            r#type: &notice.kind,
            timestamp: notice.created_at.to_string(),
            data: &notice.data,
        };
        let body =
            serde_json::to_string(&body).map_err(|error| Failure::Other(error.to_string()))?;
        let at = Utc::now().timestamp();
        let signature = self
            .endpoint
            .sign(notice.id, at, &body)
            .map_err(|error| Failure::Other(error.to_string()))?;
        let answer = self
            .client
            .post(self.endpoint.url())
            .header("content-type", "application/json")
            .header("webhook-id", notice.id.to_string())
            .header("webhook-timestamp", at.to_string())
            .header("webhook-signature", signature)
            .body(body)
            .send()
            .await
            // The URL may hold a token.
            .map_err(|error| Failure::Other(chain(&error.without_url())))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            StatusCode::GONE => Err(Failure::Gone),
            status => Err(Failure::Other(format!("the receiver answered {status}"))),
        }
    }

    async fn settle(&self, notice: &Claimed, sent: Result<(), Failure>) -> Result<(), sqlx::Error> {
        let error = match sent {
            Ok(()) => {
                query_file!("sql/notices/delivered.sql", notice.id)
                    .execute(&self.pool)
                    .await?;
                return Ok(());
            }
            Err(Failure::Gone) => {
                query_file!("sql/notices/disable.sql", self.endpoint.digest())
                    .fetch_one(&self.pool)
                    .await?;
                tracing::error!(
                    host = self.endpoint.host(),
                    "the receiver of notices answered 410 Gone; no notice is written or delivered until NOTIFY_WEBHOOK_URL \
                     changes, or somebody runs `lethe notices retry --all`"
                );
                "the receiver answered 410 Gone".to_owned()
            }
            Err(Failure::Other(error)) => error,
        };
        let pause = self.patience.pause_after(notice.attempts);
        tracing::warn!(
            notice = %notice.id,
            kind = notice.kind,
            attempts = notice.attempts,
            error,
            "a notice was not delivered; {}",
            match pause {
                Some(_) => "it is tried again later",
                None => "it is given up until somebody runs `lethe notices retry`",
            }
        );
        query_file!(
            "sql/notices/failed.sql",
            notice.id,
            notice.attempts,
            error,
            pause.map(|pause| pause.as_secs_f64())
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

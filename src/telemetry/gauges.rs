//! The gauges that come from the database, read when somebody asks for the metrics.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::{PgPool, query_file, query_file_as};
use tokio::{sync::Mutex, time::timeout};

use super::metrics::Metrics;

/// However many ask, the database is asked once in so long.
const MIN_AGE: Duration = Duration::from_secs(5);
/// And so rarely that it is busy with it one part in fifty: counting ten million tasks takes a second.
const REST_FACTOR: u32 = 50;
/// A scrape waits no longer for the database than this (Prometheus itself gives up after 10 s).
const MAX_WAIT: Duration = Duration::from_secs(4);

/// Counts and ages of the whole queue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QueueState {
    pub pending: i64,
    pub running: i64,
    pub failed: i64,
    pub completed: i64,
    pub dead: i64,
    pub cancelled: i64,
    pub oldest_due_seconds: f64,
    pub oldest_erasure_seconds: f64,
}

impl QueueState {
    /// # Errors
    /// Of the database.
    pub async fn read<'e>(executor: impl sqlx::PgExecutor<'e>) -> Result<QueueState, sqlx::Error> {
        query_file_as!(QueueState, "sql/telemetry/queue_state.sql")
            .fetch_one(executor)
            .await
    }
}

/// Keeps the gauges of one process as fresh as they need to be.
#[derive(Debug)]
pub struct Gauges {
    pool: PgPool,
    metrics: Arc<Metrics>,
    due: Mutex<Option<Instant>>,
}

impl Gauges {
    pub fn new(pool: PgPool, metrics: Arc<Metrics>) -> Self {
        Self {
            pool,
            metrics,
            due: Mutex::new(None),
        }
    }

    /// All metrics as text. Without a database the gauges keep what they last showed, and the
    /// counters are shown all the same.
    ///
    /// # Errors
    /// As [`Metrics::render`].
    pub async fn scrape(&self) -> Result<String, prometheus::Error> {
        let mut due = self.due.lock().await;
        let begun = Instant::now();
        if due.is_none_or(|due| begun >= due) {
            match timeout(MAX_WAIT, self.read()).await {
                Ok(Ok(state)) => self.show(state),
                Ok(Err(error)) => tracing::debug!(%error, "the gauges could not be refreshed"),
                Err(_) => tracing::debug!("the database took too long to refresh the gauges"),
            }
            // Apart, because an older database does not have it.
            match timeout(MAX_WAIT, self.read_reconciliations()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "reconciliations cannot be shown"),
                Err(_) => tracing::debug!("the database took too long to show reconciliations"),
            }
            *due = Some(begun + MIN_AGE.max(begun.elapsed() * REST_FACTOR));
        }
        drop(due);
        self.metrics.render()
    }

    /// Dropped by a time-out, the query must still end: hence the limit of its own.
    async fn read(&self) -> Result<QueueState, sqlx::Error> {
        let begin = "begin read only; set local statement_timeout = '4s'";
        let mut transaction = self.pool.begin_with(begin).await?;
        let state = QueueState::read(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(state)
    }

    async fn read_reconciliations(&self) -> Result<(), sqlx::Error> {
        let begin = "begin read only; set local statement_timeout = '4s'";
        let mut transaction = self.pool.begin_with(begin).await?;
        let rows = query_file!("sql/telemetry/reconciliations.sql")
            .fetch_all(&mut *transaction)
            .await?;
        transaction.commit().await?;
        for row in rows {
            let gauges = [
                (&self.metrics.reconcile_stopped, row.stopped),
                (&self.metrics.reconcile_failed, row.failed),
            ];
            for (gauge, is_so) in gauges {
                gauge
                    .with_label_values(&[&row.source])
                    .set(i64::from(is_so));
            }
        }
        Ok(())
    }

    fn show(&self, state: QueueState) {
        for (status, count) in [
            ("pending", state.pending),
            ("running", state.running),
            ("failed", state.failed),
            ("completed", state.completed),
            ("dead", state.dead),
            ("cancelled", state.cancelled),
        ] {
            self.metrics.tasks.with_label_values(&[status]).set(count);
        }
        self.metrics.oldest_due.set(state.oldest_due_seconds);
        self.metrics
            .oldest_erasure
            .set(state.oldest_erasure_seconds);
    }
}

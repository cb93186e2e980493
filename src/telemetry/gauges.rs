//! The gauges that come from the database, read when somebody asks for the metrics.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::{PgPool, query_file};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::metrics::Metrics;
use crate::cause::chain;
use crate::db::timeout::with_timeout;
use crate::recent::Recent;
use crate::safety::SafetyState;
use crate::tasks::QueueState;
use crate::vocabulary::{ReconcileSource, TaskStatus};

/// A scrape waits no longer for the database than this. Prometheus itself gives up after 10 s, and many set 5 s.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// Whether the database answers is asked at most once in this time, so that scrapes by anybody cost one connection.
const UP_AGE: Duration = Duration::from_secs(1);
/// The gauges are read at most once in this time, however many scrapes there are.
const MIN_AGE: Duration = Duration::from_secs(5);
/// After a reading, the database rests this many times as long as the reading took: counting ten million tasks
/// takes a second.
const REST_FACTOR: u32 = 50;
/// Begins a reading, which the server ends after 4 s.
const BEGIN: &str = "begin read only; set local statement_timeout = '4s'";
/// No answer within this time means that none will come. Longer than the server's own limit.
const READ_LIMIT: Duration = Duration::from_secs(6);

/// Reads the gauges of one process from the database when they are asked for.
#[derive(Debug)]
pub struct Gauges {
    reader: Arc<GaugeReader>,
    is_up: Recent<bool>,
}

#[derive(Debug)]
struct GaugeReader {
    pool: PgPool,
    metrics: Arc<Metrics>,
    /// When the next reading is due. Held during a reading, so that there is one at a time.
    due: Mutex<Option<Instant>>,
}

impl Gauges {
    pub fn new(pool: PgPool, metrics: Arc<Metrics>) -> Self {
        let reader = Arc::new(GaugeReader {
            pool,
            metrics,
            due: Mutex::new(None),
        });
        Self {
            reader,
            is_up: Recent::new(UP_AGE),
        }
    }

    /// All metrics as text, after 1 s at most. What could not be read from the database is left out.
    ///
    /// # Errors
    /// As [`Metrics::render`].
    pub async fn scrape(&self) -> Result<String, prometheus::Error> {
        let deadline = Instant::now() + MAX_WAIT;
        // The pool gives out a connection only after the server answered on it.
        let is_up = async {
            with_timeout(MAX_WAIT, self.reader.pool.acquire())
                .await
                .is_ok()
        };
        let is_up = self.is_up.get(is_up).await;
        if is_up {
            // A reading that takes longer goes on, and a later scrape shows it. Until then the one before is
            // shown.
            let reading = tokio::spawn(Arc::clone(&self.reader).refresh());
            let _ = timeout_at(deadline, reading).await;
        }
        self.reader.metrics.render(is_up)
    }
}

impl GaugeReader {
    async fn refresh(self: Arc<Self>) {
        let mut due = self.due.lock().await;
        let begun = Instant::now();
        if due.is_some_and(|due| begun < due) {
            return;
        }
        let queue = with_timeout(READ_LIMIT, self.read_queue()).await;
        report("queue", &queue);
        let gauges = &self.metrics.database;
        let is_read = &gauges.queue.is_read;
        is_read.store(queue.is_ok(), Ordering::Relaxed);
        // Read apart, because a database that an older version migrated does not have the table.
        let reconciliations = with_timeout(READ_LIMIT, self.read_reconciliations()).await;
        report("reconciliations", &reconciliations);
        let is_read = &gauges.reconciliations.is_read;
        is_read.store(reconciliations.is_ok(), Ordering::Relaxed);
        let safety = with_timeout(READ_LIMIT, self.read_safety()).await;
        report("pause and held erasures", &safety);
        let is_read = &gauges.safety.is_read;
        is_read.store(safety.is_ok(), Ordering::Relaxed);
        let notices = with_timeout(READ_LIMIT, self.read_notices()).await;
        report("notices", &notices);
        let is_read = &gauges.notices.is_read;
        is_read.store(notices.is_ok(), Ordering::Relaxed);
        *due = Some(begun + MIN_AGE.max(begun.elapsed() * REST_FACTOR));
    }

    async fn read_queue(&self) -> Result<(), sqlx::Error> {
        let mut tx = self.pool.begin_with(BEGIN).await?;
        let state = QueueState::read(&mut *tx).await?;
        tx.commit().await?;
        let gauges = &self.metrics.database.queue;
        for status in TaskStatus::ALL {
            gauges.tasks.of(*status).set(state.tasks.count(*status));
        }
        gauges.oldest_due.set(state.oldest_due_seconds);
        gauges.oldest_erasure.set(state.oldest_erasure_seconds);
        Ok(())
    }

    async fn read_safety(&self) -> Result<(), sqlx::Error> {
        let mut tx = self.pool.begin_with(BEGIN).await?;
        let state = SafetyState::read(&mut *tx).await?;
        tx.commit().await?;
        let gauges = &self.metrics.database.safety;
        gauges.paused.set(i64::from(state.pause.is_some()));
        gauges.held.set(state.held);
        let is_map_incomplete = i64::from(state.is_map_incomplete);
        gauges.map_incomplete.set(is_map_incomplete);
        Ok(())
    }

    async fn read_notices(&self) -> Result<(), sqlx::Error> {
        let mut tx = self.pool.begin_with(BEGIN).await?;
        let state = query_file!("sql/telemetry/notices.sql")
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        let gauges = &self.metrics.database.notices;
        gauges.waiting.set(state.waiting);
        gauges.given_up.set(state.given_up);
        gauges.disabled.set(i64::from(state.disabled));
        gauges.oldest.set(state.oldest_seconds);
        Ok(())
    }

    async fn read_reconciliations(&self) -> Result<(), sqlx::Error> {
        let mut tx = self.pool.begin_with(BEGIN).await?;
        let rows = query_file!("sql/telemetry/reconciliations.sql")
            .fetch_all(&mut *tx)
            .await?;
        tx.commit().await?;
        let gauges = &self.metrics.database.reconciliations;
        for row in rows {
            // A newer version may compare with a source that this one does not know.
            if let Some(source) = ReconcileSource::parse(&row.source) {
                gauges.stopped.of(source).set(i64::from(row.stopped));
                gauges.failed.of(source).set(i64::from(row.failed));
            }
        }
        Ok(())
    }
}

fn report(what: &str, reading: &Result<(), sqlx::Error>) {
    if let Err(error) = reading {
        let error = chain(error);
        tracing::warn!(
            what,
            error,
            "gauges were not read from the database; /metrics leaves them out"
        );
    }
}

//! A worker's row, whose beat renews all of its leases at once.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::due::Due;
use crate::db::timeout::{STATEMENT_LIMIT, with_timeout};

/// A worker stops asking the store for a task's keys this part of the lease before it ends: a database
/// cannot fence S3.
const MARGIN_DIVISOR: u32 = 5;

/// What this process knows of its own lease, by its own monotonic clock, counted from before each beat
/// was sent: it always ends here before it ends in the database.
#[derive(Debug)]
pub struct Lease {
    /// This boot's id: `cleanup_tasks.lease_owner`.
    pub worker: String,
    length: Duration,
    valid_until: Mutex<Instant>,
}

/// What a look found.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Whether the lease stands. If not, others took this worker for dead: it needs a new id.
    pub renewed: bool,
    /// So many workers are alive, this one among them.
    pub alive: i64,
    /// So many were declared lost by this look.
    pub newly_lost: i64,
    /// Lost workers may still hold tasks.
    pub to_rescue: bool,
    /// What is due, from the marks on from which it looked.
    pub due: Due,
}

struct LookRow {
    renewed: bool,
    alive: i64,
    newly_lost: i64,
    to_rescue: bool,
    now: DateTime<Utc>,
    first_due: Vec<Option<DateTime<Utc>>>,
    took_seconds: f64,
}

impl Lease {
    /// Registers a worker under a new id.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn register(
        pool: &PgPool,
        name: &str,
        length: Duration,
    ) -> Result<Self, sqlx::Error> {
        let suffix = uuid::Uuid::new_v4().simple().to_string();
        let worker = format!("{name}-{}", &suffix[..8]);
        let sent = Instant::now();
        let registered = sqlx::query_file!(
            "sql/queue/register_worker.sql",
            worker,
            length.as_secs_f64()
        )
        .execute(pool);
        with_timeout(STATEMENT_LIMIT, registered).await?;
        Ok(Self {
            worker,
            length,
            valid_until: Mutex::new(sent + length),
        })
    }

    /// Renews every lease of this worker and looks around: what a worker asks once in a poll interval.
    /// `may_declare_lost` is false after a gap in this worker's own beats: everybody looks lost then.
    /// `watermarks` are the due times, by lane, from which on it looks for due tasks.
    ///
    /// # Errors
    /// When the database cannot be asked: the lease goes on until its end.
    pub async fn look<'c>(
        &self,
        executor: impl sqlx::PgExecutor<'c>,
        may_declare_lost: bool,
        watermarks: [DateTime<Utc>; 3],
    ) -> Result<Look, sqlx::Error> {
        let sent = Instant::now();
        let asked = sqlx::query_file_as!(
            LookRow,
            "sql/queue/look.sql",
            self.worker,
            self.length.as_secs_f64(),
            may_declare_lost,
            &watermarks
        )
        .fetch_one(executor);
        let look = with_timeout(STATEMENT_LIMIT, asked).await?;
        if look.renewed {
            *self.lock() = sent + self.length;
        }
        Ok(Look {
            renewed: look.renewed,
            alive: look.alive,
            newly_lost: look.newly_lost,
            to_rescue: look.to_rescue,
            due: Due {
                now: look.now,
                first: look.first_due,
                took_seconds: look.took_seconds,
            },
        })
    }

    /// Until when the store may be asked for a key of this worker's tasks.
    #[must_use]
    pub fn usable_until(&self) -> Instant {
        *self.lock() - self.length / MARGIN_DIVISOR
    }

    /// Whether the lease still stands, with its margin.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        Instant::now() < self.usable_until()
    }

    /// Waits until the lease is no longer usable; for ever, as long as it is renewed.
    pub async fn ended(&self) {
        while self.is_usable() {
            tokio::time::sleep_until(self.usable_until().into()).await;
        }
    }

    /// Says whether this worker wants to be notified.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn set_sleeping(&self, pool: &PgPool, sleeping: bool) -> Result<(), sqlx::Error> {
        let said =
            sqlx::query_file!("sql/queue/set_sleeping.sql", self.worker, sleeping).execute(pool);
        with_timeout(STATEMENT_LIMIT, said).await?;
        Ok(())
    }

    /// Leaves in order: from now on this worker can claim nothing. What it still holds is taken up by others
    /// at their next look.
    ///
    /// # Errors
    /// When the database cannot be asked: others will find the row expired.
    pub async fn leave(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let left = sqlx::query_file!("sql/queue/leave.sql", self.worker).execute(pool);
        with_timeout(STATEMENT_LIMIT, left).await?;
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Instant> {
        // An Instant is whole whatever panicked while it was held.
        self.valid_until
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

//! A worker's row, whose beat renews all of its leases at once.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use sqlx::PgPool;

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

/// What a beat found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Renewed; so many workers are alive, this one among them.
    Renewed { alive: i64 },
    /// Others took this worker for dead and took its tasks. It needs a new id.
    Lost,
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
        sqlx::query_file!(
            "sql/queue/register_worker.sql",
            worker,
            length.as_secs_f64()
        )
        .execute(pool)
        .await?;
        Ok(Self {
            worker,
            length,
            valid_until: Mutex::new(sent + length),
        })
    }

    /// Renews every lease of this worker.
    ///
    /// # Errors
    /// When the database cannot be asked: the lease goes on until its end.
    pub async fn beat(&self, pool: &PgPool) -> Result<Beat, sqlx::Error> {
        let sent = Instant::now();
        let alive =
            sqlx::query_file_scalar!("sql/queue/beat.sql", self.worker, self.length.as_secs_f64())
                .fetch_optional(pool)
                .await?;
        let Some(alive) = alive else {
            return Ok(Beat::Lost);
        };
        *self.lock() = sent + self.length;
        Ok(Beat::Renewed { alive })
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
        sqlx::query_file!("sql/queue/set_sleeping.sql", self.worker, sleeping)
            .execute(pool)
            .await?;
        Ok(())
    }

    /// Leaves in order: no row stays, unless a task is still held.
    ///
    /// # Errors
    /// When the database cannot be asked: others will find the row expired.
    pub async fn leave(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        sqlx::query_file!("sql/queue/leave.sql", self.worker)
            .execute(pool)
            .await?;
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Instant> {
        // An Instant is whole whatever panicked while it was held.
        self.valid_until
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

//! A worker's row. One heartbeat renews the worker's leases of all its tasks.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use sqlx::PgPool;

use super::due::FirstDue;
use crate::db::timeout::{STATEMENT_LIMIT, with_timeout};
use crate::vocabulary::{TaskKind, WorkerId};

/// A worker stops sending requests to the store when one part in this many of the lease is left, because the
/// database cannot fence S3.
const MARGIN_DIVISOR: u32 = 5;

/// The lease as this process measures it, with its own monotonic clock, from the moment before each heartbeat was
/// sent. Therefore it always ends here before it ends in the database.
#[derive(Debug)]
pub struct Lease {
    /// The id under which the worker is registered, as in `cleanup_tasks.lease_owner`.
    pub worker: WorkerId,
    length: Duration,
    valid_until: Mutex<Instant>,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, PartialEq)]
pub struct Heartbeat {
    /// Whether the lease was renewed. If not, another worker declared this one lost, and it must register under a new
    /// id.
    pub renewed: bool,
    /// How many workers are alive, including this one.
    pub alive: i64,
    /// How many workers this heartbeat declared lost.
    pub newly_lost: i64,
    /// Whether lost workers may still hold tasks.
    pub to_rescue: bool,
    /// The first due task of each lane, from the given due times on.
    pub due: FirstDue,
}

struct HeartbeatRow {
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
    /// When the statement fails.
    pub async fn register(
        pool: &PgPool,
        name: &str,
        length: Duration,
    ) -> Result<Self, sqlx::Error> {
        let suffix = uuid::Uuid::new_v4().simple().to_string();
        let worker = WorkerId::from(format!("{name}-{}", &suffix[..8]));
        let sent = Instant::now();
        let statement = sqlx::query_file!(
            "sql/queue/register_worker.sql",
            worker.as_str(),
            length.as_secs_f64()
        )
        .execute(pool);
        with_timeout(STATEMENT_LIMIT, statement).await?;
        Ok(Self {
            worker,
            length,
            valid_until: Mutex::new(sent + length),
        })
    }

    /// Renews every lease of this worker, and finds lost workers and due tasks, in one statement that a worker sends
    /// at least once in a poll interval. `may_declare_lost` is false after a gap in this worker's own heartbeats,
    /// because then all leases look expired. `watermarks` are the due times, by lane, from which on it finds due
    /// tasks.
    ///
    /// # Errors
    /// When the statement fails. The lease is then valid until its previous end.
    pub async fn heartbeat<'c>(
        &self,
        executor: impl sqlx::PgExecutor<'c>,
        may_declare_lost: bool,
        watermarks: [DateTime<Utc>; 3],
    ) -> Result<Heartbeat, sqlx::Error> {
        let sent = Instant::now();
        let statement = sqlx::query_file_as!(
            HeartbeatRow,
            "sql/queue/heartbeat.sql",
            self.worker.as_str(),
            self.length.as_secs_f64(),
            may_declare_lost,
            &watermarks,
            TaskKind::ALL as &[TaskKind]
        )
        .fetch_one(executor);
        let row = with_timeout(STATEMENT_LIMIT, statement).await?;
        if row.renewed {
            *self.valid_until.lock() = sent + self.length;
        }
        Ok(Heartbeat {
            renewed: row.renewed,
            alive: row.alive,
            newly_lost: row.newly_lost,
            to_rescue: row.to_rescue,
            due: FirstDue {
                now: row.now,
                first: row.first_due,
                took_seconds: row.took_seconds,
            },
        })
    }

    /// Until when this worker may send the keys of its tasks to the store.
    #[must_use]
    pub fn usable_until(&self) -> Instant {
        *self.valid_until.lock() - self.length / MARGIN_DIVISOR
    }

    /// Whether more than the margin of the lease is left.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        Instant::now() < self.usable_until()
    }

    /// Waits until the lease is no longer usable. It does not return while the lease is being renewed.
    pub async fn ended(&self) {
        while self.is_usable() {
            tokio::time::sleep_until(self.usable_until().into()).await;
        }
    }

    /// Records whether this worker wants to be notified.
    ///
    /// # Errors
    /// When the statement fails. The value may have been stored although the answer was lost.
    pub async fn set_sleeping(&self, pool: &PgPool, sleeping: bool) -> Result<(), sqlx::Error> {
        let statement =
            sqlx::query_file!("sql/queue/set_sleeping.sql", self.worker.as_str(), sleeping)
                .execute(pool);
        with_timeout(STATEMENT_LIMIT, statement).await?;
        Ok(())
    }

    /// Deregisters this worker, so that it can claim nothing more. Other workers rescue the tasks that it still holds
    /// after their next heartbeat.
    ///
    /// # Errors
    /// When the statement fails. Other workers will find the lease expired.
    pub async fn leave(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let statement =
            sqlx::query_file!("sql/queue/leave.sql", self.worker.as_str()).execute(pool);
        with_timeout(STATEMENT_LIMIT, statement).await?;
        Ok(())
    }
}

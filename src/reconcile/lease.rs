//! The leader lease: in the whole fleet one process at a time runs a pass of each source.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sqlx::PgPool;

use super::ReconcileError;
use crate::db::timeout::{STATEMENT_LIMIT, record_timeout, with_timeout};
use crate::vocabulary::ReconcileSource;

/// A pass that has not renewed its lease for this long is given up, and another process runs it again.
const LEASE: Duration = Duration::from_secs(30);
/// How often a lease is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(5);

/// The right to write tasks for one source, held by one process.
#[derive(Debug)]
pub struct LeaderLease {
    source: ReconcileSource,
    token: i64,
    renewed: Mutex<Instant>,
}

/// How a pass ended, as it is stored for all processes to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassResult {
    /// How many rows or users without a task it found.
    pub found: u64,
    /// How many tasks it wrote.
    pub enqueued: u64,
    /// Why it wrote no task although it found something.
    pub stopped: Option<String>,
    /// The error that ended it.
    pub failed: Option<String>,
    /// It left work because one pass handles only so much: the next pass is due at once.
    pub more: bool,
    /// A person checked and applied it: the safety limit counts users from now on.
    pub is_approved: bool,
}

/// The answer to the request for a lease.
#[derive(Debug)]
pub enum LeaseAnswer {
    /// It was granted.
    Acquired(LeaderLease),
    /// The last pass began less than an interval ago, or another is under way. Ask again after this time at
    /// the latest.
    NotDue(Duration),
}

impl LeaseAnswer {
    /// The lease, if it was granted.
    pub fn acquired(self) -> Option<LeaderLease> {
        match self {
            Self::Acquired(lease) => Some(lease),
            Self::NotDue(_) => None,
        }
    }
}

impl LeaderLease {
    /// Acquires the lease, if the last pass began at least `interval` ago and no other is under way.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn acquire(
        pool: &PgPool,
        source: ReconcileSource,
        worker: &str,
        interval: Duration,
    ) -> Result<LeaseAnswer, sqlx::Error> {
        let renewed = Mutex::new(Instant::now());
        let query = sqlx::query_file!(
            "sql/reconcile/acquire_lease.sql",
            source.as_str(),
            worker,
            interval.as_secs_f64(),
            LEASE.as_secs_f64()
        )
        .fetch_one(pool);
        let answer = with_timeout(STATEMENT_LIMIT, query).await?;
        Ok(match answer.claim_token {
            Some(token) => LeaseAnswer::Acquired(Self {
                source,
                token,
                renewed,
            }),
            None => LeaseAnswer::NotDue(
                Duration::try_from_secs_f64(answer.due_in_seconds).unwrap_or_default(),
            ),
        })
    }

    /// Runs a pass and renews the lease meanwhile, however long a step of the pass waits for Clerk.
    ///
    /// # Errors
    /// Those of the pass; [`ReconcileError::LostLease`] when another process has the lease, or when the database
    /// has not answered for so long that one may have it.
    pub async fn hold<T>(
        &self,
        pool: &PgPool,
        pass: impl Future<Output = Result<T, ReconcileError>>,
    ) -> Result<T, ReconcileError> {
        tokio::select! {
            result = pass => result,
            () = self.keep_renewing(pool) => Err(ReconcileError::LostLease),
            () = self.expired() => Err(ReconcileError::LostLease),
        }
    }

    /// Returns when another process has the lease. A database that is away is asked again.
    async fn keep_renewing(&self, pool: &PgPool) {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            if let Err(ReconcileError::LostLease) = self.renew_if_due(pool).await {
                return;
            }
        }
    }

    /// Returns at the moment at which this lease expires, even if a renewal still waits for the database.
    async fn expired(&self) {
        loop {
            let age = self.renewed.lock().elapsed();
            let Some(left) = LEASE.checked_sub(age) else {
                break;
            };
            tokio::time::sleep(left).await;
        }
        record_timeout();
    }

    /// Renews the lease if that is due. A process that stood still asks before its next step.
    ///
    /// # Errors
    /// When it is lost, or the database cannot be asked.
    pub(super) async fn renew_if_due(&self, pool: &PgPool) -> Result<(), ReconcileError> {
        if self.renewed.lock().elapsed() < RENEW_EVERY {
            return Ok(());
        }
        let now = Instant::now();
        let query = sqlx::query_file!(
            "sql/reconcile/renew_lease.sql",
            self.source.as_str(),
            self.token,
            LEASE.as_secs_f64()
        )
        .execute(pool);
        let renewed = with_timeout(STATEMENT_LIMIT, query).await?;
        if renewed.rows_affected() == 0 {
            return Err(ReconcileError::LostLease);
        }
        *self.renewed.lock() = now;
        Ok(())
    }

    /// Releases the lease and stores how the pass went. Without effect if the lease was lost.
    ///
    /// # Errors
    /// When the database cannot be asked; the lease then expires by itself.
    pub async fn release(self, pool: &PgPool, result: &PassResult) -> Result<(), sqlx::Error> {
        let query = sqlx::query_file!(
            "sql/reconcile/release_lease.sql",
            self.source.as_str(),
            self.token,
            i64::try_from(result.found).unwrap_or(i64::MAX),
            i64::try_from(result.enqueued).unwrap_or(i64::MAX),
            result.stopped,
            result.failed,
            result.more,
            result.is_approved
        )
        .execute(pool);
        with_timeout(STATEMENT_LIMIT, query).await?;
        Ok(())
    }
}

//! One pass at a time in the whole fleet.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::PgPool;

use super::{ReconcileError, Source};
use crate::db::timeout::{STATEMENT_LIMIT, record_timeout, with_timeout};

/// A pass that has not renewed its turn for so long is given up. Longer than the longest wait within a
/// pass (for a time-out of Clerk, or for the end of its rate limit).
const LEASE: Duration = Duration::from_secs(600);
/// A turn is renewed no more often than this.
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// The right to write tasks for one source, held by one process.
#[derive(Debug)]
pub struct Turn {
    source: Source,
    token: i64,
    renewed: Mutex<Instant>,
}

/// How a pass went, for everybody to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// What it found without a task.
    pub found: u64,
    /// What it wrote tasks for.
    pub enqueued: u64,
    /// Why it took nothing although there was something.
    pub stopped: Option<String>,
    /// What it failed with.
    pub failed: Option<String>,
    /// It left something for lack of room: the next pass is due at once.
    pub more: bool,
    /// A person looked and applied it: the count of users who were taken begins anew.
    pub is_approved: bool,
}

/// What became of the wish for a turn.
#[derive(Debug)]
pub enum Asked {
    /// It is ours.
    Taken(Turn),
    /// The last pass began less than an interval ago, or another is under way: nothing to do for so long,
    /// unless that one ends early.
    NotDue(Duration),
}

impl Asked {
    /// The turn, if it was taken.
    pub fn taken(self) -> Option<Turn> {
        match self {
            Self::Taken(turn) => Some(turn),
            Self::NotDue(_) => None,
        }
    }
}

impl Turn {
    /// Takes the turn, if the last pass began at least `interval` ago and no other is under way.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn take(
        pool: &PgPool,
        source: Source,
        worker: &str,
        interval: Duration,
    ) -> Result<Asked, sqlx::Error> {
        let renewed = Mutex::new(Instant::now());
        let asked = sqlx::query_file!(
            "sql/reconcile/claim.sql",
            source.as_str(),
            worker,
            interval.as_secs_f64(),
            LEASE.as_secs_f64()
        )
        .fetch_one(pool);
        let answer = with_timeout(STATEMENT_LIMIT, asked).await?;
        Ok(match answer.claim_token {
            Some(token) => Asked::Taken(Self {
                source,
                token,
                renewed,
            }),
            None => Asked::NotDue(
                Duration::try_from_secs_f64(answer.due_in_seconds).unwrap_or_default(),
            ),
        })
    }

    /// Renews the turn if that is due.
    ///
    /// # Errors
    /// When it is lost, or the database cannot be asked.
    pub(super) async fn keep(&self, pool: &PgPool) -> Result<(), ReconcileError> {
        let is_fresh = self.renewed().elapsed() < RENEW_EVERY;
        if is_fresh {
            return Ok(());
        }
        let now = Instant::now();
        let asked = sqlx::query_file!(
            "sql/reconcile/renew.sql",
            self.source.as_str(),
            self.token,
            LEASE.as_secs_f64()
        )
        .execute(pool);
        let renewed = with_timeout(STATEMENT_LIMIT, asked).await?;
        if renewed.rows_affected() == 0 {
            return Err(ReconcileError::LostTurn);
        }
        *self.renewed() = now;
        Ok(())
    }

    /// Waits until this turn has run out. A pass that is still under way then waits for a database that
    /// vanished.
    pub(super) async fn ran_out(&self) {
        loop {
            let age = self.renewed().elapsed();
            let Some(left) = LEASE.checked_sub(age) else {
                break;
            };
            tokio::time::sleep(left).await;
        }
        record_timeout();
    }

    /// Gives the turn back and says how the pass went. A turn that was lost says nothing.
    ///
    /// # Errors
    /// When the database cannot be asked; the turn runs out by itself then.
    pub async fn finish(self, pool: &PgPool, ended: &Ended) -> Result<(), sqlx::Error> {
        let asked = sqlx::query_file!(
            "sql/reconcile/finish.sql",
            self.source.as_str(),
            self.token,
            i64::try_from(ended.found).unwrap_or(i64::MAX),
            i64::try_from(ended.enqueued).unwrap_or(i64::MAX),
            ended.stopped,
            ended.failed,
            ended.more,
            ended.is_approved
        )
        .execute(pool);
        with_timeout(STATEMENT_LIMIT, asked).await?;
        Ok(())
    }

    fn renewed(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.renewed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

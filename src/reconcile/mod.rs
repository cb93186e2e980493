//! Finds what must be deleted and has no task, and writes the task: rows that the application soft-deleted by
//! itself, rows that a backup brought back, users that Clerk no longer has. A pass that would delete data of
//! too many users at once changes nothing and waits for a person (`safety_limit`).
//!
//! `database` and `clerk` are the two passes, `timer` runs them in a worker, `lease` allows one pass of each
//! source at a time, `state` says how the last one ended.

mod candidates;
pub mod clerk;
pub mod clerk_api;
pub mod database;
mod enqueue;
pub mod lease;
pub mod options;
pub mod safety_limit;
pub mod state;
pub mod timer;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

pub use candidates::{Candidate, Candidates, Counts};
pub use lease::LeaderLease;

/// Why a pass did not reach its end. The tasks that it had written by then stay.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The database is away or refuses.
    #[error("the database refuses")]
    Database(#[from] sqlx::Error),
    /// Clerk did not answer completely; nothing was deleted because of it.
    #[error("Clerk's Backend API gives no answer that can be relied on")]
    Clerk(#[from] clerk_api::ClerkError),
    /// Another process took the lease over, because this pass had not renewed it in time.
    #[error("the lease was lost to another process")]
    LostLease,
    /// The process stops.
    #[error("stopped before the end")]
    ShuttingDown,
    /// A fault of this program.
    #[error("the pass panicked: {0}")]
    Panicked(String),
}

/// Where a pass runs.
#[derive(Clone, Copy)]
pub struct PassContext<'a> {
    /// The database.
    pub pool: &'a PgPool,
    /// The lease that allows this pass to write. `None` for a pass that only reports.
    pub lease: Option<&'a LeaderLease>,
    /// Ends the pass before its next step.
    pub stop: &'a CancellationToken,
}

impl PassContext<'_> {
    /// Called between two steps: checks that the pass may go on, and renews the lease.
    ///
    /// # Errors
    /// When the process stops, the lease was lost, or the database refuses.
    pub(crate) async fn keep(&self) -> Result<(), ReconcileError> {
        if self.stop.is_cancelled() {
            return Err(ReconcileError::ShuttingDown);
        }
        match self.lease {
            Some(lease) => lease.renew_if_due(self.pool).await,
            None => Ok(()),
        }
    }
}

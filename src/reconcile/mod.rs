//! Finds what is to be erased and has no task, and writes the task: rows that the application marked by
//! itself, rows that a backup brought back, users that Clerk no longer has. Whatever would take too many
//! users at once takes nothing, and waits for a person.

pub mod clerk;
pub mod clerk_api;
pub mod database;
pub mod limit;
pub mod options;
pub mod state;
pub mod timer;
pub mod turn;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

pub use turn::Turn;

/// What the rows are compared with: `cleanup_reconciliations.source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The queue: soft-deleted rows and tombstones without an open task.
    Database,
    /// Clerk's list of users.
    Clerk,
}

impl Source {
    /// All sources.
    pub const ALL: [Self; 2] = [Self::Database, Self::Clerk];

    /// The value of `cleanup_reconciliations.source`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Clerk => "clerk",
        }
    }
}

/// Why a pass did not come to its end. What it had enqueued by then stays.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The database is away or refuses.
    #[error("the database refuses")]
    Database(#[from] sqlx::Error),
    /// Clerk did not give a whole answer; nothing was deleted because of it.
    #[error("Clerk's Backend API gives no answer that can be relied on")]
    Clerk(#[from] clerk_api::ClerkError),
    /// Another pass took the turn over, because this one had not renewed it in time.
    #[error("the turn was lost to another pass")]
    LostTurn,
    /// The process stops.
    #[error("stopped before the end")]
    ShuttingDown,
}

/// Where a pass runs.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Tasks are written through this.
    pub pool: &'a PgPool,
    /// The turn that allows to write; none for a look that changes nothing.
    pub turn: Option<&'a Turn>,
    /// Ends the pass at the next opportunity.
    pub stop: &'a CancellationToken,
}

impl Context<'_> {
    /// Between two steps: goes on only while it may, and keeps the turn.
    ///
    /// # Errors
    /// When the process stops, the turn was lost, or the database refuses.
    pub(crate) async fn keep(&self) -> Result<(), ReconcileError> {
        if self.stop.is_cancelled() {
            return Err(ReconcileError::ShuttingDown);
        }
        match self.turn {
            Some(turn) => turn.keep(self.pool).await,
            None => Ok(()),
        }
    }
}

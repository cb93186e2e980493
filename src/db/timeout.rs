//! A limit on waiting for the database. sqlx sets no TCP keepalive and has no time-out for a statement, so a
//! server that vanished without closing its connections would be waited for as long as this process lives.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long one statement may take before the server counts as gone. Longer than the server itself lets a
/// statement take.
pub const STATEMENT_LIMIT: Duration = Duration::from_secs(12);
/// How long a whole transaction may take before the server counts as gone.
pub const TRANSACTION_LIMIT: Duration = Duration::from_secs(20);

/// Whether a statement of this process ever reached its limit.
static TIMED_OUT_ONCE: AtomicBool = AtomicBool::new(false);

/// Waits for a statement or a transaction, for `limit` at most. It may have been carried out even if there
/// was no answer.
///
/// # Errors
/// Those of the statement, and `Io(TimedOut)` when there is no answer within `limit`.
pub async fn with_timeout<T>(
    limit: Duration,
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    // The statement is dropped at the end of this function, after the time-out is recorded: its connection
    // then returns to the pool, which checks it only if a time-out ever happened.
    tokio::pin!(statement);
    tokio::time::timeout(limit, &mut statement)
        .await
        .unwrap_or_else(|_| {
            record_timeout();
            Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))
        })
}

/// Records that the database did not answer within a limit.
pub fn record_timeout() {
    TIMED_OUT_ONCE.store(true, Ordering::SeqCst);
}

/// Whether the database ever failed to answer this process within a limit. From then on, a connection that
/// comes back to a pool may be one on which no answer will ever come.
#[must_use]
pub fn timed_out_once() -> bool {
    TIMED_OUT_ONCE.load(Ordering::SeqCst)
}

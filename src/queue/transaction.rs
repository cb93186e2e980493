//! Transactions with limits of their own. They are set inside the transaction, because a session behind
//! PgBouncer belongs to nobody.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::{PgPool, Postgres, Transaction};

/// No answer to one statement for so long means that the server vanished: longer than the server itself
/// lets a statement take.
pub const STATEMENT_LIMIT: Duration = Duration::from_secs(12);
/// The same of a whole transaction.
pub const TRANSACTION_LIMIT: Duration = Duration::from_secs(20);

/// Whether this process was ever left without an answer.
static MET_SILENCE: AtomicBool = AtomicBool::new(false);

/// One statement may take 10 s, a lock 5 s; a transaction whose client went away ends after 15 s. Every
/// statement walks by index from a short list of ids; as the statistics of a queue are always stale, the
/// planner is told so, once for all sizes.
const BEGIN: &str = "begin; set local statement_timeout = '10s'; set local lock_timeout = '5s'; \
                     set local idle_in_transaction_session_timeout = '15s'; \
                     set local plan_cache_mode = force_generic_plan; \
                     set local enable_seqscan = off; set local enable_bitmapscan = off; set local jit = off";

/// Begins a bounded transaction.
///
/// # Errors
/// When no connection can be had or the database refuses.
pub async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    pool.begin_with(BEGIN).await
}

/// Waits for an answer of the database, though not for ever. sqlx sets no TCP keepalive and knows no
/// time-out of a statement: a server that vanished without a FIN would be waited for as long as this
/// process lives. What was asked may have been done all the same.
///
/// # Errors
/// Those of what was asked, and one that passes when there is no answer within `limit`.
pub async fn answered<T>(
    limit: Duration,
    asked: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    // Dropped at the end of this function, and its connection looked at, after the silence is known.
    tokio::pin!(asked);
    tokio::time::timeout(limit, &mut asked)
        .await
        .unwrap_or_else(|_| {
            note_silence();
            Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))
        })
}

/// Says that the database left something without an answer for longer than it may take.
pub fn note_silence() {
    MET_SILENCE.store(true, Ordering::SeqCst);
}

/// Whether this process was ever left without an answer: from then on a connection that comes back to a
/// pool may be one on which nobody ever answers.
#[must_use]
pub fn met_silence() -> bool {
    MET_SILENCE.load(Ordering::SeqCst)
}

/// Whether the database is away, or busy in a way that passes: the same statement may succeed later.
#[must_use]
pub fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // Connection exceptions, insufficient resources, operator intervention, serialization
            // failure, deadlock, lock not available, read-only server (a failover under way).
            code.starts_with("08")
                || code.starts_with("53")
                || code.starts_with("57")
                || matches!(
                    code.as_ref(),
                    "40001" | "40P01" | "55P03" | "25006" | "25P02"
                )
        }),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        _ => false,
    }
}

/// Whether the statement may have been done and committed although it failed here: only its answer was lost.
/// What the server refused was not done, unless it was going away itself; what got no connection was not sent.
#[must_use]
pub fn may_have_been_done(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error
            .code()
            .is_none_or(|code| code.starts_with("08") || code.starts_with("57P")),
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => false,
        _ => true,
    }
}

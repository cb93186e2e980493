//! Transactions with limits of their own. They are set inside the transaction, because a session behind
//! PgBouncer belongs to nobody.

use sqlx::{PgPool, Postgres, Transaction};

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

//! Transactions with limits of their own. The limits are set inside the transaction, because behind PgBouncer
//! a session belongs to nobody.
//!
//! `row_security = off` gives the role no right: where a policy would hide rows from it, PostgreSQL raises an error
//! instead of leaving them out. An erasure that does not see a row must not end.

use sqlx::{PgPool, Postgres, Transaction};

/// One statement may take 10 s, a lock 5 s, and a transaction whose client went away ends after 15 s. The
/// statistics of a queue are always stale, so the planner is told to walk by index from the short list of ids
/// that each statement starts with, and to plan once for all sizes.
const BEGIN: &str = "begin; set local statement_timeout = '10s'; set local lock_timeout = '5s'; \
                     set local idle_in_transaction_session_timeout = '15s'; \
                     set local plan_cache_mode = force_generic_plan; \
                     set local enable_seqscan = off; set local enable_bitmapscan = off; set local jit = off; \
                     set local row_security = off";
/// The same limits for statements that people steer by filters, which the planner knows best.
const BEGIN_PLANNED: &str = "begin; set local statement_timeout = '10s'; set local lock_timeout = '5s'; \
                             set local idle_in_transaction_session_timeout = '15s'; set local row_security = off";
const BEGIN_READ_ONLY: &str =
    "begin read only; set local statement_timeout = '10s'; set local row_security = off";

/// Begins a bounded transaction for the queue's own statements.
///
/// # Errors
/// When no connection can be had or the database refuses.
pub async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    pool.begin_with(BEGIN).await
}

/// Begins a bounded transaction that writes, with the planner as it is configured.
///
/// # Errors
/// When no connection can be had or the database refuses.
pub async fn begin_planned(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    pool.begin_with(BEGIN_PLANNED).await
}

/// Begins a bounded transaction that only reads, so that a broad filter cannot occupy the database.
///
/// # Errors
/// When no connection can be had or the database refuses.
pub async fn begin_read_only(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    pool.begin_with(BEGIN_READ_ONLY).await
}

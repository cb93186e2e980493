//! Transactions with limits of their own. The limits are set inside the transaction, because behind PgBouncer
//! a session belongs to nobody.
//!
//! Read committed, whatever the default of the role is: each statement sees what others committed, as the functions
//! expect.
//!
//! `row_security = off` gives the role no right: where a policy would hide rows from it, PostgreSQL raises an error
//! instead of leaving them out. An erasure that does not see a row must not end.

use sqlx::{Connection, PgConnection, PgPool, Postgres, Transaction};

/// One statement may take 10 s, a lock 5 s, and a transaction whose client went away ends after 15 s. The
/// statistics of a queue are always stale, so these settings make the planner go by index from the short list
/// of ids that each statement starts with, and plan once for all sizes.
const BEGIN: &str = "begin isolation level read committed; set local statement_timeout = '10s'; set local lock_timeout = '5s'; \
                     set local idle_in_transaction_session_timeout = '15s'; \
                     set local plan_cache_mode = force_generic_plan; \
                     set local enable_seqscan = off; set local enable_bitmapscan = off; set local jit = off; \
                     set local row_security = off";
/// For a settle of many tasks: what takes longer is split, so that one slow or held row does not delay the others.
const BEGIN_BATCH: &str = "begin isolation level read committed; set local statement_timeout = '1s'; set local lock_timeout = '500ms'; \
                           set local idle_in_transaction_session_timeout = '15s'; \
                           set local plan_cache_mode = force_generic_plan; \
                           set local enable_seqscan = off; set local enable_bitmapscan = off; set local jit = off; \
                           set local row_security = off";
/// For the settle of one task, at its first attempts.
const BEGIN_ALONE: &str = "begin isolation level read committed; set local statement_timeout = '4s'; set local lock_timeout = '1s'; \
                           set local idle_in_transaction_session_timeout = '15s'; \
                           set local plan_cache_mode = force_generic_plan; \
                           set local enable_seqscan = off; set local enable_bitmapscan = off; set local jit = off; \
                           set local row_security = off";
/// The same limits for statements that people steer by filters. A filter that is not set is a null parameter,
/// so each plan must be made for its own parameters. They read a page of rows, and to compile them takes longer.
const BEGIN_PLANNED: &str = "begin isolation level read committed; set local statement_timeout = '10s'; set local lock_timeout = '5s'; \
                             set local idle_in_transaction_session_timeout = '15s'; \
                             set local plan_cache_mode = force_custom_plan; set local jit = off; \
                             set local row_security = off";
const BEGIN_READ_ONLY: &str = "begin read only; set local statement_timeout = '10s'; \
                               set local idle_in_transaction_session_timeout = '15s'; \
                               set local plan_cache_mode = force_custom_plan; set local jit = off; \
                               set local row_security = off";

/// One snapshot for all its statements: what they say of the schema fits together.
const BEGIN_SNAPSHOT: &str = "begin isolation level repeatable read; set local statement_timeout = '30s'; \
                              set local lock_timeout = '5s'; \
                              set local idle_in_transaction_session_timeout = '15s'; set local jit = off; \
                              set local row_security = off";

/// Begins a bounded transaction for the queue's own statements.
///
/// # Errors
/// When no connection can be had or the database refuses.
pub async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    pool.begin_with(BEGIN).await
}

/// How long the statements of a transaction may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limits {
    /// 1 s a statement, 0.5 s for a lock.
    Batch,
    /// 4 s a statement, 1 s for a lock.
    Alone,
    /// 10 s a statement, 5 s for a lock.
    Longest,
}

/// Begins a bounded transaction for the queue's own statements, with these limits.
///
/// # Errors
/// When no connection can be had or the database refuses.
pub async fn begin_within(
    pool: &PgPool,
    limits: Limits,
) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let begin = match limits {
        Limits::Batch => BEGIN_BATCH,
        Limits::Alone => BEGIN_ALONE,
        Limits::Longest => BEGIN,
    };
    pool.begin_with(begin).await
}

/// Begins a bounded transaction that writes what a person's filter selects.
///
/// # Errors
/// When the database refuses.
pub async fn planned(
    connection: &mut PgConnection,
) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
    connection.begin_with(BEGIN_PLANNED).await
}

/// Begins a bounded transaction that only reads, so that a broad filter cannot occupy the database.
///
/// # Errors
/// When the database refuses.
pub async fn read_only(
    connection: &mut PgConnection,
) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
    connection.begin_with(BEGIN_READ_ONLY).await
}

/// The same on a connection of a pool.
///
/// # Errors
/// When no connection can be had or the database refuses.
pub async fn begin_read_only(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    pool.begin_with(BEGIN_READ_ONLY).await
}

/// Begins a bounded transaction in which all statements see one snapshot. Its caller rolls it back.
///
/// # Errors
/// When the database refuses.
pub async fn snapshot(
    connection: &mut PgConnection,
) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
    connection.begin_with(BEGIN_SNAPSHOT).await
}

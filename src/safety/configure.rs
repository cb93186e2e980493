//! What processes were configured with. The database decides what holds, because the application's own SQL obeys too.

use std::time::Duration;

use sqlx::{PgExecutor, PgPool, query_file, query_file_as};

use crate::db::transaction::begin;
use crate::vocabulary::{ProcessRole, Timestamp};

/// What one process was configured with. `None`: its configuration does not say, and the other role's value holds, or
/// the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SafetyOptions {
    /// Most users erased within an hour by all sources together; 0 is no limit.
    pub erasure_limit_per_hour: Option<u32>,
    /// How long an erasure rests before its first object may be deleted.
    pub user_erasure_delay: Option<Duration>,
}

/// What the processes of one role were configured with when the last of them started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// `serve` or `worker`.
    pub role: String,
    pub erasure_limit_per_hour: Option<i32>,
    pub user_erasure_delay_ms: Option<i64>,
    /// Host and process id.
    pub process: String,
    pub started_at: Timestamp,
}

/// Records what a process of this role was configured with. Of the values of `serve` and `worker` the stricter holds
/// from then on: the lower limit, and the longer delay. Within a role the process that started last counts.
///
/// # Errors
/// When the database refuses. Nothing was changed then.
pub async fn configure(
    pool: &PgPool,
    role: ProcessRole,
    options: SafetyOptions,
    process: &str,
) -> Result<(), sqlx::Error> {
    let mut tx = begin(pool).await?;
    let limit = options.erasure_limit_per_hour;
    query_file!(
        "sql/safety/configure.sql",
        role.as_str(),
        limit.map(|limit| i32::try_from(limit).unwrap_or(i32::MAX)),
        options.user_erasure_delay.map(|delay| delay.as_secs_f64()),
        process
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await
}

/// What the roles were configured with, one row for each role that has started.
///
/// # Errors
/// Those of the database.
pub async fn configured(executor: impl PgExecutor<'_>) -> Result<Vec<Configured>, sqlx::Error> {
    query_file_as!(Configured, "sql/safety/configured.sql")
        .fetch_all(executor)
        .await
}

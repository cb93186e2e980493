//! What people and the worker do with notices beside delivering them.

use sqlx::{PgExecutor, query_file, query_file_as, query_file_scalar};
use uuid::Uuid;

use crate::vocabulary::Timestamp;

/// A notice that the receiver does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    pub id: Uuid,
    /// Such as `erasure.completed`.
    pub kind: String,
    pub created_at: Timestamp,
    pub attempts: i32,
    pub last_error: Option<String>,
    pub next_try_at: Timestamp,
    /// No further attempt is made unless a person asks for it.
    pub given_up: bool,
}

/// The newest notices that are not delivered, `limit` at most.
///
/// # Errors
/// Those of the database.
pub async fn undelivered(
    executor: impl PgExecutor<'_>,
    limit: i64,
) -> Result<Vec<Undelivered>, sqlx::Error> {
    query_file_as!(Undelivered, "sql/notices/list.sql", limit)
        .fetch_all(executor)
        .await
}

/// Lets these notices, or all, be delivered from the first attempt on if an attempt failed, and enables an endpoint that
/// answered 410. Returns their number.
///
/// # Errors
/// Those of the database.
pub async fn retry(
    executor: impl PgExecutor<'_>,
    ids: Option<&[Uuid]>,
) -> Result<i64, sqlx::Error> {
    query_file_scalar!("sql/notices/retry.sql", ids)
        .fetch_one(executor)
        .await
}

/// Records where notices go, by the digest of the URL. Without one, none are written.
///
/// # Errors
/// Those of the database.
pub async fn configure(
    executor: impl PgExecutor<'_>,
    digest: Option<&[u8]>,
) -> Result<(), sqlx::Error> {
    query_file!("sql/notices/configure.sql", digest)
        .fetch_one(executor)
        .await?;
    Ok(())
}

/// Removes notices that ended and are older than this. Those that wait stay.
///
/// # Errors
/// Those of the database.
pub async fn prune(executor: impl PgExecutor<'_>, retention_days: u32) -> Result<u64, sqlx::Error> {
    let days = i32::try_from(retention_days).unwrap_or(i32::MAX);
    let done = query_file!("sql/notices/prune.sql", days)
        .execute(executor)
        .await?;
    Ok(done.rows_affected())
}

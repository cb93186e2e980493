//! Removes finished tasks whose retention is over, and makes room for the next ones.

use sqlx::PgPool;

use crate::db::timeout::{STATEMENT_LIMIT, with_timeout};

/// For so many days ahead, finished tasks have a partition. Until then some worker has made more.
const DAYS_AHEAD: i32 = 7;

/// Makes the partitions of the next days, drops those past the retention, and removes the rows of workers that were
/// rescued. Returns the number of dropped partitions.
///
/// # Errors
/// When a statement fails, such as one that would have to wait for a long transaction. The next round repeats it.
pub async fn prune(pool: &PgPool, retention_days: u32) -> Result<u64, sqlx::Error> {
    let days = i32::try_from(retention_days).unwrap_or(i32::MAX);
    let made = sqlx::query_file_scalar!("sql/queue/make_partitions.sql", DAYS_AHEAD);
    with_timeout(STATEMENT_LIMIT, made.fetch_one(pool)).await?;
    let dropped = sqlx::query_file_scalar!("sql/queue/drop_partitions.sql", days);
    let dropped = with_timeout(STATEMENT_LIMIT, dropped.fetch_one(pool)).await?;
    let workers = sqlx::query_file!("sql/queue/forget_workers.sql").execute(pool);
    with_timeout(STATEMENT_LIMIT, workers).await?;
    Ok(u64::try_from(dropped).unwrap_or_default())
}

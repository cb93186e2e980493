//! Removes finished tasks whose retention is over.

use sqlx::PgPool;

use crate::db::timeout::{STATEMENT_LIMIT, with_timeout};

/// One statement removes at most this many rows.
const BATCH: i64 = 1_000;
/// One round sends at most this many statements. The next round removes the rest.
const MAX_BATCHES: u32 = 100;

/// Removes finished tasks whose retention is over, and the rows of workers that were rescued. Returns the number of
/// tasks.
///
/// # Errors
/// When a statement fails. The rows that earlier statements removed stay removed.
pub async fn prune(pool: &PgPool, retention_days: u32) -> Result<u64, sqlx::Error> {
    let days = i32::try_from(retention_days).unwrap_or(i32::MAX);
    let mut pruned = 0;
    for _ in 0..MAX_BATCHES {
        let statement = sqlx::query_file!("sql/queue/prune.sql", days, BATCH).execute(pool);
        let removed = with_timeout(STATEMENT_LIMIT, statement)
            .await?
            .rows_affected();
        pruned += removed;
        if removed == 0 {
            break;
        }
    }
    let workers = sqlx::query_file!("sql/queue/forget_workers.sql").execute(pool);
    with_timeout(STATEMENT_LIMIT, workers).await?;
    Ok(pruned)
}

//! Removing what is finished and past its retention.

use sqlx::PgPool;

use crate::db::timeout::{STATEMENT_LIMIT, with_timeout};

/// Most rows removed by one statement.
const BATCH: i64 = 1_000;
/// Most statements of one round; the next round goes on.
const MAX_BATCHES: u32 = 100;

/// Removes finished tasks and workers' rows past their time. Returns how many tasks were removed.
///
/// # Errors
/// When the database cannot be asked; what was pruned before stays pruned.
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

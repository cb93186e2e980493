//! Removing what is finished and past its retention.

use sqlx::PgPool;

use crate::db::timeout::{STATEMENT_LIMIT, with_timeout};

/// Most rows removed by one statement.
const BITE: i64 = 1_000;
/// Most statements of one round; the next round goes on.
const MOST_BITES: u32 = 100;

/// Removes finished tasks, Svix ids and workers' rows past their time. Returns the tasks removed.
///
/// # Errors
/// When the database cannot be asked; what was pruned before stays pruned.
pub async fn prune(pool: &PgPool, retention_days: u32) -> Result<u64, sqlx::Error> {
    let days = i32::try_from(retention_days).unwrap_or(i32::MAX);
    let mut pruned = 0;
    for _ in 0..MOST_BITES {
        let bite = sqlx::query_file!("sql/queue/prune.sql", days, BITE).execute(pool);
        let bite = with_timeout(STATEMENT_LIMIT, bite).await?.rows_affected();
        pruned += bite;
        if bite == 0 {
            break;
        }
    }
    let webhooks = sqlx::query_file!("sql/queue/prune_webhooks.sql", days, BITE).execute(pool);
    with_timeout(STATEMENT_LIMIT, webhooks).await?;
    let workers = sqlx::query_file!("sql/queue/forget_workers.sql").execute(pool);
    with_timeout(STATEMENT_LIMIT, workers).await?;
    Ok(pruned)
}

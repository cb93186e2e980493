//! The ids of Svix deliveries, by which a repeated delivery is recognised.

use sqlx::PgPool;

use crate::db::timeout::{STATEMENT_LIMIT, with_timeout};

/// Most rows removed by one statement.
const BATCH: i64 = 1_000;

/// Removes ids whose retention is over.
///
/// # Errors
/// When the statement fails.
pub async fn prune(pool: &PgPool, retention_days: u32) -> Result<(), sqlx::Error> {
    let days = i32::try_from(retention_days).unwrap_or(i32::MAX);
    let statement = sqlx::query_file!("sql/deletion/prune_webhooks.sql", days, BATCH).execute(pool);
    with_timeout(STATEMENT_LIMIT, statement).await?;
    Ok(())
}

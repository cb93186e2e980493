//! The ids of Svix deliveries, by which a repeated delivery is recognised.

use sqlx::PgPool;

use crate::db::timeout::{STATEMENT_LIMIT, with_timeout};

/// One statement removes at most this many rows.
const BATCH: i64 = 5_000;

/// Removes all ids whose retention is over, in batches.
///
/// # Errors
/// When the statement fails.
pub async fn prune(pool: &PgPool, retention_days: u32) -> Result<(), sqlx::Error> {
    let days = i32::try_from(retention_days).unwrap_or(i32::MAX);
    loop {
        let batch = sqlx::query_file!("sql/deletion/prune_webhooks.sql", days, BATCH).execute(pool);
        let removed = with_timeout(STATEMENT_LIMIT, batch).await?.rows_affected();
        if removed < BATCH.unsigned_abs() {
            return Ok(());
        }
    }
}

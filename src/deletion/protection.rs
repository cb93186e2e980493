//! No live data is ever deleted: a key that a live image names is kept.

use std::collections::HashSet;

use sqlx::PgPool;

/// Which of these keys a live image of a live sample names. Asked right before the store is.
///
/// # Errors
/// When the database cannot be asked; nothing may be deleted then.
pub async fn protected_keys(
    pool: &PgPool,
    keys: &[String],
) -> Result<HashSet<String>, sqlx::Error> {
    let protected = sqlx::query_file_scalar!("sql/deletion/protected_keys.sql", keys)
        .fetch_all(pool)
        .await?;
    Ok(protected.into_iter().collect())
}

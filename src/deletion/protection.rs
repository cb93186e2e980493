//! No live data is ever deleted: a key is kept if a live image names it, or one that a restore would bring back.

use std::collections::HashSet;

use sqlx::PgPool;

/// Which of these keys must not be deleted. Asked right before the store is.
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

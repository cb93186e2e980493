//! Protects live data: a key is kept if a live image names it, or an image that a restore would bring back.

use std::collections::HashSet;

use sqlx::PgPool;

/// Returns those of these keys that must not be deleted. `owners` says for each key which entity is being deleted: its
/// own images protect nothing. It is called right before the store is asked to delete.
///
/// # Errors
/// When the query fails. Nothing may be deleted then.
pub async fn protected_keys(
    pool: &PgPool,
    keys: &[String],
    owners: &[String],
) -> Result<HashSet<String>, sqlx::Error> {
    let protected = sqlx::query_file_scalar!("sql/deletion/protected_keys.sql", keys, owners)
        .fetch_all(pool)
        .await?;
    Ok(protected.into_iter().collect())
}

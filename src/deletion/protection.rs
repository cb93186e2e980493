//! Protects live data: a key is kept if a live row names it, or a row that a restore would bring back.

use std::collections::HashSet;

use sqlx::PgPool;

/// What the database says of keys before the store is asked to delete them.
#[derive(Debug, Default)]
pub struct Protection {
    /// Those that must not be deleted.
    pub kept: HashSet<String>,
    /// Whether the keys are references in the form of [`crate::storage::ObjectRef`], and not plain keys.
    pub are_references: bool,
}

/// Says which of these keys must not be deleted. `owners` says for each key which entity is being deleted: its
/// own rows protect nothing. It is called right before the store is asked to delete.
///
/// # Errors
/// When the query fails. Nothing may be deleted then.
pub async fn protected_keys(
    pool: &PgPool,
    keys: &[String],
    owners: &[String],
) -> Result<Protection, sqlx::Error> {
    let rows = sqlx::query_file_scalar!("sql/deletion/protected_keys.sql", keys, owners)
        .fetch_all(pool)
        .await?;
    let mut protection = Protection::default();
    for row in rows {
        match row {
            Some(key) => {
                protection.kept.insert(key);
            }
            None => protection.are_references = true,
        }
    }
    Ok(protection)
}

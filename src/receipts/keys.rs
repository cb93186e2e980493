//! The table of the keys that sign receipts.

use std::collections::HashMap;

use sqlx::{Connection as _, PgConnection, query_file, query_file_scalar};

use super::key::{PublicKey, SigningKey, SubjectKey};
use crate::vocabulary::Timestamp;

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    #[error("the database cannot be asked for the key that signs receipts")]
    Database(#[from] sqlx::Error),
    #[error(
        "the private key in lethe.receipt_keys cannot be read; set RECEIPT_SIGNING_KEY to another one"
    )]
    Damaged,
    #[error("no key could be made")]
    NoRandomness,
}

/// A public key, as anybody may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    pub public: PublicKey,
    pub created_at: Timestamp,
}

/// Has the key that signs ready: for `lethe migrate`, before the first receipt.
///
/// # Errors
/// When the database refuses, or its key is damaged.
pub async fn prepare(
    connection: &mut PgConnection,
    configured: Option<&SigningKey>,
) -> Result<SigningKey, SigningKeyError> {
    let mut tx = connection.begin().await?;
    query_file!("sql/receipts/lock.sql")
        .execute(&mut *tx)
        .await?;
    let key = signing_key(&mut tx, configured).await?;
    tx.commit().await?;
    Ok(key)
}

/// The key that signs: the configured one, or the newest of the database, or else a new one that the database keeps. The
/// caller holds the lock of sealing, so that two processes do not make two.
pub(super) async fn signing_key(
    connection: &mut PgConnection,
    configured: Option<&SigningKey>,
) -> Result<SigningKey, SigningKeyError> {
    if let Some(key) = configured {
        add(connection, key, None).await?;
        return Ok(key.clone());
    }
    let stored = query_file_scalar!("sql/receipts/signing_key.sql")
        .fetch_one(&mut *connection)
        .await?;
    if let Some(document) = stored {
        return SigningKey::from_pkcs8(&document).map_err(|_| SigningKeyError::Damaged);
    }
    let key = SigningKey::generate().map_err(|_| SigningKeyError::NoRandomness)?;
    let document = key.to_pkcs8().map_err(|_| SigningKeyError::NoRandomness)?;
    add(connection, &key, Some(&document)).await?;
    Ok(key)
}

async fn add(
    connection: &mut PgConnection,
    key: &SigningKey,
    document: Option<&[u8]>,
) -> Result<(), sqlx::Error> {
    query_file!(
        "sql/receipts/add_key.sql",
        key.public.id(),
        key.public.as_bytes(),
        document,
        key.subjects.expose()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// All public keys, the newest first.
///
/// # Errors
/// Those of the database.
pub async fn public_keys(connection: &mut PgConnection) -> Result<Vec<KnownKey>, sqlx::Error> {
    let rows = query_file!("sql/receipts/public_keys.sql")
        .fetch_all(connection)
        .await?;
    let known = rows.into_iter().filter_map(|row| {
        Some(KnownKey {
            public: PublicKey::from_raw(&row.public_key)?,
            created_at: row.created_at,
        })
    });
    Ok(known.collect())
}

/// The keys that turn users' ids into subjects, by the id of the signing key.
///
/// # Errors
/// Those of the database.
pub async fn subject_keys(
    connection: &mut PgConnection,
) -> Result<HashMap<String, SubjectKey>, sqlx::Error> {
    let rows = query_file!("sql/receipts/subject_keys.sql")
        .fetch_all(connection)
        .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| Some((row.key_id, SubjectKey::new(&row.subject_key)?)))
        .collect())
}

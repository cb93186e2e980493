//! Seals receipts: gives each its place in the chain, its hash and its signature.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::{PgConnection, PgPool, query_file, query_file_as, query_file_scalar};
use tokio_util::sync::CancellationToken;

use super::body::{self, Body, Hash, START, hash_of, hex};
use super::key::SigningKey;
use super::keys::{SigningKeyError, signing_key};
use crate::cause::chain;
use crate::db::transaction::begin;
use crate::vocabulary::{TaskId, Timestamp};

/// How often a worker looks for receipts to seal. An auditor can wait for so long.
const SEAL_INTERVAL: Duration = Duration::from_secs(2);
/// The most receipts that one transaction seals.
const BATCH: i64 = 200;
/// How long one statement of a seal may take: the digest of a hundred million keys.
const STATEMENT_TIMEOUT: &str = "10min";

/// Why receipts could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("the database refused")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Key(#[from] SigningKeyError),
    #[error("receipt {0} in lethe.receipts cannot be written as JSON")]
    Body(i64, #[source] serde_json::Error),
    #[error("the last sealed receipt has a hash that is not a SHA-256")]
    Head,
    #[error("the key {0} did not sign")]
    Sign(String),
}

/// A receipt that is not sealed.
struct Unsealed {
    id: i64,
    user_id: String,
    task_id: TaskId,
    requested_at: Timestamp,
    completed_at: Timestamp,
    objects_deleted: i64,
    objects_kept: i64,
    rows_deleted: serde_json::Value,
    rows_kept: serde_json::Value,
    /// Of the map that held when the erasure ended.
    map_digest: String,
    /// Of the deleted keys, before the HMAC.
    digest: Vec<u8>,
    /// The number of keys in the digest.
    keys: i64,
}

/// Seals what there is to seal, until cancelled. Any number of workers may run it.
pub async fn run(pool: PgPool, configured: Option<SigningKey>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(SEAL_INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            result = seal_all(&pool, configured.as_ref()) => {
                if let Err(error) = result {
                    let error = chain(&error);
                    tracing::warn!(error, "cannot seal receipts; trying again in a moment");
                }
            }
        }
    }
}

/// Seals all receipts that wait, unless another process does. Returns the number of sealed ones.
///
/// # Errors
/// When the database refuses, or there is no key. The batches before are sealed.
pub async fn seal_all(pool: &PgPool, configured: Option<&SigningKey>) -> Result<usize, SealError> {
    let waiting = query_file_scalar!("sql/receipts/has_unsealed.sql")
        .fetch_one(pool)
        .await?;
    let mut sealed = 0;
    if !waiting {
        return Ok(sealed);
    }
    loop {
        let batch = seal_batch(pool, configured).await?;
        sealed += batch;
        if i64::try_from(batch).is_ok_and(|batch| batch < BATCH) {
            return Ok(sealed);
        }
    }
}

async fn seal_batch(pool: &PgPool, configured: Option<&SigningKey>) -> Result<usize, SealError> {
    let mut tx = begin(pool).await?;
    let is_locked = query_file_scalar!("sql/receipts/try_lock.sql")
        .fetch_one(&mut *tx)
        .await?;
    if !is_locked {
        return Ok(0);
    }
    query_file!("sql/receipts/allow_time.sql", STATEMENT_TIMEOUT)
        .fetch_one(&mut *tx)
        .await?;
    let key = signing_key(&mut tx, configured).await?;
    let (mut sequence, mut previous) = head(&mut tx).await?;
    let receipts = query_file_as!(Unsealed, "sql/receipts/unsealed.sql", BATCH)
        .fetch_all(&mut *tx)
        .await?;
    for receipt in &receipts {
        sequence += 1;
        previous = seal(&mut tx, receipt, &key, sequence, &previous).await?;
    }
    tx.commit().await?;
    if !receipts.is_empty() {
        tracing::info!(
            receipts = receipts.len(),
            sequence,
            key = key.public.id(),
            "sealed receipts"
        );
    }
    Ok(receipts.len())
}

/// The sequence and the hash of the last sealed receipt.
async fn head(connection: &mut PgConnection) -> Result<(i64, Hash), SealError> {
    match super::list::head(connection).await? {
        None => Ok((0, START)),
        Some(head) => {
            let hash = Hash::try_from(head.hash).map_err(|_| SealError::Head)?;
            Ok((head.sequence, hash))
        }
    }
}

/// Returns the hash of the sealed receipt.
async fn seal(
    connection: &mut PgConnection,
    receipt: &Unsealed,
    key: &SigningKey,
    sequence: i64,
    previous: &Hash,
) -> Result<Hash, SealError> {
    let body = body_of(receipt, key, sequence, previous)
        .and_then(|body| serde_json::to_string(&body))
        .map_err(|error| SealError::Body(receipt.id, error))?;
    let hash = hash_of(previous, &body);
    let signature = key
        .sign(&hash)
        .map_err(|_| SealError::Sign(key.public.id()))?;
    query_file!(
        "sql/receipts/seal.sql",
        receipt.id,
        body,
        hash.as_slice(),
        signature,
        key.public.id()
    )
    .fetch_one(connection)
    .await?;
    Ok(hash)
}

fn body_of(
    receipt: &Unsealed,
    key: &SigningKey,
    sequence: i64,
    previous: &Hash,
) -> Result<Body, serde_json::Error> {
    let rows_deleted: BTreeMap<String, i64> = serde_json::from_value(receipt.rows_deleted.clone())?;
    let is_whole = receipt.keys == receipt.objects_deleted;
    Ok(Body {
        version: body::VERSION,
        sequence,
        subject: hex(&key.subjects.of(receipt.user_id.as_bytes())),
        task_id: receipt.task_id.to_string(),
        requested_at: receipt.requested_at.to_string(),
        completed_at: receipt.completed_at.to_string(),
        rows_deleted,
        kept: serde_json::from_value(receipt.rows_kept.clone())?,
        objects_deleted: receipt.objects_deleted,
        objects_kept: receipt.objects_kept,
        keys_digest: is_whole.then(|| hex(&key.subjects.of(&receipt.digest))),
        map_digest: receipt.map_digest.clone(),
        key_id: key.public.id(),
        previous_hash: hex(previous),
    })
}

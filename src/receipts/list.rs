//! Sealed receipts, as the API and exports show them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use poem_openapi::{Object, types::Example};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, query_file, query_file_as};

use super::body::hex;
use super::key::PublicKey;
use crate::cursor::{ListError, ListId, Page, rows_to_read};
use crate::vocabulary::Timestamp;

/// A sealed receipt.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase", example)]
pub struct SealedReceipt {
    /// The place in the chain: 1, 2, 3, …
    pub sequence: i64,
    /// The JSON text that is signed, byte for byte. `docs/receipts.md` explains its fields.
    pub body: String,
    /// SHA-256 of the hash of the receipt before and the body, in hex.
    pub hash: String,
    /// Ed25519 signature of the 32 bytes of the hash, in base64.
    pub signature: String,
    /// The key that signed.
    pub key_id: String,
    /// The key that signed: SubjectPublicKeyInfo in base64.
    pub public_key: String,
    pub sealed_at: Timestamp,
}

impl Example for SealedReceipt {
    fn example() -> Self {
        Self {
            sequence: 1,
            body: r#"{"version":1,"sequence":1,"subject":"5f1c…","taskId":"42"}"#.into(),
            hash: "9b74c9897bac770ffc029102a200c5de31d1e7b2f5bcd1a0d6f5b0fb0f6b3c11".into(),
            signature: "mHo0…".into(),
            key_id: "0c5a9e1be7d24d3f".into(),
            public_key: "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=".into(),
            sealed_at: Timestamp::parse("2026-11-24T17:00:00Z").unwrap_or_else(Timestamp::min),
        }
    }
}

/// A page of sealed receipts, newest first.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct ReceiptPage {
    pub items: Vec<SealedReceipt>,
    /// Absent on the last page.
    pub next_cursor: Option<String>,
}

/// A line of an export. All of it is covered by the signature, or is checked against it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportedReceipt {
    /// The JSON text that is signed.
    pub body: String,
    /// In hex.
    pub hash: String,
    /// In base64.
    pub signature: String,
    /// SubjectPublicKeyInfo in base64.
    pub public_key: String,
}

/// The last receipt of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub sequence: i64,
    pub hash: Vec<u8>,
}

/// The last sealed receipt. `None` if there is none.
///
/// # Errors
/// Those of the database.
pub async fn head(connection: &mut PgConnection) -> Result<Option<Head>, sqlx::Error> {
    query_file_as!(Head, "sql/receipts/head.sql")
        .fetch_optional(connection)
        .await
}

/// A page of sealed receipts, newest first; with `sequence` only the one at this place in the chain.
///
/// # Errors
/// For a cursor of another list, and those of the database.
pub async fn list(
    connection: &mut PgConnection,
    sequence: Option<i64>,
    page: Page<'_>,
) -> Result<ReceiptPage, ListError> {
    let list = ListId::new("receipts", &sequence);
    let before = list.decode_number(&page)?;
    let limit = rows_to_read(page.size);
    let rows = query_file!("sql/receipts/list.sql", before, limit, sequence)
        .fetch_all(connection)
        .await?;
    let mut items: Vec<SealedReceipt> = rows
        .into_iter()
        .map(|row| SealedReceipt {
            sequence: row.sequence,
            body: row.body,
            hash: hex(&row.hash),
            signature: STANDARD.encode(&row.signature),
            key_id: row.key_id,
            public_key: base64_of(&row.public_key),
            sealed_at: row.sealed_at,
        })
        .collect();
    let next_cursor = list.cut_page(&mut items, page.size, |item| {
        vec![item.sequence.to_string()]
    });
    Ok(ReceiptPage { items, next_cursor })
}

/// The next `limit` receipts after the sequence `after`, in the order of the chain.
///
/// # Errors
/// Those of the database.
pub async fn export(
    connection: &mut PgConnection,
    after: i64,
    limit: i64,
) -> Result<Vec<(i64, ExportedReceipt)>, sqlx::Error> {
    let rows = query_file!("sql/receipts/export.sql", after, limit)
        .fetch_all(connection)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let line = ExportedReceipt {
                body: row.body,
                hash: hex(&row.hash),
                signature: STANDARD.encode(&row.signature),
                public_key: base64_of(&row.public_key),
            };
            (row.sequence, line)
        })
        .collect())
}

/// The table holds 32 bytes only.
fn base64_of(public_key: &[u8]) -> String {
    PublicKey::from_raw(public_key).map_or_else(String::new, PublicKey::to_base64)
}

//! What a receipt says, and how it is hashed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

/// The version of the format that this program writes and reads.
pub const VERSION: u32 = 1;

/// A SHA-256.
pub type Hash = [u8; 32];

/// The hash before the first receipt.
pub const START: Hash = [0; 32];

/// Rows that stay for a reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptRows {
    /// The type that the erasure map gives them.
    #[serde(rename = "type")]
    pub of_type: String,
    pub rows: i64,
    /// The reason that the map gives.
    pub why: String,
}

/// What is signed. The fields stand in this order in the JSON text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Body {
    /// [`VERSION`].
    pub version: u32,
    /// The place in the chain: 1, 2, 3, …
    pub sequence: i64,
    /// HMAC-SHA-256 of the user's id, in hex; the key belongs to the signing key.
    pub subject: String,
    /// The root task of the erasure.
    pub task_id: String,
    /// RFC 3339, UTC.
    pub requested_at: String,
    /// RFC 3339, UTC.
    pub completed_at: String,
    /// Numbers of removed rows, by type.
    pub rows_deleted: BTreeMap<String, i64>,
    /// Rows that stay for a reason of the erasure map.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<KeptRows>,
    /// Objects that the store confirmed to be gone.
    pub objects_deleted: i64,
    /// Objects kept, because a live row of somebody else names them.
    pub objects_kept: i64,
    /// HMAC-SHA-256 of the digest of the deleted keys, in hex, with the key of the subject. `None` if the records of
    /// the tasks were pruned before the receipt was sealed.
    pub keys_digest: Option<String>,
    /// The digest of the erasure map, in hex.
    pub map_digest: String,
    /// The key that signs: the first 8 bytes of the SHA-256 of the public key, in hex.
    pub key_id: String,
    /// The hash of the receipt before, in hex; 64 zeros in the first one.
    pub previous_hash: String,
}

/// The hash of the receipt with this body that follows the receipt with the hash `previous`.
#[must_use]
pub fn hash_of(previous: &Hash, body: &str) -> Hash {
    sha256(&[previous.as_slice(), body.as_bytes()].concat())
}

/// The SHA-256 of these bytes.
#[must_use]
pub(super) fn sha256(bytes: &[u8]) -> Hash {
    let mut hash = START;
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// Lower-case hexadecimal text.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_sha_256_of_the_hash_before_and_the_body() {
        assert_eq!(
            hex(&hash_of(&START, "{}")),
            "fb1634c4e6cd4b1f1afe3ce2d6ef080f7ac5d1f357d723ad4dfca782733b62db"
        );
        assert_eq!(hex(&[0, 15, 255]), "000fff");
    }
}

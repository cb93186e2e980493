//! Receipts that an auditor can check. Each completed erasure is sealed once: its [`body`] (no personal data) is
//! signed, and its hash covers the hash of the receipt before. `docs/receipts.md` defines the format.
//!
//! ```text
//! seal     a worker's loop: the next rows of lethe.receipts get their place in the chain
//! verify   reads an exported chain without a database, and names the first receipt that does not fit
//! replay   after a restore: who of the database's users was erased by the receipts of an export
//! key      the Ed25519 keys; keys: the table of them; list: sealed receipts for the API and for exports
//! ```

pub mod body;
pub mod key;
pub mod keys;
pub mod list;
pub mod replay;
pub mod seal;
pub mod verify;

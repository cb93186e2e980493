//! The flags of `lethe receipts`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::settings::{Receipting, Settings};

/// Characters of a SHA-256 in hex.
const HASH_LENGTH: usize = 64;

/// Of `lethe receipts`.
#[derive(Debug, Args)]
pub struct ReceiptsArgs {
    /// What to do with the receipts.
    #[command(subcommand)]
    pub command: ReceiptsCommand,
    /// The settings given as flags.
    #[command(flatten)]
    pub settings: Settings<Receipting>,
}

/// What to do with the receipts.
#[derive(Debug, Subcommand)]
pub enum ReceiptsCommand {
    /// Print all sealed receipts, one JSON line each, to be kept elsewhere
    #[command(after_long_help = "\
Examples:
  lethe receipts export > receipts.jsonl
  lethe receipts export --head          # sequence and hash of the last one, to note elsewhere")]
    Export {
        /// Print only the sequence and the hash of the last receipt
        #[arg(long)]
        head: bool,
    },
    /// Verify an export, without a database
    ///
    /// Exit code 1 and the name of the first receipt that is missing, changed, not in its place or
    /// forged. Says what a valid chain proves, and what it does not.
    #[command(after_long_help = "\
Examples:
  lethe receipts verify receipts.jsonl --public-key lethe-receipts.json
  lethe receipts verify receipts.jsonl --head 9b74c9897bac770ffc029102a200c5de31d1e7b2f5bcd1a0d6f5b0fb0f6b3c11")]
    Verify(ExportArgs),
    /// After a database restore: erase again the users who had been erased
    ///
    /// Verifies the export, computes the subject of each user in the database, and reports who has a
    /// receipt or a tombstone and is there again. Changes nothing, unless --apply is given.
    #[command(after_long_help = "\
Examples:
  lethe receipts replay receipts.jsonl
  lethe receipts replay receipts.jsonl --apply")]
    Replay {
        /// The export, and how to verify it.
        #[command(flatten)]
        export: ExportArgs,
        /// Ask for the erasure of each reported user; else only report them
        #[arg(long)]
        apply: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// An export, and how it is verified.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The file that `lethe receipts export` wrote; - is standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The keys that may have signed: PEM, or the JSON of /.well-known/lethe-receipts.json. Without
    /// it the keys are taken from FILE, and a chain that somebody else signed is not found
    #[arg(long, value_name = "FILE")]
    pub public_key: Option<PathBuf>,
    /// The hash of a receipt, noted elsewhere before (export --head); the chain must contain it
    #[arg(long, value_name = "HASH", value_parser = hash)]
    pub head: Option<String>,
    /// Accept an export without a receipt. Else it is refused, because an export that failed is empty too
    #[arg(long)]
    pub allow_empty: bool,
}

fn hash(text: &str) -> Result<String, &'static str> {
    if text.len() == HASH_LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("is not a SHA-256 in hex, 64 characters")
    }
}

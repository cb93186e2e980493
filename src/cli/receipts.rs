//! `lethe receipts`: exports the chain of receipts, verifies an export, and replays it after a restore.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use sqlx::{PgConnection, PgPool};

use super::args::ExportArgs;
use super::progress::bar;
use crate::db::sqlstate::{Meaning, meaning};
use crate::receipts::body::{START, hex};
use crate::receipts::key::{PublicKey, ReceiptKeyError, SigningKey};
use crate::receipts::replay::{Asked, Returned, Subjects};
use crate::receipts::verify::{Chain, ChainError, Verification};
use crate::receipts::{keys, list, replay};

/// Receipts that one statement of an export reads.
const EXPORT_PAGE: i64 = 1_000;
/// How many users a report names before it only counts them.
const MAX_NAMED: usize = 20;

/// Why a command on receipts failed.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptsError {
    #[error("{} cannot be read", .0.display())]
    File(PathBuf, #[source] std::io::Error),
    #[error("{} {fault}", .file.display())]
    PublicKey {
        file: PathBuf,
        fault: ReceiptKeyError,
    },
    #[error(
        "{0} has no receipt. An export that failed is empty too; if none was ever sealed, give --allow-empty"
    )]
    Empty(String),
    #[error("the receipts cannot be printed")]
    Print(#[source] std::io::Error),
    #[error("a receipt cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error("the receipts cannot be read from the database")]
    Database(#[source] sqlx::Error),
    #[error("the database is not migrated; run `lethe migrate`")]
    NotMigrated,
}

impl From<sqlx::Error> for ReceiptsError {
    fn from(error: sqlx::Error) -> Self {
        match meaning(&error) {
            Meaning::NotMigrated => Self::NotMigrated,
            _ => Self::Database(error),
        }
    }
}

/// Writes all sealed receipts to `out`, a line each.
///
/// # Errors
/// When the database refuses, or `out` cannot be written.
pub async fn export(
    connection: &mut PgConnection,
    out: &mut impl Write,
) -> Result<(), ReceiptsError> {
    let mut after = 0;
    loop {
        let page = list::export(connection, after, EXPORT_PAGE).await?;
        let Some((last, _)) = page.last() else {
            return out.flush().map_err(ReceiptsError::Print);
        };
        after = *last;
        for (_, receipt) in &page {
            match writeln!(out, "{}", serde_json::to_string(receipt)?) {
                Ok(()) => {}
                // A reader that went away, as `head` does, is no failure.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(ReceiptsError::Print(error)),
            }
        }
    }
}

/// The sequence and the hash of the last sealed receipt; 0 and zeros if there is none.
///
/// # Errors
/// When the database refuses.
pub async fn head(connection: &mut PgConnection) -> Result<String, ReceiptsError> {
    Ok(match list::head(connection).await? {
        Some(head) => format!("{} {}", head.sequence, hex(&head.hash)),
        None => format!("0 {}", hex(&START)),
    })
}

/// Verifies an export and says what that proves.
///
/// # Errors
/// When a file cannot be read, or for the first receipt that does not fit.
pub fn verify(args: &ExportArgs) -> Result<String, ReceiptsError> {
    let chain = read(args, |_| {})?;
    Ok(verify_text(&chain, args))
}

fn read(
    args: &ExportArgs,
    verified: impl FnMut(&crate::receipts::body::Body),
) -> Result<Chain, ReceiptsError> {
    let how = Verification {
        trusted: args.public_key.as_deref().map(public_keys).transpose()?,
        head: args.head.clone(),
    };
    let mut export = open(&args.file)?;
    let chain = how.run(&mut export, verified)?;
    if chain.receipts == 0 && !args.allow_empty {
        let file = match args.file == Path::new("-") {
            true => "standard input".to_owned(),
            false => args.file.display().to_string(),
        };
        return Err(ReceiptsError::Empty(file));
    }
    Ok(chain)
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, ReceiptsError> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    let file = File::open(path).map_err(|error| ReceiptsError::File(path.to_owned(), error))?;
    Ok(Box::new(BufReader::new(file)))
}

fn public_keys(path: &Path) -> Result<Vec<PublicKey>, ReceiptsError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ReceiptsError::File(path.to_owned(), error))?;
    PublicKey::read_all(&text).map_err(|fault| ReceiptsError::PublicKey {
        file: path.to_owned(),
        fault,
    })
}

fn verify_text(chain: &Chain, args: &ExportArgs) -> String {
    let mut text = format!(
        "valid: {} receipts; none is missing before the last one, changed, out of its place or forged\n\
         head: {} {}",
        chain.receipts,
        chain.receipts,
        hex(&chain.head)
    );
    for (id, (first, last)) in &chain.keys {
        let _ = write!(text, "\nkey {id}: receipts {first} to {last}");
    }
    if let Some(anchored) = chain.anchored {
        let later = chain.receipts - anchored;
        let _ = write!(
            text,
            "\nanchor: the given hash is that of receipt {anchored}; {later} came later"
        );
    }
    text.push_str(
        "\n\nThis proves that a holder of the private key signed these receipts, in this order, and that none was \
         added, removed or changed between the first and the last one.\n\
         It does not prove:",
    );
    if args.public_key.is_none() {
        text.push_str(
            "\n- whose key it is: the keys were taken from the file itself. Give --public-key with keys that you got \
             another way.",
        );
    }
    if args.head.is_none() {
        text.push_str(
            "\n- that the chain was not written anew, or cut at its end: a person who holds the key and the database can do \
             both. Give --head with a hash that was noted elsewhere (`lethe receipts export --head`).",
        );
    } else {
        text.push_str(
            "\n- that nothing after the anchor was written anew or cut off: a person who holds the key and the database can \
             do both. Anchor the head again, elsewhere (`lethe receipts export --head`).",
        );
    }
    text.push_str(
        "\n- that each erasure has a receipt, or that the numbers are true: they are what Lethe recorded when the store \
         and the database confirmed the deletions.",
    );
    text
}

/// What a replay prints, and whether everything could be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayOutput {
    /// For standard output.
    pub text: String,
    /// False if the subjects of some receipts could not be computed.
    pub is_done: bool,
}

/// One run of `lethe receipts replay`.
pub struct Replay<'a> {
    /// The restored database.
    pub pool: &'a PgPool,
    /// The export.
    pub export: &'a ExportArgs,
    /// The configured key, whose subjects the restored database may not know.
    pub key: Option<&'a SigningKey>,
    /// Ask for the erasures; else only report.
    pub apply: bool,
    /// Print JSON.
    pub json: bool,
    /// The person at the terminal, for the audit trail.
    pub user: &'a str,
}

impl Replay<'_> {
    /// Finds who was erased and is there again, and with `apply` asks for their erasure.
    ///
    /// # Errors
    /// When the export does not fit, or the database refuses. To run it again is harmless.
    pub async fn run(&self) -> Result<ReplayOutput, ReceiptsError> {
        let mut receipts = Subjects::default();
        read(self.export, |body| receipts.add(body))?;
        let mut connection = self.pool.acquire().await?;
        let mut subject_keys: HashMap<_, _> = keys::subject_keys(&mut connection).await?;
        if let Some(key) = self.key {
            subject_keys.insert(key.public.id(), key.subjects.clone());
        }
        let spinner = bar("{spinner} compared {pos} users", 0);
        let returned = replay::find(&mut connection, &receipts, &subject_keys, |compared| {
            spinner.set_position(compared);
        })
        .await;
        spinner.finish_and_clear();
        let returned = returned?;
        drop(connection);
        let mut asked = None;
        if self.apply {
            let length = u64::try_from(returned.users.len()).unwrap_or(u64::MAX);
            let bar = bar(
                "asking for erasures [{bar:30}] {pos}/{len}, {eta} left",
                length,
            );
            let actor = format!("cli:{}", self.user);
            let applied = replay::apply(self.pool, &returned.users, &actor, || bar.inc(1)).await;
            bar.finish_and_clear();
            asked = Some(applied?);
        }
        self.output(&receipts, &returned, asked)
    }

    fn output(
        &self,
        receipts: &Subjects,
        returned: &Returned,
        asked: Option<Asked>,
    ) -> Result<ReplayOutput, ReceiptsError> {
        let is_done = returned.missing_keys.is_empty();
        let text = if self.json {
            let users: Vec<&str> = returned.users.iter().map(|user| user.as_str()).collect();
            serde_json::to_string_pretty(&json!({
                "applied": self.apply,
                "held": asked.unwrap_or_default().held,
                "refused": asked.unwrap_or_default().refused,
                "receipts": receipts.count(),
                "compared": returned.compared,
                "users": users,
                "byReceipt": returned.by_receipt,
                "byTombstone": returned.by_tombstone,
                "underWay": returned.under_way,
                "stillErased": returned.still_erased,
                "unknown": returned.unknown,
                "missingKeys": returned.missing_keys,
            }))?
        } else {
            text(receipts, returned, asked)
        };
        Ok(ReplayOutput { text, is_done })
    }
}

fn text(receipts: &Subjects, returned: &Returned, asked: Option<Asked>) -> String {
    let count = returned.users.len();
    let mut text = format!(
        "compared {} users with {} receipts and the tombstones\n\
         {count} users were erased and are there again: {} by their receipt, {} by their tombstone",
        returned.compared,
        receipts.count(),
        returned.by_receipt,
        returned.by_tombstone
    );
    for user in returned.users.iter().take(MAX_NAMED) {
        let _ = write!(text, "\n  {}", user.as_str().escape_debug());
    }
    if count > MAX_NAMED {
        let _ = write!(
            text,
            "\n  … and {} more (--json names all)",
            count - MAX_NAMED
        );
    }
    let _ = write!(
        text,
        "\n{} more are being erased already; {} receipts are of users who are gone, and {} of users whom this \
         database does not know",
        returned.under_way, returned.still_erased, returned.unknown
    );
    for id in &returned.missing_keys {
        let _ = write!(
            text,
            "\nreceipts of key {id} could not be compared: this database does not have it. Set RECEIPT_SIGNING_KEY \
             to that key and run this again"
        );
    }
    match asked {
        Some(asked) => write_asked(&mut text, asked),
        None if count > 0 => {
            text.push_str("\nnothing was changed; --apply asks for their erasure");
        }
        None => {}
    }
    text
}

fn write_asked(text: &mut String, asked: Asked) {
    let _ = write!(
        text,
        "\nasked for {} erasures; workers carry them out",
        asked.accepted
    );
    if asked.held > 0 {
        let _ = write!(
            text,
            "\n{} of them wait, because ERASURE_LIMIT_PER_HOUR allows no more in an hour; `lethe resume` \
             releases them",
            asked.held
        );
    }
    if asked.refused > 0 {
        let _ = write!(
            text,
            "\n{} users were not taken: the erasure map does not allow them to be erased (`ids` and `never`)",
            asked.refused
        );
    }
}

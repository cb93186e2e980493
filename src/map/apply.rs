//! Installs a map: compiles it, runs the script in one transaction, and records the map as the one that holds.

use sqlx::{AssertSqlSafe, PgConnection, query_file, query_file_as};

use super::bind::bind;
use super::catalog;
use super::format::{ErasureMap, digest};
use super::gate::{self, Finding, GateOptions, Severity};
use super::{generate, installed};
use crate::vocabulary::Timestamp;

/// A map that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedMap {
    pub id: i64,
    /// The file, byte for byte.
    pub map: String,
    /// SHA-256 of the file, in hexadecimal.
    pub digest: String,
    /// SHA-256 of the script that was run, in hexadecimal.
    pub script_digest: String,
    /// References without a rule were found when it was applied.
    pub is_incomplete: bool,
    pub applied_at: Timestamp,
}

/// What applying a map did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The functions were installed.
    Installed,
    /// The same functions were there already.
    Unchanged,
}

/// Why a map was not applied. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The gate found something dangerous.
    #[error("the map is dangerous: {}", sentence(.0))]
    Dangerous(Vec<Finding>),
    /// The gate found what the map does not speak of.
    #[error("the map is incomplete: {}; --allow-incomplete applies it all the same", sentence(.0))]
    Incomplete(Vec<Finding>),
    /// The map names what is not there.
    #[error("the map names {0} tables, columns or references that are not there")]
    Unbound(usize),
    /// Open tasks name rows of types that the map does not have.
    #[error(
        "open tasks name rows of type {}, which this map does not have; finish or cancel them first",
        .0.join(", ")
    )]
    TypesInUse(Vec<String>),
    /// There is nobody to prove the map on.
    #[error(
        "there is no user to prove the map on: the database has none, or `ids` and `never` do not allow this id; name \
         another one, or run this on a database with data"
    )]
    NoUser,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The first findings, each with its place.
fn sentence(findings: &[Finding]) -> String {
    const SHOWN: usize = 3;
    let shown = findings.iter().take(SHOWN);
    let mut text: Vec<String> = shown
        .map(|finding| format!("{}: {}", finding.place, finding.what))
        .collect();
    if findings.len() > SHOWN {
        text.push(format!("and {} more", findings.len() - SHOWN));
    }
    text.join(" ")
}

/// The map that holds. `None` before the first one was applied.
///
/// # Errors
/// Of the database, such as a missing table before the migrations.
pub async fn newest(connection: &mut PgConnection) -> Result<Option<AppliedMap>, sqlx::Error> {
    query_file_as!(AppliedMap, "sql/map/newest.sql")
        .fetch_optional(connection)
        .await
}

/// Compiles and installs a map. It waits for another run of itself; workers go on with the functions of before until it
/// commits. Of the built-in map the gate is not asked: its tables were compared before they were used.
///
/// # Errors
/// When the map does not fit the database, open tasks need another one, or the database refuses.
pub async fn apply(
    connection: &mut PgConnection,
    map: &ErasureMap,
    text: &str,
    allow_incomplete: bool,
) -> Result<Applied, ApplyError> {
    query_file!("sql/map/lock.sql")
        .fetch_one(&mut *connection)
        .await?;
    let applied = apply_locked(connection, map, text, allow_incomplete).await;
    // When the connection broke, the lock went with it.
    let unlocked = query_file!("sql/map/unlock.sql")
        .fetch_one(connection)
        .await;
    let applied = applied?;
    unlocked?;
    Ok(applied)
}

async fn apply_locked(
    connection: &mut PgConnection,
    map: &ErasureMap,
    text: &str,
    allow_incomplete: bool,
) -> Result<Applied, ApplyError> {
    let mut tx = catalog::begin(connection).await?;
    let Some((script, script_digest, is_incomplete)) =
        compile(&mut tx, map, allow_incomplete).await?
    else {
        tx.rollback().await?;
        return Ok(Applied::Unchanged);
    };
    sqlx::raw_sql(AssertSqlSafe(script))
        .execute(&mut *tx)
        .await?;
    query_file!(
        "sql/map/record.sql",
        text,
        map.digest,
        script_digest,
        is_incomplete
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Applied::Installed)
}

/// The script of a map, its digest, and whether the map is incomplete. `None` if the same script is installed
/// and nothing of it was dropped since.
pub(super) async fn compile(
    tx: &mut PgConnection,
    map: &ErasureMap,
    allow_incomplete: bool,
) -> Result<Option<(String, String, bool)>, ApplyError> {
    let is_built_in = map.is_built_in();
    if is_built_in {
        let tables = AssertSqlSafe(generate::BUILT_IN_TABLES.to_owned());
        sqlx::raw_sql(tables).execute(&mut *tx).await?;
    }
    let catalog = catalog::read(&mut *tx).await?;
    let bound = bind(map, &catalog);
    let wrong = bound.faults().count();
    if wrong > 0 {
        return Err(ApplyError::Unbound(wrong));
    }
    let mut is_incomplete = false;
    if !is_built_in {
        let options = GateOptions {
            no_values: true,
            strict: false,
        };
        let findings = gate::look(&mut *tx, map, &catalog, options).await?.findings;
        let of = |severity| -> Vec<Finding> {
            let findings = findings.iter();
            findings
                .filter(|finding| finding.severity == severity)
                .cloned()
                .collect()
        };
        let dangers = of(Severity::Danger);
        if !dangers.is_empty() {
            return Err(ApplyError::Dangerous(dangers));
        }
        let incomplete = of(Severity::Incomplete);
        is_incomplete = !incomplete.is_empty();
        if is_incomplete && !allow_incomplete {
            return Err(ApplyError::Incomplete(incomplete));
        }
    }
    let names: Vec<String> = map
        .all_tables()
        .map(|table| table.type_name.clone())
        .collect();
    let missing = sqlx::query_file_scalar!("sql/map/types_in_use.sql", &names)
        .fetch_all(&mut *tx)
        .await?;
    if !missing.is_empty() {
        return Err(ApplyError::TypesInUse(missing));
    }
    let script = generate::script(&bound);
    let script_digest = digest(&script);
    let newest = newest(&mut *tx).await?;
    let is_same = newest.is_some_and(|newest| {
        newest.digest == map.digest
            && newest.script_digest == script_digest
            && newest.is_incomplete == is_incomplete
    });
    let is_same = is_same && installed::missing(&mut *tx, &bound).await?.is_empty();
    Ok((!is_same).then_some((script, script_digest, is_incomplete)))
}

//! All findings of one look, and what follows from them.

use std::collections::BTreeSet;

use sqlx::{PgConnection, query_file};

use super::finding::{Code, Finding, Severity};
use super::scope::Scope;
use super::values::{Counts, Looked};
use super::{danger, domain, indexes, kept, references, stale, strays, suspects, values};
use crate::map::bind::bind;
use crate::map::catalog::{self, Catalog, Column, Server, Table};
use crate::map::format::{ErasureMap, GateLevel};

/// How to look.
#[derive(Debug, Clone, Copy, Default)]
pub struct GateOptions {
    /// Do not look at statistics or samples of values, as on a database without data.
    pub no_values: bool,
    /// Notes count as findings.
    pub strict: bool,
}

/// What follows from a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateResult {
    Complete,
    /// Incomplete or dangerous.
    Found,
    /// Nothing was found, and the map that is applied is another.
    Differs,
}

/// What one look found.
#[derive(Debug)]
pub struct Report {
    pub server: Server,
    /// How many tables the map names, and how many there are.
    pub mapped: usize,
    pub tables: usize,
    /// The worst first.
    pub findings: Vec<Finding>,
    /// The digest of the map that is applied; `None` before the first one was, and for a role that may not read it.
    pub applied: Option<String>,
    /// Whether a map is applied, and it is another.
    pub differs: bool,
    pub result: GateResult,
}

impl Report {
    /// How many findings are so bad.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        let findings = self.findings.iter();
        findings
            .filter(|finding| finding.severity == severity)
            .count()
    }
}

/// Compares a map with a database.
///
/// # Errors
/// When the database cannot be reached or refuses.
pub async fn inspect(
    connection: &mut PgConnection,
    map: &ErasureMap,
    options: GateOptions,
) -> Result<Report, sqlx::Error> {
    let mut tx = catalog::begin(connection).await?;
    let catalog = catalog::read(&mut tx).await?;
    let report = look(&mut tx, map, &catalog, options).await?;
    tx.rollback().await?;
    Ok(report)
}

/// The same in a transaction that has read the catalog.
///
/// # Errors
/// Of the database.
pub(in crate::map) async fn look(
    tx: &mut PgConnection,
    map: &ErasureMap,
    catalog: &Catalog,
    options: GateOptions,
) -> Result<Report, sqlx::Error> {
    let bound = bind(map, catalog);
    let scope = Scope::of(&bound);
    let mut findings = stale::find(&scope);
    findings.extend(references::find(&scope));
    findings.extend(danger::find(&scope));
    findings.extend(kept::find(&scope));
    findings.extend(strays::look(tx).await?);
    if map.gate >= GateLevel::Suspects {
        findings.extend(suspects::by_name(&scope));
        if !options.no_values {
            findings.extend(suspects_by_value(tx, &scope).await?);
        }
    }
    if map.gate == GateLevel::EveryTable {
        findings.extend(suspects::unmapped(&scope));
    }
    findings.extend(domain::look(tx, &scope, !options.no_values).await?);
    let missing = indexes::find(&scope);
    let mut acceptable: BTreeSet<String> = missing
        .iter()
        .filter_map(|one| one.accept().cloned())
        .collect();
    findings.extend(missing.into_iter().filter_map(indexes::MissingIndex::large));
    acceptable.extend(findings.iter().filter_map(|finding| finding.accept.clone()));
    accept(map, &acceptable, &mut findings);
    findings.sort_by(|one, other| {
        let order = |finding: &Finding| (std::cmp::Reverse(finding.severity), finding.code);
        (order(one), &one.place).cmp(&(order(other), &other.place))
    });
    let applied = applied(tx).await?;
    let differs = applied.as_ref().is_some_and(|digest| *digest != map.digest);
    let counts = |finding: &&Finding| options.strict || finding.severity > Severity::Note;
    let result = match (findings.iter().any(|finding| counts(&finding)), differs) {
        (true, _) => GateResult::Found,
        (false, true) => GateResult::Differs,
        (false, false) => GateResult::Complete,
    };
    Ok(Report {
        server: catalog.server.clone(),
        mapped: bound.tables.len(),
        tables: catalog
            .tables
            .iter()
            .filter(|table| !table.is_partition)
            .count(),
        findings,
        applied,
        differs,
        result,
    })
}

async fn suspects_by_value(
    tx: &mut PgConnection,
    scope: &Scope<'_>,
) -> Result<Vec<Finding>, sqlx::Error> {
    let not_looked =
        |what: &str, remedy: &str| Finding::note(Code::NotLooked, "pg_stats", what, remedy);
    Ok(match values::look(tx, scope).await? {
        Looked::Forbidden => {
            let remedy = "Grant select on pg_stats to this role, or check with --no-values.";
            vec![not_looked(
                "This role may not read statistics of values.",
                remedy,
            )]
        }
        Looked::Counts {
            counts,
            has_statistics,
        } => {
            let mut findings = suspects::by_value(scope, &counts);
            if !has_statistics {
                let what = "There are no statistics of values that this role may read.";
                let remedy = "Run `analyze;` in this database as the owner of its tables, or check with --no-values.";
                findings.push(not_looked(what, remedy));
            }
            findings
        }
    })
}

/// Takes out what the map accepts. An entry that accepts nothing is a finding itself.
fn accept(map: &ErasureMap, acceptable: &BTreeSet<String>, findings: &mut Vec<Finding>) {
    let keys: BTreeSet<&String> = map.accepted.iter().map(|reason| &reason.key).collect();
    findings.retain(|finding| {
        finding
            .accept
            .as_ref()
            .is_none_or(|key| !keys.contains(key))
    });
    for reason in map
        .accepted
        .iter()
        .filter(|reason| !acceptable.contains(&reason.key))
    {
        let what = "Is accepted, and is no finding.";
        let remedy = "Remove the entry from [accept].";
        let stale = Finding::incomplete(Code::StaleAccept, &*reason.key, what, remedy);
        findings.push(stale.at(reason.line));
    }
}

/// The digest of the newest map that was applied, if there is one that this role may read.
async fn applied(tx: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    let maps = query_file!("sql/map/applied.sql")
        .fetch_one(&mut *tx)
        .await?;
    if !maps.may_read {
        return Ok(None);
    }
    sqlx::query_scalar("select digest from lethe.maps order by id desc limit 1")
        .fetch_optional(tx)
        .await
}

/// What a map that deletes everything would still be asked: the suspects, as keys of `[ignore]`, and what can only be
/// accepted, as keys of `[accept]`.
#[must_use]
pub fn open_questions(
    scope: &Scope<'_>,
    counts: &[(&Table, &Column, Counts)],
) -> (Vec<String>, Vec<String>) {
    let suspects = suspects::by_name(scope)
        .into_iter()
        .chain(suspects::by_value(scope, counts));
    let ignored: BTreeSet<String> = suspects.map(|finding| finding.place).collect();
    let dangers = danger::find(scope).into_iter();
    let dangers = dangers.filter(|finding| finding.severity == Severity::Danger);
    let accepted: BTreeSet<String> = dangers.filter_map(|finding| finding.accept).collect();
    (Vec::from_iter(ignored), Vec::from_iter(accepted))
}

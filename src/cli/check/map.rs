//! The erasure map: whether one is applied, whether it is the one that was given, and what its gate finds in the
//! database.

use std::time::Duration;

use sqlx::PgConnection;

use super::table::Finding;
use super::trial::Trial;
use crate::config::MapText;
use crate::map::apply::AppliedMap;
use crate::map::format::ErasureMap;
use crate::map::gate::{self, GateOptions, Report, Severity};
use crate::map::grants::{MapRight, MapRights};
use crate::map::{self, DatabaseMap, drift, plan};
use crate::schema::needs::TableRight;
use crate::vocabulary::ProcessRole;

const NAME: &str = "erasure map";
/// How long the catalog may take. It is more than one answer.
const LOOK_LIMIT: Duration = Duration::from_secs(20);
/// So many characters of a digest tell two maps apart.
const SHORT_DIGEST: usize = 12;
/// Values are not looked at: that reads statistics and samples, and is the work of `lethe map check`.
const OPTIONS: GateOptions = GateOptions {
    no_values: true,
    strict: false,
};

/// What was found of the map, and what other rows of the table need to know of it.
pub(super) struct MapTrial {
    pub(super) finding: Finding,
    /// The map that is applied.
    pub(super) map: Option<ErasureMap>,
    /// The rights on its tables, if its tables are there.
    pub(super) rights: Option<MapRights>,
}

impl MapTrial {
    fn unknown(finding: Finding) -> Self {
        Self {
            finding,
            map: None,
            rights: None,
        }
    }

    /// The rights on the application's tables that processes of these roles need.
    pub(super) fn rights_of(&self, roles: &[ProcessRole]) -> Option<Vec<TableRight>> {
        let rights = self.rights.as_ref()?;
        let of_roles = roles.iter().flat_map(|role| match role {
            ProcessRole::Serve => &rights.serve,
            ProcessRole::Worker => &rights.worker,
        });
        let mut rights: Vec<TableRight> = of_roles.flat_map(table_rights).collect();
        rights.sort();
        rights.dedup();
        Some(rights)
    }
}

fn table_rights(right: &MapRight) -> Vec<TableRight> {
    let of = |column| TableRight {
        table: right.table.clone(),
        privilege: right.privilege.to_owned(),
        column,
    };
    match right.columns.is_empty() {
        true => vec![of(None)],
        false => {
            let columns = right.columns.iter();
            columns.map(|(name, _)| of(Some(name.clone()))).collect()
        }
    }
}

/// `given` is the map of ERASURE_MAP, which the processes of this configuration are given too.
pub(super) async fn check(
    trial: &Trial,
    connection: &mut PgConnection,
    given: Option<&MapText>,
) -> MapTrial {
    let applied = match trial.answer(map::of_database(connection)).await {
        Ok(DatabaseMap::Applied(applied)) => applied,
        Ok(DatabaseMap::None) => {
            return MapTrial::unknown(Finding::wrong(
                NAME,
                "none is applied",
                "Run `lethe migrate` as the database's owner, with ERASURE_MAP if your tables are not those of the \
                 built-in map. It ends with applying the map.",
            ));
        }
        Ok(DatabaseMap::Forbidden) => {
            let why = "not known: this role may not read lethe.maps";
            return MapTrial::unknown(Finding::note(NAME, why, "See the rights below."));
        }
        // The line about migrations says why.
        Err(problem) => {
            return MapTrial::unknown(Finding::note(NAME, format!("not known: {problem}"), ""));
        }
    };
    let Ok(map) = ErasureMap::parse(&applied.map) else {
        return MapTrial::unknown(Finding::wrong(
            NAME,
            "the map that is applied is of a version of Lethe whose format this one does not read",
            "Run `lethe migrate` of this version as the database's owner, with ERASURE_MAP.",
        ));
    };
    let slow = Trial { limit: LOOK_LIMIT };
    let finding = match given {
        Some(given) if given.map.digest != applied.digest => {
            let (given, applied) = (short(&given.map.digest), short(&applied.digest));
            Finding::wrong(
                NAME,
                format!(
                    "ERASURE_MAP ({given}) is another map than the one that is applied ({applied})"
                ),
                "Run `lethe map apply` as the database's owner, or give the processes the file that is applied: they \
                 are not ready until then.",
            )
        }
        _ => look(&slow, connection, &map, &applied, given.is_some()).await,
    };
    let rights = slow.answer(rights(connection, &map)).await;
    MapTrial {
        finding,
        rights: rights.ok().flatten(),
        map: Some(map),
    }
}

/// What `lethe map check` finds of the map that is applied. Whether that keeps the processes from their work is what they
/// themselves go by.
async fn look(
    trial: &Trial,
    connection: &mut PgConnection,
    map: &ErasureMap,
    applied: &AppliedMap,
    is_given: bool,
) -> Finding {
    let found = async {
        let report = gate::inspect(&mut *connection, map, OPTIONS).await?;
        Ok::<_, sqlx::Error>((report, drift::look(connection).await?))
    };
    let (report, drift) = match trial.answer(found).await {
        Ok(found) => found,
        Err(problem) => return Finding::note(NAME, format!("not known: {problem}"), ""),
    };
    let is_breaking = drift.is_some_and(|drift| !drift.breaking.is_empty());
    let kind = match (map.is_built_in(), is_given) {
        (true, _) => "the built-in map",
        (false, true) => "the map of ERASURE_MAP",
        (false, false) => "a map",
    };
    let detail = format!("{kind} is applied ({})", short(&applied.digest));
    let Some(counts) = counts(&report) else {
        return Finding::works(NAME, detail);
    };
    let detail = format!("{detail}; `lethe map check --no-values` finds {counts}");
    let remedy = "Run `lethe map check`: it says of each finding how to mend it.";
    // The built-in map is applied without its gate, so what the gate calls dangerous need not keep it from working.
    let is_dangerous = report.count(Severity::Danger) > 0 && !map.is_built_in();
    match is_breaking || is_dangerous {
        true => Finding::wrong(NAME, detail, remedy),
        false => Finding::note(NAME, detail, remedy),
    }
}

/// How many findings are dangerous and incomplete, if there are any.
fn counts(report: &Report) -> Option<String> {
    let severities = [Severity::Danger, Severity::Incomplete].into_iter();
    let counts: Vec<String> = severities
        .filter_map(|severity| {
            let count = report.count(severity);
            let word = match severity {
                Severity::Danger => "dangerous",
                _ => "incomplete",
            };
            (count > 0).then(|| format!("{count} {word}"))
        })
        .collect();
    (!counts.is_empty()).then(|| counts.join(", "))
}

/// `None` if a table of the map is not there.
async fn rights(
    connection: &mut PgConnection,
    map: &ErasureMap,
) -> Result<Option<MapRights>, sqlx::Error> {
    match plan::rights(connection, map).await {
        Ok(rights) => Ok(Some(rights)),
        Err(plan::CompileError::Unbound(_)) => Ok(None),
        Err(plan::CompileError::Database(error)) => Err(error),
    }
}

fn short(digest: &str) -> &str {
    digest.get(..SHORT_DIGEST).unwrap_or(digest)
}

//! A database in which one case after the other is tried.

use std::collections::BTreeSet;
use std::time::Duration;

use lethe::map::format::ErasureMap;
use lethe::map::gate::{GateOptions, GateResult, Severity, inspect};
use lethe::map::plan;
use lethe::schema::MIGRATOR;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::case::{Case, Row};
use super::verdict::{Verdict, judge};
use super::{sql, toml};
use crate::support::world::World;

/// A plan of a few rows takes no longer.
const LIMIT: Duration = Duration::from_secs(30);

/// Where the judge and Lethe differ.
#[derive(Debug, Clone)]
pub struct Difference {
    /// The same words for the same kind of difference, whatever the case.
    pub what: String,
    pub details: Vec<String>,
}

impl Difference {
    pub fn new(what: impl Into<String>, details: impl IntoIterator<Item = String>) -> Self {
        Self {
            what: what.into(),
            details: details.into_iter().collect(),
        }
    }
}

/// Where cases are tried.
pub trait Court: Sized {
    async fn open() -> Self;

    /// Compares what Lethe says or does with the judge.
    async fn compare(&mut self, case: &Case) -> Result<Verdict, Difference>;
}

/// What Lethe only says of a case: the gate, the plan, what is left before an erasure, and that nothing is left after
/// one.
pub struct Lane {
    connection: PgConnection,
    _world: World,
}

impl Court for Lane {
    async fn open() -> Self {
        let world = World::unmigrated().await;
        let mut connection = PgConnection::connect(&world.url).await.unwrap();
        let settings = "set client_min_messages = error; set timezone = 'UTC'";
        sqlx::raw_sql(settings)
            .execute(&mut connection)
            .await
            .unwrap();
        MIGRATOR.run(&mut connection).await.unwrap();
        Self {
            connection,
            _world: world,
        }
    }

    async fn compare(&mut self, case: &Case) -> Result<Verdict, Difference> {
        let verdict = judge(case);
        self.load(case, &case.rows).await?;
        let text = toml::map(case);
        let map = ErasureMap::parse(&text)
            .map_err(|error| Difference::new("the file is refused", [error.to_string()]))?;
        self.gate(&map).await?;
        let seen = plan::plan(&mut self.connection, &map, &case.erased, LIMIT).await;
        let seen =
            seen.map_err(|error| Difference::new("the plan fails", [format!("{error:?}")]))?;
        let seen = serde_json::to_value(&seen).unwrap();
        let differences = super::plan::differences(&super::plan::expected(&verdict), &seen);
        if !differences.is_empty() {
            return Err(Difference::new("the plan differs", differences));
        }
        self.install(&map).await?;
        let expected = super::plan::leftovers(&verdict);
        let seen = self.leftovers(case).await?;
        if seen != expected {
            let details = [format!("- {expected:?}"), format!("+ {seen:?}")];
            return Err(Difference::new(
                "leftovers differ before the erasure",
                details,
            ));
        }
        self.load(case, &expected_rows(&verdict))
            .await
            .map_err(|error| {
                Difference::new("the database refuses what must come of it", error.details)
            })?;
        let left = self.leftovers(case).await?;
        match left.is_empty() {
            true => Ok(verdict),
            false => Err(Difference::new(
                "leftovers are seen after the erasure",
                left,
            )),
        }
    }
}

impl Lane {
    async fn load(&mut self, case: &Case, rows: &[Vec<Row>]) -> Result<(), Difference> {
        let script = sql::script(case, rows);
        let loaded = sqlx::raw_sql(AssertSqlSafe(script))
            .execute(&mut self.connection)
            .await;
        let failed =
            |error: sqlx::Error| Difference::new("the rows cannot be loaded", [error.to_string()]);
        loaded.map(drop).map_err(failed)
    }

    async fn gate(&mut self, map: &ErasureMap) -> Result<(), Difference> {
        let report = inspect(&mut self.connection, map, GateOptions::default())
            .await
            .unwrap();
        if report.result == GateResult::Complete {
            return Ok(());
        }
        let bad = report
            .findings
            .iter()
            .filter(|one| one.severity > Severity::Note);
        let bad = Vec::from_iter(bad);
        let lines = bad
            .iter()
            .map(|one| format!("{} {}: {}", one.code.as_str(), one.place, one.what));
        let code = bad
            .first()
            .map_or("the gate says `differs`", |one| one.code.as_str());
        Err(Difference::new(code, lines))
    }

    async fn install(&mut self, map: &ErasureMap) -> Result<(), Difference> {
        let script = plan::script(&mut self.connection, map).await.unwrap();
        let made = sqlx::raw_sql(AssertSqlSafe(script))
            .execute(&mut self.connection)
            .await;
        let failed = |error: sqlx::Error| {
            Difference::new("the functions cannot be made", [error.to_string()])
        };
        made.map(drop).map_err(failed)
    }

    async fn leftovers(&mut self, case: &Case) -> Result<BTreeSet<String>, Difference> {
        let sql = "select type || ' ' || action || ' ' || rows from lethe_map.leftovers($1, $2)";
        let rows = sqlx::query_scalar(sql)
            .bind(&case.erased)
            .bind(user_key(case));
        let rows: Result<Vec<String>, _> = rows.fetch_all(&mut self.connection).await;
        let failed = |error: sqlx::Error| Difference::new("leftovers fails", [error.to_string()]);
        rows.map(BTreeSet::from_iter).map_err(failed)
    }
}

/// The text of the user's id, as the tombstone holds it.
fn user_key(case: &Case) -> Option<String> {
    let (id, clerk_id) = case.user_columns()?;
    let user = case.rows[0]
        .iter()
        .find(|row| row[clerk_id] == case.erased.as_str())?;
    Some(match &user[id] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

/// The rows as they must be afterwards.
pub fn expected_rows(verdict: &Verdict) -> Vec<Vec<Row>> {
    let tables = verdict.after.iter();
    tables
        .map(|rows| rows.iter().flatten().cloned().collect())
        .collect()
}

/// A case as a person can try it: the map, the SQL, and the user.
pub fn tell(case: &Case, seed: u64, difference: &Difference) -> String {
    let details = difference.details.join("\n");
    format!(
        "JUDGE_SEED={seed}: {}\n{details}\n\n-- lethe.toml\n{}\n-- tables and rows\n{}\n-- erased: {}\n",
        difference.what,
        toml::map(case),
        sql::script(case, &case.rows),
        case.erased
    )
}

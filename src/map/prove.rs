//! Proves a map on a user: the whole erasure in a transaction that is rolled back.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, query_file, query_file_scalar};

use super::apply::{ApplyError, compile};
use super::catalog;
use super::format::{Action, ErasureMap};
use crate::db::sqlstate::{Meaning, meaning, with_remedy};

/// Without a user's id, the one with the most rows among so many is taken.
const USERS_LOOKED_AT: i32 = 50;
/// More steps than any erasure needs that comes to an end.
const MAX_STEPS: usize = 10_000;

/// How a proof went.
#[derive(Debug)]
pub struct Proof {
    pub user_id: String,
    /// What the plan said before.
    pub plan: Value,
    /// What was left: type, what should have become of it, and rows.
    pub left: Vec<(String, String, i64)>,
    /// What the last step of the erasure said, if it came to no end.
    pub stopped: Option<String>,
    /// Rules that met no row of this user, as type and action.
    pub unmet: Vec<(String, String)>,
}

impl Proof {
    /// Whether nothing was left, and each rule met a row.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.left.is_empty() && self.stopped.is_none() && self.unmet.is_empty()
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "user {}", self.user_id)?;
        for row in self.plan["rows"].as_array().into_iter().flatten() {
            let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            writeln!(
                f,
                "  {} {} of {}",
                text("action"),
                row["rows"],
                text("type")
            )?;
        }
        for (of_type, action, rows) in &self.left {
            writeln!(
                f,
                "left: {rows} of {of_type}, which the map says to {action}"
            )?;
        }
        if let Some(stopped) = &self.stopped {
            writeln!(f, "the erasure does not come to its end: {stopped}")?;
        }
        for (of_type, action) in &self.unmet {
            writeln!(
                f,
                "no row met the rule \"{action}\" of {of_type}; prove a user who has such rows"
            )?;
        }
        if self.is_complete() {
            write!(f, "Nothing was left.")
        } else {
            write!(f, "The map is not proved.")
        }
    }
}

/// A task of the erasure that is proved.
struct OpenTask {
    id: i64,
    is_step: bool,
}

/// Erases a user in a transaction that is rolled back. Objects are taken as gone; no store is asked. An incomplete map is
/// proved only with `allow_incomplete`.
///
/// # Errors
/// When the map does not fit the database, there is no user, or the database refuses.
pub async fn prove(
    connection: &mut PgConnection,
    map: &ErasureMap,
    user_id: Option<&str>,
    allow_incomplete: bool,
) -> Result<Proof, ApplyError> {
    let mut tx = catalog::begin(connection).await?;
    if let Some((script, ..)) = compile(&mut tx, map, allow_incomplete).await? {
        sqlx::raw_sql(AssertSqlSafe(script))
            .execute(&mut *tx)
            .await?;
    }
    let user_id = match user_id {
        Some(user_id) => user_id.to_owned(),
        None => query_file_scalar!("sql/map/largest_user.sql", USERS_LOOKED_AT)
            .fetch_optional(&mut *tx)
            .await?
            .flatten()
            .ok_or(ApplyError::NoUser)?,
    };
    let plan = query_file_scalar!("sql/map/plan.sql", user_id)
        .fetch_one(&mut *tx)
        .await?;
    let root = query_file_scalar!(
        "sql/deletion/request_user.sql",
        user_id,
        "prove",
        None::<&str>
    )
    .fetch_one(&mut *tx)
    .await?
    .ok_or(ApplyError::NoUser)?;
    let stopped = run_or_refused(&mut tx, root).await?;
    let left = query_file!("sql/map/leftovers.sql", user_id)
        .fetch_all(&mut *tx)
        .await?;
    tx.rollback().await?;
    let unmet = unmet(map, &plan);
    Ok(Proof {
        user_id,
        plan,
        left: left
            .into_iter()
            .map(|row| (row.of_type, row.action, row.rows))
            .collect(),
        stopped,
        unmet,
    })
}

/// The same as [`run`]. What the database refuses is why the erasure comes to no end; then nothing of it is done.
async fn run_or_refused(tx: &mut PgConnection, root: i64) -> Result<Option<String>, sqlx::Error> {
    let mut savepoint = tx.begin().await?;
    match run(&mut savepoint, root).await {
        Ok(stopped) => {
            savepoint.commit().await?;
            Ok(stopped)
        }
        Err(error) if meaning(&error) == Meaning::Refused => {
            savepoint.rollback().await?;
            Ok(Some(with_remedy(&error)))
        }
        Err(error) => Err(error),
    }
}

/// Runs all tasks of an erasure to its end, as a worker does whose store answers at once. Why it came to none.
async fn run(tx: &mut PgConnection, root: i64) -> Result<Option<String>, sqlx::Error> {
    let mut last = "it was not begun".to_owned();
    for _ in 0..MAX_STEPS {
        let open = sqlx::query_file_as!(OpenTask, "sql/map/claim_for_proof.sql", root)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(task) = open else {
            let is_open = query_file_scalar!("sql/map/is_open.sql", root)
                .fetch_one(&mut *tx)
                .await?;
            return Ok(is_open.then_some(last));
        };
        let (result, error) = match task.is_step {
            true => {
                let row = query_file!("sql/deletion/step_erasure.sql", "prove", task.id, true)
                    .fetch_one(&mut *tx)
                    .await?;
                (row.result, row.error)
            }
            false => {
                let none: [i64; 0] = [];
                let row = query_file!(
                    "sql/deletion/settle_tasks.sql",
                    "prove",
                    &[task.id],
                    &none,
                    &[] as &[String],
                    true
                )
                .fetch_one(&mut *tx)
                .await?;
                (row.result, row.error)
            }
        };
        match result.as_str() {
            "held" | "stays" => {
                return Ok(Some(format!(
                    "a row of {} is still there",
                    error.unwrap_or_default()
                )));
            }
            _ => last = format!("its last step said {result:?}"),
        }
    }
    Ok(Some(last))
}

/// The rules of the map that the plan of this user does not meet.
fn unmet(map: &ErasureMap, plan: &Value) -> Vec<(String, String)> {
    let met: BTreeSet<(&str, &str)> = plan["rows"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|row| Some((row["type"].as_str()?, row["action"].as_str()?)))
        .collect();
    let mut unmet = BTreeSet::new();
    for table in map.all_tables() {
        for rule in &table.rules {
            let action = rule.action.as_str();
            let goes = met.contains(&(table.type_name.as_str(), Action::Delete.as_str()));
            // A row that goes by another rule needs neither to be kept nor to be detached.
            if !met.contains(&(table.type_name.as_str(), action)) && !goes {
                unmet.insert((table.type_name.clone(), action.to_owned()));
            }
        }
    }
    unmet.into_iter().collect()
}

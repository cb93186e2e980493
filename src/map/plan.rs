//! Runs what is generated, without installing it.

use std::time::Duration;

use poem_openapi::{Object, types::Example};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection, query_file_scalar};

use super::bind::{BoundMap, bind};
use super::catalog;
use super::format::ErasureMap;
use super::generate;
use super::grants::{self, MapRights};

/// Why nothing could be generated or run.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The map names what is not there; `lethe map check` says it in full.
    #[error("the map names {0} tables, columns or references that are not there")]
    Unbound(usize),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The script that installs the functions.
///
/// # Errors
/// When the map does not fit the database, or the database refuses.
pub async fn script(
    connection: &mut PgConnection,
    map: &ErasureMap,
) -> Result<String, CompileError> {
    compile(connection, map, generate::script).await
}

/// The rights that the processes need on the map's tables.
///
/// # Errors
/// When the map does not fit the database, or the database refuses.
pub async fn rights(
    connection: &mut PgConnection,
    map: &ErasureMap,
) -> Result<MapRights, CompileError> {
    compile(connection, map, grants::rights).await
}

async fn compile<T>(
    connection: &mut PgConnection,
    map: &ErasureMap,
    write: impl FnOnce(&BoundMap<'_>) -> T,
) -> Result<T, CompileError> {
    let mut tx = catalog::begin(connection).await?;
    let catalog = catalog::read(&mut tx).await?;
    tx.rollback().await?;
    let bound = bind(map, &catalog);
    refuse_unbound(&bound)?;
    Ok(write(&bound))
}

/// Why a map never erases this id; `None` if it may. The built-in map takes any.
///
/// # Errors
/// Of the database, such as a pattern that is no regular expression.
pub async fn refusal(
    connection: &mut PgConnection,
    map: &ErasureMap,
    user_id: &str,
) -> Result<Option<String>, sqlx::Error> {
    if user_id.is_empty() {
        return Ok(Some("it is empty".to_owned()));
    }
    if map.is_built_in() {
        return Ok(None);
    }
    let user = &map.user;
    if user.never.iter().any(|never| never == user_id) {
        return Ok(Some("the map names it in `never`".to_owned()));
    }
    let is_refused = query_file_scalar!("sql/map/refused.sql", user_id, user.ids)
        .fetch_one(connection)
        .await?;
    Ok(is_refused.then(|| format!("it does not match the map's `ids` ({})", user.ids)))
}

/// What an erasure of a user would remove, keep and leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
#[oai(example)]
pub struct Plan {
    /// What happens to rows, by type and action.
    pub rows: Vec<PlannedRows>,
    /// The rows that stay, by type and reason. `rows` has them too.
    pub kept: Vec<PlannedKeptRows>,
    pub objects: PlannedObjects,
}

/// The rows of one type to which the same happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct PlannedRows {
    /// The type of the rows, as the erasure map names it.
    #[oai(rename = "type")]
    #[serde(rename = "type")]
    pub row_type: String,
    /// `delete`, `detach` (the reference to the user is cleared) or `keep` (what names the user is cleared or set).
    pub action: String,
    pub rows: i64,
    /// Objects that these rows name and give up.
    pub keys: i64,
}

/// Rows that stay, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct PlannedKeptRows {
    /// The type of the rows, as the erasure map names it.
    #[oai(rename = "type")]
    #[serde(rename = "type")]
    pub row_type: String,
    pub rows: i64,
    /// The reason, from the erasure map.
    pub why: String,
}

/// What happens to the objects that the rows name. Each object counts once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Object)]
pub struct PlannedObjects {
    /// Objects that are deleted.
    pub delete: i64,
    /// Objects that stay, because a live row names them too.
    pub shared: i64,
    /// URLs of none of the map's buckets, which stay.
    pub foreign: i64,
    /// Keys outside of the prefix that the map allows. An erasure does not delete them, and waits for a person. At most
    /// 1,000.
    pub outside: Vec<String>,
}

impl Example for Plan {
    fn example() -> Self {
        let rows = |row_type: &str, action: &str, rows, keys| PlannedRows {
            row_type: row_type.into(),
            action: action.into(),
            rows,
            keys,
        };
        Self {
            rows: vec![
                rows("invoice", "keep", 2, 0),
                rows("sample-image", "delete", 12, 12),
                rows("user", "delete", 1, 0),
            ],
            kept: vec![PlannedKeptRows {
                row_type: "invoice".into(),
                rows: 2,
                why: "tax law".into(),
            }],
            objects: PlannedObjects {
                delete: 11,
                shared: 1,
                foreign: 0,
                outside: Vec::new(),
            },
        }
    }
}

/// What an erasure of a user would remove, keep and leave. Nothing is written: one transaction, which is read-only and
/// in which each statement may take as long as `limit`. The role needs to read the map's tables, and no other right.
///
/// # Errors
/// When the map does not fit the database, or the database refuses.
pub async fn plan(
    connection: &mut PgConnection,
    map: &ErasureMap,
    user_id: &str,
    limit: Duration,
) -> Result<Plan, CompileError> {
    let mut tx = catalog::begin(connection).await?;
    let catalog = catalog::read(&mut tx).await?;
    let bound = bind(map, &catalog);
    refuse_unbound(&bound)?;
    sqlx::query(
        "select set_config('transaction_read_only', 'on', true), set_config('statement_timeout', $1, true), \
                set_config($2, $3, true)",
    )
    .bind(format!("{}ms", limit.as_millis()))
    .bind(generate::PLAN_OF)
    .bind(user_id)
    .execute(&mut *tx)
    .await?;
    sqlx::raw_sql(AssertSqlSafe(generate::plan_statement(&bound)))
        .execute(&mut *tx)
        .await?;
    let Json(plan) = sqlx::query_scalar("select current_setting($1)::json")
        .bind(generate::PLANNED)
        .fetch_one(&mut *tx)
        .await?;
    tx.rollback().await?;
    Ok(plan)
}

fn refuse_unbound(bound: &BoundMap<'_>) -> Result<(), CompileError> {
    match bound.faults().count() {
        0 => Ok(()),
        count => Err(CompileError::Unbound(count)),
    }
}

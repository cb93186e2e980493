//! Runs what is generated, without installing it.

use sqlx::{AssertSqlSafe, PgConnection};

use super::bind::{BindProblem, bind};
use super::catalog;
use super::format::ErasureMap;
use super::{generate, grants};

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

/// The rights of the two roles.
///
/// # Errors
/// When the map does not fit the database, or the database refuses.
pub async fn rights(
    connection: &mut PgConnection,
    map: &ErasureMap,
    (worker, serve): (&str, &str),
) -> Result<String, CompileError> {
    compile(connection, map, |bound| {
        grants::grants(bound, worker, serve)
    })
    .await
}

async fn compile(
    connection: &mut PgConnection,
    map: &ErasureMap,
    write: impl FnOnce(&super::bind::BoundMap<'_>) -> String,
) -> Result<String, CompileError> {
    let mut tx = catalog::begin(connection).await?;
    let catalog = catalog::read(&mut tx).await?;
    tx.rollback().await?;
    let bound = bind(map, &catalog);
    refuse_unbound(&bound.problems)?;
    Ok(write(&bound))
}

/// What an erasure of a user would remove, keep and leave, as the JSON text that the generated function returns. The
/// functions are made in the session's own schema, in a transaction that is rolled back.
///
/// # Errors
/// When the map does not fit the database, or the database refuses.
pub async fn plan(
    connection: &mut PgConnection,
    map: &ErasureMap,
    user_id: &str,
) -> Result<String, CompileError> {
    let mut tx = catalog::begin(connection).await?;
    let catalog = catalog::read(&mut tx).await?;
    let bound = bind(map, &catalog);
    refuse_unbound(&bound.problems)?;
    let functions = generate::functions_in(&bound, generate::TEMPORARY);
    sqlx::raw_sql(AssertSqlSafe(functions))
        .execute(&mut *tx)
        .await?;
    let plan = sqlx::query_scalar("select jsonb_pretty(pg_temp.plan($1))")
        .bind(user_id)
        .fetch_one(&mut *tx)
        .await?;
    tx.rollback().await?;
    Ok(plan)
}

/// A rule that matches nothing is stale, not wrong: an erasure is the same without it.
fn refuse_unbound(problems: &[BindProblem]) -> Result<(), CompileError> {
    let wrong = problems
        .iter()
        .filter(|problem| !matches!(problem, BindProblem::NoTarget { .. }));
    match wrong.count() {
        0 => Ok(()),
        count => Err(CompileError::Unbound(count)),
    }
}

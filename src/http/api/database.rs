//! What a database error means to a client.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgExecutor, PgPool, Postgres, Transaction};

use crate::cursor::ListError;
use crate::db::sqlstate::{Meaning, meaning};
use crate::db::transaction::begin_read_only;
use crate::evidence;
use crate::http::problem::Problem;
use crate::map::format::ErasureMap;
use crate::map::{self, plan::CompileError};
use crate::vocabulary::{ProblemCode, UserId};

/// How long a client is told to wait when the database is unavailable.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The rule in the problem for an id that the erasure map does not accept as a user's.
const STRANGE_ID: &str = "must match `ids` of the erasure map (`^user_` by default)";

/// A bounded transaction that only reads.
pub(super) async fn reading(pool: &PgPool) -> Result<Transaction<'static, Postgres>, Problem> {
    begin_read_only(pool).await.map_err(problem_of)
}

/// A connection for modules that begin their own transactions.
pub(super) async fn connection(pool: &PgPool) -> Result<PoolConnection<Postgres>, Problem> {
    pool.acquire().await.map_err(problem_of)
}

/// Refuses an id that the erasure map does not accept as a user's, so that a mistyped id does not look like an unknown
/// user.
pub(super) async fn refuse_strange_id(
    executor: impl PgExecutor<'_>,
    user_id: &UserId,
) -> Result<(), Problem> {
    let is_id = evidence::is_user_id(executor, user_id);
    match is_id.await.map_err(problem_of)? {
        true => Ok(()),
        false => Err(Problem::bad_field("userId", STRANGE_ID)),
    }
}

/// The erasure map that is applied.
pub(super) async fn map_in_use(connection: &mut PgConnection) -> Result<ErasureMap, Problem> {
    let map = map::current(connection).await.map_err(problem_of)?;
    map.ok_or_else(|| {
        let why =
            "The erasure map that is applied is of another version of Lethe: run `lethe migrate`.";
        Problem::unavailable(why, RETRY_AFTER).with_code(ProblemCode::DatabaseUnavailable)
    })
}

/// Makes a 503 for an error that is temporary or can be fixed without a change of the request, otherwise a 500.
pub(super) fn problem_of(error: sqlx::Error) -> Problem {
    match why_unavailable(&error) {
        Some(why) => {
            tracing::warn!(%error, "the database cannot answer");
            Problem::unavailable(why, RETRY_AFTER).with_code(ProblemCode::DatabaseUnavailable)
        }
        None => Problem::internal(&error),
    }
}

/// The same for a list, which also refuses foreign cursors.
pub(super) fn list_problem(error: ListError) -> Problem {
    match error {
        ListError::Cursor(rule) => {
            Problem::bad_field("cursor", rule).with_code(ProblemCode::InvalidCursor)
        }
        ListError::Type(types) => type_problem(&types),
        ListError::Database(error) => problem_of(error),
    }
}

/// There is no such type of rows.
pub(super) fn type_problem(types: &[String]) -> Problem {
    let rule = format!("must be one of `{}`", types.join("`, `"));
    Problem::bad_field("entityType", rule)
}

/// The same for the plan of an erasure, which also fails if the erasure map does not fit the database.
pub(super) fn plan_problem(error: CompileError) -> Problem {
    match error {
        CompileError::Database(error) => problem_of(error),
        CompileError::Unbound(_) => {
            tracing::warn!(%error, "the erasure map does not fit the database; run `lethe map check`");
            let why = "The erasure map names what is not in the database: run `lethe map check`.";
            Problem::unavailable(why, RETRY_AFTER)
        }
    }
}

/// Why the database cannot answer now. `None` if the error is not an outage.
pub(super) fn why_unavailable(error: &sqlx::Error) -> Option<&'static str> {
    match meaning(error) {
        // Refused credentials and a missing database are fixed by the operator. The request need not change.
        Meaning::Away | Meaning::Unauthorized => Some("The database cannot be reached."),
        Meaning::NotMigrated => Some("The database is not migrated: run `lethe migrate`."),
        Meaning::ReadOnly => Some("The database is read-only, as during a failover."),
        Meaning::Conflict | Meaning::Locked | Meaning::TooSlow => {
            Some("The database is too busy for this at present.")
        }
        Meaning::Forbidden => Some("The database role lacks a right: run `lethe check`."),
        Meaning::BadValue | Meaning::Refused => None,
    }
}

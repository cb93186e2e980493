//! What a database error means to a client.

use std::time::Duration;

use sqlx::{PgPool, Postgres, Transaction};

use crate::http::problem::Problem;

/// What a client is told to wait when the database is away.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A bounded transaction that only reads, so that a broad filter cannot occupy the database.
pub(super) async fn reading(pool: &PgPool) -> Result<Transaction<'static, Postgres>, Problem> {
    let begin = "begin read only; set local statement_timeout = '10s'";
    pool.begin_with(begin).await.map_err(problem_of)
}

/// A bounded transaction that writes.
pub(super) async fn writing(pool: &PgPool) -> Result<Transaction<'static, Postgres>, Problem> {
    let begin = "begin; set local statement_timeout = '10s'; set local lock_timeout = '5s'; \
                 set local idle_in_transaction_session_timeout = '15s'";
    pool.begin_with(begin).await.map_err(problem_of)
}

/// 503 for what passes or can be mended without a change of the request, else 500.
pub(super) fn problem_of(error: sqlx::Error) -> Problem {
    match why_away(&error) {
        Some(why) => {
            tracing::warn!(%error, "the database cannot answer");
            Problem::unavailable(why, RETRY_AFTER)
        }
        None => Problem::internal(&error),
    }
}

/// Why the database cannot answer now; `None` for an error that is no outage.
pub(super) fn why_away(error: &sqlx::Error) -> Option<&'static str> {
    const AWAY: &str = "The database cannot be reached.";
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => Some(AWAY),
        sqlx::Error::Database(error) => match error.code()?.as_ref() {
            // Undefined table, function, column: an older schema, or none.
            "42P01" | "42883" | "42703" => {
                Some("The database is not migrated: run `lethe migrate`.")
            }
            "25006" => Some("The database is read-only, as during a failover."),
            "40001" | "40P01" | "55P03" | "57014" => {
                Some("The database is too busy for this at present.")
            }
            // Refused credentials and a missing database are mended without a new request.
            "28000" | "28P01" | "3D000" => Some(AWAY),
            code if ["08", "53", "57"]
                .iter()
                .any(|class| code.starts_with(class)) =>
            {
                Some(AWAY)
            }
            _ => None,
        },
        _ => None,
    }
}

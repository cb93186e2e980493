//! One transaction for one use case, bounded in time and tried again when it lost a race.

use sqlx::{PgPool, Postgres, Transaction};

/// Transactions that lost a race (a deadlock, a serialization failure) are tried so often in all.
const MAX_TRIES: u32 = 3;

/// Set inside the transaction, because behind PgBouncer a session belongs to nobody. A statement may
/// take 10 s, a wait for a lock 5 s, and a client that went away holds its locks for 15 s at most.
const BEGIN: &str = "begin; set local statement_timeout = '10s'; set local lock_timeout = '5s'; \
                     set local idle_in_transaction_session_timeout = '15s'";

pub(super) async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    pool.begin_with(BEGIN).await
}

/// Runs a whole transaction, again if the database ended it for the sake of another.
pub(super) async fn retried<T, F>(mut run: impl FnMut() -> F) -> Result<T, sqlx::Error>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    let mut tries = 1;
    loop {
        match run().await {
            Err(error) if tries < MAX_TRIES && lost_a_race(&error) => tries += 1,
            result => return result,
        }
    }
}

fn lost_a_race(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("40001" | "40P01"))
}

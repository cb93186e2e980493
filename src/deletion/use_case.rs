//! One transaction for one use case, tried again when it lost a race.

/// Transactions that lost a race (a deadlock, a serialization failure) are tried so often in all.
const MAX_TRIES: u32 = 3;

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

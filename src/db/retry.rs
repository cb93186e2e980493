//! A transaction that lost a conflict with another is run again.

use super::sqlstate::{Meaning, meaning};

/// How often a transaction is run, all in all, when it loses each time.
const MAX_TRIES: u32 = 3;

/// Runs a whole transaction, again if the server ended it for the sake of another one.
///
/// # Errors
/// Those of the transaction; a conflict only after the third try.
pub async fn retry_on_conflict<T, F>(mut run: impl FnMut() -> F) -> Result<T, sqlx::Error>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    let mut tries = 1;
    loop {
        match run().await {
            Err(error) if tries < MAX_TRIES && meaning(&error) == Meaning::Conflict => tries += 1,
            result => return result,
        }
    }
}

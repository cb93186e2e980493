//! Stops all claiming, and lets it go on.

use sqlx::{PgConnection, query_file, query_file_scalar};

use crate::db::transaction::planned;
use crate::tasks::Reason;

/// How many erasures are released in one transaction.
const RELEASE_BATCH: i32 = 500;

/// Stops all claiming. Workers finish what they have claimed before, and claim nothing more, until [`resume`].
///
/// # Errors
/// When the database refuses. Nothing was changed then.
pub async fn pause(
    connection: &mut PgConnection,
    actor: &str,
    reason: &Reason,
) -> Result<(), sqlx::Error> {
    let mut tx = planned(connection).await?;
    query_file!("sql/safety/pause.sql", actor, reason.as_str())
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await
}

/// Ends the pause, and releases every erasure that the limit holds. Returns the number of released erasures.
///
/// # Errors
/// When the database refuses. What was released before stays released.
pub async fn resume(
    connection: &mut PgConnection,
    actor: &str,
    reason: &Reason,
) -> Result<u64, sqlx::Error> {
    let mut total = 0;
    loop {
        let mut tx = planned(&mut *connection).await?;
        let released = query_file_scalar!(
            "sql/safety/resume.sql",
            actor,
            reason.as_str(),
            RELEASE_BATCH
        )
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        if released == 0 {
            return Ok(total);
        }
        total += u64::from(released.unsigned_abs());
    }
}

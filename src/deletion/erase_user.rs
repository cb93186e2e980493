//! Runs the root task of a user's erasure in bounded steps: it plans the parts, waits for them, plans again for late
//! rows, and removes the rows that are left.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::vocabulary::{TaskId, UserId};

/// One step removes at most this many rows of each table.
const MAX_ROWS_PER_STEP: i64 = 5_000;
/// How long a root sleeps while its parts work. The last part wakes it earlier.
const PARTS_WAIT: Duration = Duration::from_secs(60);
/// How long a root waits for a row that another transaction holds.
const HELD_WAIT: Duration = Duration::from_secs(2);

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErasureStep {
    /// There is more to do, after this delay.
    Again(Duration),
    /// Nothing of the user is left.
    Erased,
}

/// Rows that a step removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErasedRows {
    /// Samples without images.
    pub samples: Vec<Uuid>,
    /// Collections.
    pub collections: Vec<Uuid>,
    /// The user's own row: 0 or 1.
    pub users: i32,
}

/// Does the next step of the erasure whose root task is `root`, which the caller has locked.
///
/// # Errors
/// When the database refuses. The caller must roll the transaction back.
pub async fn erase_user_step(
    connection: &mut PgConnection,
    root: TaskId,
    user_id: &UserId,
) -> Result<(ErasureStep, ErasedRows), sqlx::Error> {
    let mut removed = ErasedRows::default();
    let state = sqlx::query_file!("sql/deletion/erasure_state.sql", root.0)
        .fetch_one(&mut *connection)
        .await?;
    if !state.planning && state.parts_open {
        return Ok((ErasureStep::Again(PARTS_WAIT), removed));
    }
    // An open planning pass goes on. Without one and without open parts, a new pass finds the late rows.
    let written = sqlx::query_file_scalar!("sql/deletion/plan_user.sql", root.0)
        .fetch_one(&mut *connection)
        .await?;
    let state = sqlx::query_file!("sql/deletion/erasure_state.sql", root.0)
        .fetch_one(&mut *connection)
        .await?;
    if state.planning {
        return Ok((ErasureStep::Again(Duration::ZERO), removed));
    }
    if written > 0 || state.parts_open {
        return Ok((ErasureStep::Again(PARTS_WAIT), removed));
    }
    let step = remove_rest(connection, user_id.as_str(), &mut removed).await?;
    Ok((step, removed))
}

async fn remove_rest(
    connection: &mut PgConnection,
    user_id: &str,
    removed: &mut ErasedRows,
) -> Result<ErasureStep, sqlx::Error> {
    sqlx::query_file!(
        "sql/deletion/mark_leftovers.sql",
        user_id,
        MAX_ROWS_PER_STEP
    )
    .execute(&mut *connection)
    .await?;
    removed.samples = sqlx::query_file_scalar!(
        "sql/deletion/delete_empty_samples.sql",
        user_id,
        MAX_ROWS_PER_STEP
    )
    .fetch_all(&mut *connection)
    .await?;
    let left = sqlx::query_file!(
        "sql/deletion/leave_collections.sql",
        user_id,
        MAX_ROWS_PER_STEP
    )
    .execute(&mut *connection)
    .await?
    .rows_affected();
    removed.collections = sqlx::query_file_scalar!(
        "sql/deletion/delete_collections.sql",
        user_id,
        MAX_ROWS_PER_STEP
    )
    .fetch_all(&mut *connection)
    .await?;
    let limit = usize::try_from(MAX_ROWS_PER_STEP).unwrap_or(usize::MAX);
    if removed.samples.len() == limit || left >= limit as u64 || removed.collections.len() == limit
    {
        return Ok(ErasureStep::Again(Duration::ZERO));
    }
    let locked = sqlx::query_file_scalar!("sql/deletion/lock_user.sql", user_id)
        .fetch_optional(&mut *connection)
        .await?;
    let leftovers = sqlx::query_file!("sql/deletion/user_leftovers.sql", user_id)
        .fetch_one(&mut *connection)
        .await?;
    if leftovers.samples || leftovers.collections {
        return Ok(ErasureStep::Again(HELD_WAIT));
    }
    if !leftovers.user {
        return Ok(ErasureStep::Erased);
    }
    if locked.is_none() {
        return Ok(ErasureStep::Again(HELD_WAIT));
    }
    sqlx::query_file!("sql/deletion/delete_user_row.sql", user_id)
        .execute(connection)
        .await?;
    removed.users = 1;
    Ok(ErasureStep::Erased)
}

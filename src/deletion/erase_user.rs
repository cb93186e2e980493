//! The root task of a user's erasure, one bounded step at a time: plan, wait for the parts, look again,
//! remove what is left.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

/// Most rows of a kind that one step removes.
const BITE: i64 = 5_000;
/// How long a root sleeps while its parts work. The last part wakes it earlier.
const PARTS_WAIT: Duration = Duration::from_secs(60);
/// How long it waits for a row that somebody holds.
const HELD_WAIT: Duration = Duration::from_secs(2);

/// What a step found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more to do after so long.
    Again(Duration),
    /// Nothing of the user is left.
    Erased,
}

/// Rows that a step removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
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
/// When the database refuses; the transaction is to be rolled back.
pub async fn erase_user_step(
    connection: &mut PgConnection,
    root: i64,
    user_id: &str,
) -> Result<(Step, Removed), sqlx::Error> {
    let mut removed = Removed::default();
    let state = sqlx::query_file!("sql/deletion/erasure_state.sql", root)
        .fetch_one(&mut *connection)
        .await?;
    if !state.planning && state.parts_open {
        return Ok((Step::Again(PARTS_WAIT), removed));
    }
    // Nothing is open: look from the beginning for what came late. An open pass goes on instead.
    let written = sqlx::query_file_scalar!("sql/deletion/plan_user.sql", root)
        .fetch_one(&mut *connection)
        .await?;
    let state = sqlx::query_file!("sql/deletion/erasure_state.sql", root)
        .fetch_one(&mut *connection)
        .await?;
    if state.planning {
        return Ok((Step::Again(Duration::ZERO), removed));
    }
    if written > 0 || state.parts_open {
        return Ok((Step::Again(PARTS_WAIT), removed));
    }
    let step = remove_rest(connection, user_id, &mut removed).await?;
    Ok((step, removed))
}

async fn remove_rest(
    connection: &mut PgConnection,
    user_id: &str,
    removed: &mut Removed,
) -> Result<Step, sqlx::Error> {
    sqlx::query_file!("sql/deletion/mark_leftovers.sql", user_id, BITE)
        .execute(&mut *connection)
        .await?;
    removed.samples =
        sqlx::query_file_scalar!("sql/deletion/delete_empty_samples.sql", user_id, BITE)
            .fetch_all(&mut *connection)
            .await?;
    let left = sqlx::query_file!("sql/deletion/leave_collections.sql", user_id, BITE)
        .execute(&mut *connection)
        .await?
        .rows_affected();
    removed.collections =
        sqlx::query_file_scalar!("sql/deletion/delete_collections.sql", user_id, BITE)
            .fetch_all(&mut *connection)
            .await?;
    let limit = usize::try_from(BITE).unwrap_or(usize::MAX);
    if removed.samples.len() == limit || left >= limit as u64 || removed.collections.len() == limit
    {
        return Ok(Step::Again(Duration::ZERO));
    }
    let locked = sqlx::query_file_scalar!("sql/deletion/lock_user.sql", user_id)
        .fetch_optional(&mut *connection)
        .await?;
    let leftovers = sqlx::query_file!("sql/deletion/user_leftovers.sql", user_id)
        .fetch_one(&mut *connection)
        .await?;
    if leftovers.samples || leftovers.collections {
        return Ok(Step::Again(HELD_WAIT));
    }
    if !leftovers.user {
        return Ok(Step::Erased);
    }
    if locked.is_none() {
        return Ok(Step::Again(HELD_WAIT));
    }
    sqlx::query_file!("sql/deletion/delete_user_row.sql", user_id)
        .execute(connection)
        .await?;
    removed.users = 1;
    Ok(Step::Erased)
}

//! The deletion of one row, also after it is gone.

use sqlx::{PgConnection, query_file_scalar};
use uuid::Uuid;

use crate::vocabulary::TaskId;

/// The task of the last deletion that was asked for of this sample. `None` if there was none, or if the sample was
/// not `owner`'s; without an owner it may be anybody's.
///
/// # Errors
/// Those of the database.
pub async fn deletion_of_sample(
    connection: &mut PgConnection,
    sample_id: Uuid,
    owner: Option<&str>,
) -> Result<Option<TaskId>, sqlx::Error> {
    deletion_of_entity(connection, "sample", &sample_id.to_string(), owner).await
}

/// The same for a row of any type.
///
/// # Errors
/// Those of the database.
pub async fn deletion_of_entity(
    connection: &mut PgConnection,
    of_type: &str,
    id: &str,
    owner: Option<&str>,
) -> Result<Option<TaskId>, sqlx::Error> {
    query_file_scalar!("sql/evidence/deletion_of_entity.sql", id, owner, of_type)
        .fetch_optional(connection)
        .await
}

//! The deletion of a sample, also after its row is gone.

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
    query_file_scalar!(
        "sql/evidence/deletion_of_sample.sql",
        sample_id.to_string(),
        owner
    )
    .fetch_optional(connection)
    .await
}

//! What a filter by entity means: the tasks of a sample or an image, or a user's.

use sqlx::{PgConnection, query_file_scalar};

/// The tasks of the sample or image with this id. `None`: nobody ever asked for the deletion of such a one,
/// so that the id can only be a user's, or there is no filter.
pub async fn entity_tasks(
    connection: &mut PgConnection,
    entity_id: Option<&str>,
) -> Result<Option<Vec<i64>>, sqlx::Error> {
    let Some(entity_id) = entity_id else {
        return Ok(None);
    };
    let tasks = query_file_scalar!("sql/http/entity_tasks.sql", entity_id)
        .fetch_all(connection)
        .await?;
    Ok((!tasks.is_empty()).then_some(tasks))
}

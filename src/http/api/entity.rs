//! What a filter by entity means: a sample's tasks, or a user's.

use sqlx::{PgConnection, query_file_scalar};

/// The tasks of the sample with this id. `None`: no such sample was ever asked for, so that the id can
/// only be a user's, or there is no filter.
pub async fn sample_tasks(
    connection: &mut PgConnection,
    entity_id: Option<&str>,
) -> Result<Option<Vec<i64>>, sqlx::Error> {
    let Some(entity_id) = entity_id else {
        return Ok(None);
    };
    let tasks = query_file_scalar!("sql/http/sample_tasks.sql", entity_id)
        .fetch_all(connection)
        .await?;
    Ok((!tasks.is_empty()).then_some(tasks))
}

//! The types of rows that the applied erasure map has.

use sqlx::PgConnection;

use crate::cursor::ListError;

/// Refuses a filter by a type that the map does not have.
///
/// # Errors
/// With the types that it has, and those of the database.
pub async fn check_type(
    connection: &mut PgConnection,
    of_type: Option<&str>,
) -> Result<(), ListError> {
    let Some(of_type) = of_type else {
        return Ok(());
    };
    let types = sqlx::query_file_scalar!("sql/tasks/types.sql")
        .fetch_all(connection)
        .await?;
    match types.iter().any(|known| known == of_type) {
        true => Ok(()),
        false => Err(ListError::Type(types)),
    }
}

//! Whether the functions of a map are still there. An application that drops a table and makes it again, or renames
//! another one into its place, takes the functions of the rows along.

use sqlx::{PgConnection, query_file_scalar};

use super::bind::BoundMap;

/// The tables of the map whose functions are missing, each as its name in SQL.
///
/// # Errors
/// Of the database.
pub(super) async fn missing<'m>(
    connection: &mut PgConnection,
    map: &'m BoundMap<'_>,
) -> Result<Vec<&'m str>, sqlx::Error> {
    // The functions of the built-in map take no rows. Without one of its tables the map cannot be compared.
    if map.map.is_built_in() || map.faults().next().is_some() {
        return Ok(Vec::new());
    }
    let ids: Vec<i64> = map.tables.iter().map(|table| table.table.id).collect();
    let kinds = query_file_scalar!("sql/map/missing_functions.sql", &ids)
        .fetch_all(connection)
        .await?;
    let tables = kinds.into_iter().filter_map(|kind| {
        let table = map.tables.get(usize::try_from(kind).ok()?)?;
        Some(table.table.sql.as_str())
    });
    Ok(tables.collect())
}

//! Which map an erasure goes by.

use sqlx::PgConnection;

use super::apply::newest;
use super::format::{BUILT_IN, ErasureMap};

/// The map that is applied; the built-in one before the first was. `None` if the applied one is of a version of Lethe
/// whose format this one does not read.
///
/// # Errors
/// Of the database.
pub async fn current(connection: &mut PgConnection) -> Result<Option<ErasureMap>, sqlx::Error> {
    let applied = newest(connection).await?;
    let text = applied.map_or_else(|| BUILT_IN.to_owned(), |applied| applied.map);
    Ok(ErasureMap::parse(&text).ok())
}

//! Which map an erasure goes by.

use sqlx::{PgConnection, query_file};

use super::apply::{AppliedMap, newest};
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

/// What a database says of the map that is applied to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseMap {
    /// There is none: it was not migrated, or no map was applied yet.
    None,
    /// This role may not read it.
    Forbidden,
    Applied(AppliedMap),
}

/// The map that the database has, also before `lethe migrate`.
///
/// # Errors
/// Of the database.
pub async fn of_database(connection: &mut PgConnection) -> Result<DatabaseMap, sqlx::Error> {
    let maps = query_file!("sql/map/applied.sql")
        .fetch_one(&mut *connection)
        .await?;
    match (maps.is_there, maps.may_read) {
        (false, _) => Ok(DatabaseMap::None),
        (true, false) => Ok(DatabaseMap::Forbidden),
        (true, true) => {
            let newest = newest(connection).await?;
            Ok(newest.map_or(DatabaseMap::None, DatabaseMap::Applied))
        }
    }
}

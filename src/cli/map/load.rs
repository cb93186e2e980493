//! Finds the map that a command works on: the file that was given, the map that the database has, or the built-in one.

use std::path::Path;

use sqlx::PgConnection;

use crate::map::format::{BUILT_IN, ErasureMap, InvalidMap, MapFault};
use crate::map::{self, DatabaseMap};

/// The name of a map that has no file.
const BUILT_IN_NAME: &str = "built-in map";
const DATABASE_NAME: &str = "the database's map";
/// So many characters of a digest tell two maps apart.
const SHORT_DIGEST: usize = 12;

/// A map and the name of its file.
#[derive(Debug)]
pub struct LoadedMap {
    /// The path as it was given, or a name for a map without a file.
    pub file: String,
    pub text: String,
    pub map: ErasureMap,
    pub origin: MapOrigin,
}

/// Where a map is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapOrigin {
    File,
    /// The database has it. One that was applied incomplete may stay so.
    Database {
        is_incomplete: bool,
    },
    BuiltIn,
}

/// A file that is no map.
#[derive(Debug)]
pub struct InvalidFile {
    pub file: String,
    pub faults: Vec<MapFault>,
}

/// Why there is no map to work on.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error("{} is no map", .0.file)]
    Invalid(InvalidFile),
    #[error(
        "this role may not read which map the database has (lethe.maps): name a file with --map or ERASURE_MAP, or connect \
         as the owner of schema lethe"
    )]
    Forbidden,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Reads and parses a file.
///
/// # Errors
/// When it cannot be read or is invalid, with all its faults.
pub fn load(path: &Path) -> Result<LoadedMap, InvalidFile> {
    let file = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => parse(file, text, MapOrigin::File),
        Err(error) => {
            let faults = vec![MapFault {
                line: 1,
                key: String::new(),
                problem: format!("The file cannot be read: {error}."),
                remedy: "Give the path of a map in --map or ERASURE_MAP.".to_owned(),
            }];
            Err(InvalidFile { file, faults })
        }
    }
}

/// The map that the database has; the built-in one if it has none.
///
/// # Errors
/// When the database cannot be asked, or its map is of a version that this program does not read.
pub(super) async fn load_from(connection: &mut PgConnection) -> Result<LoadedMap, LoadError> {
    match map::of_database(connection).await? {
        DatabaseMap::Applied(applied) => {
            let is_incomplete = applied.is_incomplete;
            let origin = MapOrigin::Database { is_incomplete };
            let map = parse(DATABASE_NAME.to_owned(), applied.map, origin);
            map.map_err(LoadError::Invalid)
        }
        DatabaseMap::None => {
            let (file, text) = (BUILT_IN_NAME.to_owned(), BUILT_IN.to_owned());
            parse(file, text, MapOrigin::BuiltIn).map_err(LoadError::Invalid)
        }
        DatabaseMap::Forbidden => Err(LoadError::Forbidden),
    }
}

fn parse(file: String, text: String, origin: MapOrigin) -> Result<LoadedMap, InvalidFile> {
    match ErasureMap::parse(&text) {
        Ok(map) => Ok(LoadedMap {
            file,
            text,
            map,
            origin,
        }),
        Err(InvalidMap(faults)) => Err(InvalidFile { file, faults }),
    }
}

impl LoadedMap {
    /// Which map was taken although none was given, as a line for standard error.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        const NOT_GIVEN: &str = "note: neither --map nor ERASURE_MAP names a map, so this takes";
        match self.origin {
            MapOrigin::File => None,
            MapOrigin::Database { .. } => {
                let digest = &self.map.digest[..SHORT_DIGEST];
                let kind = match self.map.is_built_in() {
                    true => ", which is the built-in one",
                    false => "",
                };
                Some(format!(
                    "{NOT_GIVEN} the map that the database has ({digest}{kind})"
                ))
            }
            MapOrigin::BuiltIn => Some(format!(
                "{NOT_GIVEN} the built-in map, because the database has none"
            )),
        }
    }

    /// Whether the map may be applied again although it does not speak of every reference.
    #[must_use]
    pub fn may_stay_incomplete(&self) -> bool {
        self.origin
            == MapOrigin::Database {
                is_incomplete: true,
            }
    }
}

//! Reads the file of a map.

use std::path::Path;

use crate::map::format::{BUILT_IN, ErasureMap, InvalidMap, MapFault};

/// A map and the name of its file.
#[derive(Debug)]
pub struct LoadedMap {
    /// The path as it was given; `built-in map` without a file.
    pub file: String,
    pub text: String,
    pub map: ErasureMap,
}

/// A file that is no map.
#[derive(Debug)]
pub struct InvalidFile {
    pub file: String,
    pub faults: Vec<MapFault>,
}

/// Reads and parses a map; without a path the built-in one.
///
/// # Errors
/// When the file cannot be read or is invalid, with all its faults.
pub fn load(path: Option<&Path>) -> Result<LoadedMap, InvalidFile> {
    let file = path.map_or("built-in map".to_owned(), |path| path.display().to_string());
    let text = path.map_or_else(|| Ok(BUILT_IN.to_owned()), std::fs::read_to_string);
    let parsed = match text {
        Ok(text) => ErasureMap::parse(&text).map(|map| (text, map)),
        Err(error) => Err(InvalidMap(vec![MapFault {
            line: 1,
            key: String::new(),
            problem: format!("The file cannot be read: {error}."),
            remedy: "Give the path of a map in --map or ERASURE_MAP.".to_owned(),
        }])),
    };
    match parsed {
        Ok((text, map)) => Ok(LoadedMap { file, text, map }),
        Err(InvalidMap(faults)) => Err(InvalidFile { file, faults }),
    }
}

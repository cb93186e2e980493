//! Where the erasure map is, and what it says.

use std::path::PathBuf;

use super::reader::{Reader, Section};
use super::variables::ERASURE_MAP;
use crate::map::format::ErasureMap;

/// The file with the erasure map; without one the built-in map is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapFile(pub Option<PathBuf>);

impl Section for MapFile {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self(reader.text(&ERASURE_MAP).map(PathBuf::from)))
    }
}

/// The map that the process was given; without one it takes the map that the database has.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenMap(pub Option<MapText>);

/// A map and the text of its file.
#[derive(Debug, Clone, PartialEq)]
pub struct MapText {
    pub text: String,
    pub map: ErasureMap,
}

impl GivenMap {
    /// SHA-256 of the file, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> Option<String> {
        self.0.as_ref().map(|given| given.map.digest.clone())
    }
}

impl Section for GivenMap {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let Some(path) = reader.text(&ERASURE_MAP) else {
            return Some(Self(None));
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let problem = format!("names the file {path:?}, which cannot be read: {error}");
                reader.fault(&ERASURE_MAP, &problem, "Give the path of a map.");
                return None;
            }
        };
        match ErasureMap::parse(&text) {
            Ok(map) => Some(Self(Some(MapText { text, map }))),
            Err(invalid) => {
                for fault in &invalid.0 {
                    let problem = format!("names the file {path:?}, which is no map: {fault}");
                    // The reader ends the sentence itself.
                    let problem = problem.trim_end_matches('.');
                    reader.fault(
                        &ERASURE_MAP,
                        problem,
                        "`lethe map check` looks at a map alone.",
                    );
                }
                None
            }
        }
    }
}

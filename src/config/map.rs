//! Where the erasure map is.

use std::path::PathBuf;

use super::reader::{Reader, Section};
use super::variables::ERASURE_MAP;

/// The file with the erasure map; without one the built-in map is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapFile(pub Option<PathBuf>);

impl Section for MapFile {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self(reader.text(&ERASURE_MAP).map(PathBuf::from)))
    }
}

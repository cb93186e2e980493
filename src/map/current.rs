//! Which map an erasure goes by.

use super::format::{BUILT_IN, ErasureMap, InvalidMap};

/// The map that this process plans erasures by: the built-in one.
///
/// # Errors
/// When the map is invalid.
pub fn current() -> Result<ErasureMap, InvalidMap> {
    ErasureMap::parse(BUILT_IN)
}

//! The format of the map: one TOML file, parsed to its end into types, with all its faults at once.

mod bucket;
mod check;
mod fault;
mod names;
mod node;
mod parse;
mod reader;
mod rule;
mod table;
#[cfg(test)]
mod tests;
mod types;
mod user;
mod write;

pub use self::fault::{InvalidMap, MapFault};
pub use self::names::{default_type_name, kebab_case};
pub use self::parse::{BUILT_IN, digest};
pub use self::types::*;
pub use self::write::{toml_key, toml_string};

//! The generator: templates that turn a map and a catalog into SQL functions. Every name in them comes from the
//! catalog, quoted by the server; nothing of the file reaches a statement but as a literal.

mod closure;
mod functions;
mod objects;
mod quote;

use super::bind::BoundMap;

/// The schema of the functions.
pub const SCHEMA: &str = "lethe_map";
/// The schema of functions that end with their session.
pub const TEMPORARY: &str = "pg_temp";

const HELPERS: &str = include_str!("helpers.sql");

/// Everything that is generated today, as one script in a stable order.
#[must_use]
pub fn script(map: &BoundMap<'_>) -> String {
    format!(
        "create schema if not exists {SCHEMA};\n\n{}",
        functions_in(map, SCHEMA)
    )
}

/// The functions as a script, in another schema.
#[must_use]
pub fn functions_in(map: &BoundMap<'_>, schema: &str) -> String {
    let helpers = HELPERS.replace("lethe_map.", &format!("{schema}."));
    let (plan, leftovers) = (
        functions::plan(map, schema),
        functions::leftovers(map, schema),
    );
    format!(
        "{helpers}\n-- What an erasure of a user would remove, keep and leave.\n{plan}\n\
         -- What is left of a user: rows by type, and by what the erasure should have done.\n{leftovers}"
    )
}

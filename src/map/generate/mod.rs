//! The generator: templates that turn a map and a catalog into SQL functions. Every name in them comes from the
//! catalog, quoted by the server; nothing of the file reaches a statement but as a literal.

mod batch;
mod choose;
mod circle;
mod closure;
mod conditions;
mod frame;
mod functions;
mod keys;
mod lists;
mod objects;
mod order;
mod protect;
mod quote;
mod readers;
mod remove;
mod rows;
mod statement;
mod upward;

use order::Order;
use readers::DROP_TRIGGERS;

use super::bind::BoundMap;
pub use statement::{PLAN_OF, PLANNED, plan_statement};

/// The schema of the functions.
pub const SCHEMA: &str = "lethe_map";

const HELPERS: &str = include_str!("helpers.sql");

const SCHEMA_MADE: &str = "create schema if not exists lethe_map;\n\n";
/// The steps of a deletion, which call the generated functions.
const ENGINE: &str = include_str!("engine.sql");
/// The tables of the built-in map, which are created where none of them exists.
pub const BUILT_IN_TABLES: &str = include_str!("../built_in/tables.sql");
/// The functions of the built-in map. They do what the generated ones do, in statements that are made for its four
/// tables.
const BUILT_IN: [&str; 6] = [
    include_str!("../built_in/plan.sql"),
    include_str!("../built_in/keys.sql"),
    include_str!("../built_in/remove.sql"),
    include_str!("../built_in/settle.sql"),
    include_str!("../built_in/entities.sql"),
    include_str!("../built_in/readers.sql"),
];

/// Everything that is generated today, as one script in a stable order.
#[must_use]
pub fn script(map: &BoundMap<'_>) -> String {
    let reading = reading(map);
    if map.map.is_built_in() {
        return format!(
            "{SCHEMA_MADE}{DROP_TRIGGERS}\n{reading}\n{}",
            BUILT_IN.join("\n")
        );
    }
    let order = Order::of(map);
    let generated = [
        keys::buckets(map),
        upward::states(map, &order),
        upward::owners(map, &order),
        choose::choose(map, &order),
        keys::keeps_answers(map, &order),
        keys::keys_of(map, &order),
        keys::read_keys(map),
        protect::protected_keys(map, &order),
        rows::mark_rows(map),
        rows::revive(map),
        rows::remove_named(map, &order),
        remove::remove_rows(map, &order),
        batch::remove_entities(map, &order),
        readers::all(map),
    ];
    format!("{SCHEMA_MADE}{reading}\n{}\n{ENGINE}", generated.join("\n"))
}

/// What only reads: the plan of an erasure, and what is left of a user.
fn reading(map: &BoundMap<'_>) -> String {
    let (plan, leftovers) = (
        functions::plan(map, SCHEMA),
        functions::leftovers(map, SCHEMA),
    );
    format!(
        "{HELPERS}\n\
         -- What an erasure of a user would remove, keep and leave.\n{plan}\n\
         -- What is left of a user: rows by type, and by what the erasure should have done.\n{leftovers}"
    )
}

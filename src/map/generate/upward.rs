//! Functions that look from a row upwards, along the `delete` rules: whether an erasure that has begun takes it, whether a
//! deletion that can still be taken back would, and whose row it is.

use super::SCHEMA;
use super::conditions::{key_text, of_row, type_literal};
use super::frame::Function;
use crate::map::bind::{BoundMap, BoundUser, Parent, Reference};
use crate::map::format::Action;

/// Circles of rows end here. A row that is deeper counts as not found, and stays.
const MAX_DEPTH: u32 = 50;

/// `goes_K(row)` and `rests_K(row)` of each kind.
pub(super) fn states(map: &BoundMap<'_>) -> String {
    let mut text = String::new();
    for (name, entity, user) in [
        ("goes", "is_going_entity", "is_going_user"),
        ("rests", "is_resting_entity", "is_resting_user"),
    ] {
        // The functions call each other, so all of them must be there before the first is compiled; PL/pgSQL looks a
        // function up when it runs.
        for kind in 0..map.tables.len() {
            text += &state(map, kind, (name, entity, user));
        }
    }
    text
}

fn state(map: &BoundMap<'_>, kind: usize, (name, entity, user): (&str, &str, &str)) -> String {
    let table = &map.tables[kind];
    let function = format!("{name}_{kind}");
    let row = format!("{function}.c");
    let mut tests = Vec::new();
    if let (true, Some(key)) = (table.mapped.is_api, key_text(table.table, &row)) {
        tests.push(format!(
            "lethe.{entity}({}, {key})",
            type_literal(map, kind)
        ));
    }
    if let (true, BoundUser::Rows { clerk_id, .. }) = (table.is_root, map.user) {
        tests.push(format!("lethe.{user}({row}.{}::text, null)", clerk_id.sql));
    }
    for reference in upward(map, kind) {
        let discriminator = discriminator(reference, &row);
        let test = match (&reference.parent, map.user) {
            (Parent::Row(parent), _) => {
                let parent_table = &map.tables[*parent].table.sql;
                format!(
                    "exists (select from {parent_table} p where {} and {SCHEMA}.{name}_{parent}(p.*, {function}.depth + 1))",
                    of_row(reference, "p", &row)
                )
            }
            (Parent::UserId, BoundUser::Rows { id, clerk_id }) if id.number != clerk_id.number => {
                by_value(
                    reference,
                    &row,
                    |value| format!("lethe.{user}(null, {value})"),
                    &discriminator,
                )
            }
            _ => by_value(
                reference,
                &row,
                |value| format!("lethe.{user}({value}, null)"),
                &discriminator,
            ),
        };
        tests.push(test);
    }
    let body = match tests.is_empty() {
        true => "    return false;\n".to_owned(),
        false => format!(
            "    return {function}.depth < {MAX_DEPTH} and (\n        {});\n",
            tests.join("\n        or ")
        ),
    };
    Function {
        signature: format!("{function}(c {}, depth int)", table.table.sql),
        returns: "returns boolean",
        volatility: "stable",
        variables: String::new(),
        body,
    }
    .sql()
}

fn by_value(
    reference: &Reference<'_>,
    row: &str,
    test: impl Fn(&str) -> String,
    discriminator: &str,
) -> String {
    let column = reference
        .columns
        .first()
        .map_or("null", |column| &column.sql);
    format!(
        "({}{discriminator})",
        test(&format!("{row}.{column}::text"))
    )
}

fn discriminator(reference: &Reference<'_>, row: &str) -> String {
    let values = reference.discriminator.iter();
    values
        .map(|(column, value)| {
            let value = super::quote::constant(value, column);
            format!(" and {row}.{} {} {value}", column.sql, column.equals)
        })
        .collect()
}

/// The `delete` rules of a kind.
fn upward<'m, 'c>(map: &'m BoundMap<'c>, kind: usize) -> impl Iterator<Item = &'m Reference<'c>> {
    let references = map.references.iter();
    references.filter(move |one| one.child == kind && one.rule.action == Action::Delete)
}

/// `owner_K(row)`: the Clerk id of the user whose row it is, by the first rule that leads to one; null for nobody's.
pub(super) fn owners(map: &BoundMap<'_>) -> String {
    (0..map.tables.len()).map(|kind| owner(map, kind)).collect()
}

fn owner(map: &BoundMap<'_>, kind: usize) -> String {
    let table = &map.tables[kind];
    let function = format!("owner_{kind}");
    let row = format!("{function}.c");
    let mut owners = Vec::new();
    if let (true, BoundUser::Rows { clerk_id, .. }) = (table.is_root, map.user) {
        owners.push(format!("{row}.{}::text", clerk_id.sql));
    }
    // A user that the row names itself comes before one that it hangs on by others.
    let (direct, by_row): (Vec<_>, Vec<_>) =
        upward(map, kind).partition(|reference| !matches!(reference.parent, Parent::Row(_)));
    for reference in direct.into_iter().chain(by_row) {
        let discriminator = discriminator(reference, &row);
        let column = reference
            .columns
            .first()
            .map_or("null", |column| &column.sql);
        let owner = match (&reference.parent, map.user) {
            (Parent::Row(parent), _) => format!(
                "(select {SCHEMA}.owner_{parent}(p.*, {function}.depth + 1) from {} p where {} limit 1)",
                map.tables[*parent].table.sql,
                of_row(reference, "p", &row)
            ),
            (Parent::UserId, BoundUser::Rows { id, clerk_id }) if id.number != clerk_id.number => {
                let root = &map.tables[0].table.sql;
                format!(
                    "(select u.{}::text from {root} u where {}{discriminator} limit 1)",
                    clerk_id.sql,
                    of_row(reference, "u", &row)
                )
            }
            _ => format!("(select {row}.{column}::text where true{discriminator})"),
        };
        owners.push(owner);
    }
    let body = match owners.is_empty() {
        true => "    return null;\n".to_owned(),
        false => format!(
            "    if {function}.depth > {MAX_DEPTH} then\n        return null;\n    end if;\n    return coalesce({});\n",
            owners.join(",\n        ")
        ),
    };
    Function {
        signature: format!("{function}(c {}, depth int)", table.table.sql),
        returns: "returns text",
        volatility: "stable",
        variables: String::new(),
        body,
    }
    .sql()
}

/// The call of `goes_K` or `rests_K` on the row `alias`.
pub(super) fn call(name: &str, kind: usize, alias: &str) -> String {
    format!("{SCHEMA}.{name}_{kind}({alias}.*, 0)")
}

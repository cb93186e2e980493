//! The least rights that Lethe's roles need on an application's tables.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::bind::{BoundMap, BoundTable, Reached, reach};
use super::catalog::Column;
use super::format::Action;

/// The rights of the roles of `lethe worker` and `lethe serve`, as SQL. The names of the roles must be quoted already.
#[must_use]
pub fn grants(map: &BoundMap<'_>, worker: &str, serve: &str) -> String {
    let reached = reach(map);
    let mut text = String::new();
    let schemas: BTreeSet<&str> = map
        .tables
        .iter()
        .filter_map(|table| schema_sql(table.table.sql.as_str(), table.table.name.as_str()))
        .collect();
    for schema in schemas {
        let _ = writeln!(text, "grant usage on schema {schema} to {worker}, {serve};");
    }
    for (place, table) in map.tables.iter().enumerate() {
        let sql = &table.table.sql;
        let _ = writeln!(text, "grant select on {sql} to {worker}, {serve};");
        let marked = columns(
            table,
            [table.deleted_at, table.deleted_by].into_iter().flatten(),
        );
        if let Some(columns) = marked {
            let _ = writeln!(
                text,
                "grant update ({columns}) on {sql} to {worker}, {serve};"
            );
        }
        if let Some(columns) = columns(table, changed(map, place).into_iter()) {
            let _ = writeln!(text, "grant update ({columns}) on {sql} to {worker};");
        }
        if goes(map, table, &reached) {
            let _ = writeln!(text, "grant delete on {sql} to {worker};");
        }
    }
    text
}

/// The quoted schema of a quoted name: what stands before the name and its dot.
fn schema_sql<'s>(sql: &'s str, name: &str) -> Option<&'s str> {
    let quoted = format!(".\"{}\"", name.replace('"', "\"\""));
    sql.strip_suffix(&quoted)
        .or_else(|| sql.strip_suffix(&format!(".{name}")))
}

/// The columns, each once and in the order of the table.
fn columns<'c>(table: &BoundTable<'c>, named: impl Iterator<Item = &'c Column>) -> Option<String> {
    let numbers: BTreeSet<i16> = named
        .filter(|column| !column.is_generated)
        .map(|column| column.number)
        .collect();
    let columns: Vec<&str> = numbers
        .iter()
        .filter_map(|number| Some(table.table.numbered(*number)?.sql.as_str()))
        .collect();
    (!columns.is_empty()).then(|| columns.join(", "))
}

/// The columns of rows that stay and get another value.
fn changed<'c>(map: &BoundMap<'c>, place: usize) -> Vec<&'c Column> {
    let mut changed = Vec::new();
    for reference in map
        .references
        .iter()
        .filter(|reference| reference.child == place)
    {
        let set = reference.changes.set.iter().map(|(column, _)| *column);
        changed.extend(set.chain(reference.changes.clear.iter().copied()));
        if reference.rule.action == Action::Detach {
            let nullable = reference.columns.iter().filter(|column| !column.not_null);
            changed.extend(nullable.copied());
        }
    }
    let table = &map.tables[place];
    if let (true, Some(kept)) = (table.is_root, map.kept_user()) {
        let columns = table.table.columns.iter();
        changed.extend(columns.filter(|column| kept.changes(&column.name)));
    }
    let erased = table
        .objects
        .iter()
        .filter(|object| object.source.erased_of_kept);
    changed.extend(erased.map(|object| object.column));
    changed
}

fn goes(map: &BoundMap<'_>, table: &BoundTable<'_>, reached: &Reached) -> bool {
    reached.contains(table.table) && !(table.is_root && map.kept_user().is_some())
}

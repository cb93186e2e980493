//! The least rights that Lethe's roles need on an application's tables.

use std::collections::BTreeSet;

use super::bind::{BoundMap, BoundTable, Parent, Reached, reach};
use super::catalog::{Column, OnDelete, Table};
use super::format::Action;

/// A right on a table, or on some of its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapRight {
    /// The qualified name, quoted where it must be.
    pub table: String,
    /// Such as `select`.
    pub privilege: &'static str,
    /// Each by its name and its quoted name; none means the whole table.
    pub columns: Vec<(String, String)>,
}

impl MapRight {
    /// The statement that grants it to a role, whose name must be quoted already.
    #[must_use]
    pub fn grant_to(&self, role: &str) -> String {
        let Self {
            table, privilege, ..
        } = self;
        let columns: Vec<&str> = self.columns.iter().map(|(_, sql)| sql.as_str()).collect();
        match columns.is_empty() {
            true => format!("grant {privilege} on {table} to {role};"),
            false => format!(
                "grant {privilege} ({}) on {table} to {role};",
                columns.join(", ")
            ),
        }
    }
}

/// What the processes need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapRights {
    /// The quoted schemas that both of them use.
    pub schemas: Vec<String>,
    pub worker: Vec<MapRight>,
    pub serve: Vec<MapRight>,
}

/// The rights that `lethe worker` and `lethe serve` need on the tables of a map.
#[must_use]
pub fn rights(map: &BoundMap<'_>) -> MapRights {
    let reached = reach(map);
    let restorable = restorable(map);
    let mut schemas = BTreeSet::new();
    let (mut worker, mut serve) = (Vec::new(), Vec::new());
    for (place, table) in map.tables.iter().enumerate() {
        schemas.extend(schemas_of(table.table));
        let select = right(table.table, "select", &BTreeSet::new());
        worker.push(select.clone());
        serve.push(select);
        let marks = marks(table);

        let mut written = changed(map, place);
        written.extend(&marks);
        let is_locked = reached.contains(table.table) || table.is_root || table.mapped.is_api;
        if written.is_empty() && is_locked {
            written.extend(lockable(table.table));
        }
        if !written.is_empty() {
            worker.push(right(table.table, "update", &written));
        }
        if goes(map, table, &reached) {
            worker.push(right(table.table, "delete", &BTreeSet::new()));
        }

        let mut written = match restorable.contains(&place) {
            true => marks,
            false => BTreeSet::new(),
        };
        if written.is_empty() && table.mapped.is_api {
            written.extend(lockable(table.table));
        }
        if !written.is_empty() {
            serve.push(right(table.table, "update", &written));
        }
    }
    for table in asked_before_delete(map) {
        schemas.extend(schemas_of(table));
        worker.push(right(table, "select", &BTreeSet::new()));
    }
    MapRights {
        schemas: Vec::from_iter(schemas),
        worker,
        serve,
    }
}

/// A right on columns, in the order of the table; without columns on the whole table.
fn right(table: &Table, privilege: &'static str, columns: &BTreeSet<i16>) -> MapRight {
    let columns = columns.iter().filter_map(|number| table.numbered(*number));
    MapRight {
        table: table.sql.clone(),
        privilege,
        columns: columns
            .map(|column| (column.name.clone(), column.sql.clone()))
            .collect(),
    }
}

/// The quoted schemas of a table and of the operators that compare its columns, but PostgreSQL's own.
fn schemas_of(table: &Table) -> BTreeSet<String> {
    let quoted = format!(".\"{}\"", table.name.replace('"', "\"\""));
    let of_table = table
        .sql
        .strip_suffix(&quoted)
        .or_else(|| table.sql.strip_suffix(&format!(".{}", table.name)));
    let of_operators = table.columns.iter().filter_map(|column| {
        let qualified = column.equals.strip_prefix("operator(")?;
        Some(qualified.rsplit_once('.')?.0)
    });
    let all = of_table.into_iter().chain(of_operators);
    all.filter(|schema| *schema != "pg_catalog")
        .map(str::to_owned)
        .collect()
}

/// The numbers of the columns that can be written.
fn numbers<'c>(columns: impl Iterator<Item = &'c Column>) -> BTreeSet<i16> {
    columns
        .filter(|column| !column.is_generated)
        .map(|column| column.number)
        .collect()
}

/// The columns of a soft delete.
fn marks(table: &BoundTable<'_>) -> BTreeSet<i16> {
    let columns = [table.deleted_at, table.deleted_by, table.flag];
    numbers(columns.into_iter().flatten())
}

/// To lock a row asks for the right to update one of its columns. One that PostgreSQL writes itself cannot be changed
/// by it; where there is none, it is a column of the key.
fn lockable(table: &Table) -> Option<i16> {
    let mut columns = table.columns.iter();
    let generated = columns.find(|column| column.is_generated);
    let column = generated
        .or_else(|| table.key().first().copied())
        .or_else(|| table.columns.first());
    column.map(|column| column.number)
}

/// The tables whose soft delete a restore may take back. The functions that are generated name every table with one, if
/// there are rows that can be deleted alone; those of the built-in map name what hangs on such a row.
fn restorable(map: &BoundMap<'_>) -> BTreeSet<usize> {
    let api = |place: &usize| map.tables[*place].mapped.is_api;
    let mut found: BTreeSet<usize> = (0..map.tables.len()).filter(api).collect();
    if !map.map.is_built_in() {
        return match found.is_empty() {
            true => found,
            false => (0..map.tables.len()).collect(),
        };
    }
    loop {
        let before = found.len();
        let below = map.references.iter().filter(|reference| {
            let hangs = matches!(reference.parent, Parent::Row(parent) if found.contains(&parent));
            hangs && reference.rule.action == Action::Delete
        });
        let below: Vec<usize> = below.map(|reference| reference.child).collect();
        found.extend(below);
        if found.len() == before {
            return found;
        }
    }
}

/// The columns of rows that stay and get another value.
fn changed(map: &BoundMap<'_>, place: usize) -> BTreeSet<i16> {
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
    numbers(changed.into_iter())
}

fn goes(map: &BoundMap<'_>, table: &BoundTable<'_>, reached: &Reached) -> bool {
    reached.contains(table.table) && !(table.is_root && map.kept_user().is_some())
}

/// The tables outside of the map whose rows the database itself would take along or change. A row goes only if they have
/// none that points at it. A complete map has no such table.
fn asked_before_delete<'c>(map: &BoundMap<'c>) -> Vec<&'c Table> {
    let acting = map.edges.iter().filter(|edge| {
        let acts = matches!(
            edge.key.on_delete,
            OnDelete::Cascade | OnDelete::SetNull | OnDelete::SetDefault
        );
        acts && map.place_of(edge.parent).is_some() && map.place_of(edge.child).is_none()
    });
    let mut tables: Vec<&Table> = acting.map(|edge| edge.child).collect();
    tables.sort_by_key(|table| table.id);
    tables.dedup_by_key(|table| table.id);
    tables
}

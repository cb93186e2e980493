//! Missing indexes, each with the statement that makes it.

use std::collections::BTreeSet;

use super::finding::{Code, Finding};
use super::scope::Scope;
use crate::map::catalog::{Column, Table, TableKind, TypeFamily};

/// Below so many rows reading the whole table costs less than a person's attention.
const MIN_ROWS: i64 = 10_000;

/// A column of which no index leads, whatever the size of its table.
pub(super) struct MissingIndex {
    finding: Finding,
    is_large: bool,
}

impl MissingIndex {
    /// The finding, if the table is large enough to matter.
    pub(super) fn large(self) -> Option<Finding> {
        self.is_large.then_some(self.finding)
    }

    pub(super) fn accept(&self) -> Option<&String> {
        self.finding.accept.as_ref()
    }
}

pub(super) fn find(scope: &Scope<'_>) -> Vec<MissingIndex> {
    let mut missing = Vec::new();
    let mut seen = BTreeSet::new();
    for reference in &scope.map.references {
        let table = scope.map.tables[reference.child].table;
        let discriminator = reference.discriminator.iter().map(|(column, _)| *column);
        let with_discriminator: Vec<&Column> = reference
            .columns
            .iter()
            .copied()
            .chain(discriminator)
            .collect();
        let has_index =
            table.has_index_on(&reference.columns) || table.has_index_on(&with_discriminator);
        let place = scope.place_of(table, &reference.columns);
        if !has_index && seen.insert(place.clone()) {
            missing.push(index(place, table, &reference.columns, reference.rule.line));
        }
    }
    for table in &scope.map.tables {
        for object in &table.objects {
            let place = scope.place(table.table, object.column);
            if !table.table.has_index_on(&[object.column]) && seen.insert(place.clone()) {
                missing.push(index(
                    place,
                    table.table,
                    &[object.column],
                    object.source.line,
                ));
            }
        }
    }
    missing
}

/// The sentence on a reference without a rule that no index leads, if its table is large: PostgreSQL then reads the whole
/// table for each row that is erased.
pub(super) fn unruled(table: &Table, columns: &[&Column]) -> Option<String> {
    let is_slow = table.rows > MIN_ROWS && !table.has_index_on(columns);
    is_slow.then(|| {
        format!(
            "Without an index PostgreSQL reads all of its about {} rows for each row that is erased: {}",
            table.rows,
            statement(table, columns)
        )
    })
}

fn index(place: String, table: &Table, columns: &[&Column], line: usize) -> MissingIndex {
    let what = format!("Has no index; the table has about {} rows.", table.rows);
    MissingIndex {
        finding: Finding::danger(Code::Index, place, what, statement(table, columns))
            .at(line)
            .acceptable("index"),
        is_large: table.rows > MIN_ROWS,
    }
}

fn statement(table: &Table, columns: &[&Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.sql.as_str()).collect();
    let names = names.join(", ");
    let on = match columns {
        [column] if column.base_type == "jsonb" => format!("using gin ({names} jsonb_path_ops)"),
        [column] if column.family == TypeFamily::TextArray => format!("using gin ({names})"),
        _ => format!("({names})"),
    };
    if table.kind == TableKind::Partitioned {
        // PostgreSQL makes an index on a partitioned table only as a whole.
        format!(
            "create index on {} {on}; -- locks writes: on a partitioned table it cannot be made concurrently",
            table.sql
        )
    } else {
        format!("create index concurrently on {} {on};", table.sql)
    }
}

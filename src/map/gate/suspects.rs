//! Suspects: columns that look as if they named a user, a row that is erased, or an object, and of which the map
//! says nothing; and where each table is asked for, tables.

use super::finding::{Code, Finding};
use super::names::{names_a_row, names_a_user, type_beside};
use super::scope::Scope;
use super::values::Counts;
use crate::map::catalog::{Column, Table, TypeFamily};
use crate::map::format::{Action, toml_key, toml_string};

/// By name, without a foreign key.
pub(super) fn by_name(scope: &Scope<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for table in scope.tables() {
        let names: Vec<&str> = table
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        for column in &table.columns {
            if scope.is_settled(table, column) || has_foreign_key(table, column) {
                continue;
            }
            let is_root = scope
                .map
                .tables
                .iter()
                .any(|one| one.is_root && one.table.id == table.id);
            let what = if column.family.may_be_an_id() && !is_root && names_a_user(&column.name) {
                "Is named like a reference to a user, and has neither a foreign key nor a rule."
                    .to_owned()
            } else if let Some(parent) = parent_by_name(scope, table, column) {
                format!(
                    "Is named after rows of {parent}, and has neither a foreign key nor a rule."
                )
            } else if column.family.may_be_an_id() && type_beside(&column.name, &names).is_some() {
                "Stands beside a type like a polymorphic reference, and has no rule.".to_owned()
            } else {
                continue;
            };
            findings.push(suspect(scope, Code::SuspectName, table, column, &what));
        }
    }
    findings
}

fn suspect(scope: &Scope<'_>, code: Code, table: &Table, column: &Column, what: &str) -> Finding {
    let place = scope.place(table, column);
    let remedy = format!(
        "Give the rule on_erase.{} = {{ do = …, to = \"user.id\", \"user.clerk_id\" or \"Table.column\" }}, or say \
         under [ignore] why it is none: {} = \"…\".",
        toml_key(&column.name),
        toml_string(&place),
    );
    Finding::incomplete(code, place, what, remedy)
}

fn has_foreign_key(table: &Table, column: &Column) -> bool {
    let mut keys = table.foreign_keys.iter();
    keys.any(|key| key.columns.contains(&column.number))
}

/// The table of the map after whose rows a column is named. The column must have the type of that table's key.
fn parent_by_name(scope: &Scope<'_>, table: &Table, column: &Column) -> Option<String> {
    let reached = scope
        .map
        .tables
        .iter()
        .filter(|one| scope.reached.contains(one.table));
    let named = reached.filter(|one| {
        let key = one.table.key();
        let same_type = matches!(key[..], [key] if key.base_type == column.base_type);
        let is_its_own_key =
            one.table.id == table.id && key.iter().any(|key| key.number == column.number);
        same_type
            && !is_its_own_key
            && !one.is_root
            && names_a_row(&column.name, &one.mapped.type_name)
    });
    named.map(|one| scope.map.name_of(one.table)).next()
}

/// By the statistics of the column's values.
pub(super) fn by_value(scope: &Scope<'_>, counts: &[(&Table, &Column, Counts)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (table, column, counts) in counts {
        let of = |number: i64, what: &str| {
            let looked = counts.looked;
            format!("{number} of {looked} values in the statistics {what}.")
        };
        if scope.is_settled(table, column) {
            continue;
        }
        if counts.clerk_ids > 0 {
            let what = of(counts.clerk_ids, "are Clerk ids");
            findings.push(suspect(scope, Code::SuspectValue, table, column, &what));
        } else if counts.urls > 0 {
            let what = of(counts.urls, "are URLs below a bucket's bases");
            findings.push(object(scope, table, column, &what));
        } else if counts.object_keys > 0 {
            let what = of(counts.object_keys, "look like object keys");
            findings.push(object(scope, table, column, &what));
        } else if counts.emails > 0 && !all_rows_go(scope, table) {
            let what = of(
                counts.emails,
                "are e-mail addresses, and not all rows of the table go",
            );
            findings.push(suspect(scope, Code::SuspectValue, table, column, &what));
        }
    }
    findings
}

fn object(scope: &Scope<'_>, table: &Table, column: &Column, what: &str) -> Finding {
    let place = scope.place(table, column);
    let json = match column.family {
        TypeFamily::Json => ", json = \"…\"",
        _ => "",
    };
    let remedy = format!(
        "Name it in objects = [{{ column = {}{json}, bucket = \"…\", within = \"…\" }}] of the table, or say under \
         [ignore] why it names no object: {} = \"…\".",
        toml_string(&column.name),
        toml_string(&place),
    );
    Finding::incomplete(Code::SuspectValue, place, what, remedy)
}

/// Whether an erasure removes the rows of this table, and keeps none of them by a rule.
fn all_rows_go(scope: &Scope<'_>, table: &Table) -> bool {
    let Some(place) = scope.map.place_of(table) else {
        return false;
    };
    if scope.map.tables[place].is_root {
        return scope.map.kept_user().is_none();
    }
    let mut rules = scope.map.tables[place].mapped.rules.iter();
    scope.reached.contains(table) && rules.all(|rule| rule.action != Action::Keep)
}

/// Each table is mapped or ignored.
pub(super) fn unmapped(scope: &Scope<'_>) -> Vec<Finding> {
    let unmapped = scope
        .tables()
        .filter(|table| scope.map.place_of(table).is_none());
    unmapped
        .map(|table| {
            let name = scope.map.name_of(table);
            let remedy = format!(
                "Give it a section, or say under [ignore] why it holds nothing of a user: {} = \"…\".",
                toml_string(&name)
            );
            let what = "Is neither mapped nor ignored.";
            Finding::incomplete(Code::UnmappedTable, name, what, remedy)
        })
        .collect()
}

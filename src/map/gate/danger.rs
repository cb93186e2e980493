//! Danger: what would make an erasure fail, or leave something without an error.

use super::finding::{Code, Finding};
use super::scope::Scope;
use crate::map::bind::BoundTable;
use crate::map::catalog::{Column, HookKind, Table, TableKind, TypeFamily};
use crate::map::format::toml_string;

pub(super) fn find(scope: &Scope<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for table in &scope.map.tables {
        findings.extend(row_security(scope, table));
        findings.extend(kind(scope, table));
        findings.extend(key(scope, table));
        if scope.reached.contains(table.table) {
            hooks(scope, table, &mut findings);
        }
        column_types(scope, table, &mut findings);
    }
    findings
}

fn row_security(scope: &Scope<'_>, table: &BoundTable<'_>) -> Option<Finding> {
    let place = scope.map.name_of(table.table);
    let role = &scope.map.catalog.server.role;
    let remedy = "Give Lethe's roles BYPASSRLS, or let them own the tables without FORCE ROW LEVEL SECURITY.";
    if table.table.hides_rows {
        let what = format!("Row level security binds the role {role}.");
        return Some(Finding::danger(Code::RowSecurity, place, what, remedy));
    }
    let what =
        format!("Row level security is on. It does not bind {role}, but it may bind other roles.");
    let note = Finding::note(Code::RowSecurity, place, what, remedy).acceptable("row security");
    table.table.has_row_security.then_some(note)
}

fn kind(scope: &Scope<'_>, table: &BoundTable<'_>) -> Option<Finding> {
    let place = scope.map.name_of(table.table);
    let catalog = scope.map.catalog;
    let inherits = |one: &Table| !one.is_partition && one.parent_id == Some(table.table.id);
    let (what, remedy) = if table.table.kind == TableKind::Foreign {
        (
            "Is a foreign table.",
            "Map the table on the server where it is.",
        )
    } else if table.table.is_partition {
        (
            "Is a partition.",
            "Map the partitioned table that it belongs to.",
        )
    } else if catalog.tables.iter().any(inherits) {
        let what = "Other tables inherit from it: keys are not unique among them, and foreign keys do not reach them.";
        (what, "Make it a partitioned table.")
    } else {
        return None;
    };
    Some(Finding::danger(Code::TableKind, place, what, remedy).at(table.mapped.line))
}

/// Where row ids travel, a row needs a key whose text is always the same.
fn key(scope: &Scope<'_>, table: &BoundTable<'_>) -> Option<Finding> {
    let travels = !table.objects.is_empty() || table.mapped.is_api;
    let place = scope.map.name_of(table.table);
    let key = table.table.key();
    if !travels {
        return None;
    }
    if key.is_empty() {
        let what = "Has objects or `api = true`, and neither a primary key nor a unique index over columns that are \
                    never null.";
        let remedy = "Add a primary key.";
        return Some(Finding::danger(Code::NoKey, place, what, remedy).at(table.mapped.line));
    }
    let unstable = key.iter().find(|column| !column.family.is_stable())?;
    let what = format!(
        "Has objects or `api = true`, and its key has {} of type {}.",
        unstable.name, unstable.type_sql
    );
    let remedy = "Add a unique key of text, uuid or integer columns.";
    Some(Finding::danger(Code::KeyType, place, what, remedy).at(table.mapped.line))
}

fn hooks(scope: &Scope<'_>, table: &BoundTable<'_>, findings: &mut Vec<Finding>) {
    let place = scope.map.name_of(table.table);
    for hook in &table.table.hooks {
        let name = &hook.name;
        let accept = format!(
            "[accept] {} = \"…\"",
            toml_string(&format!("{place}: trigger {name}"))
        );
        findings.push(match hook.kind {
            HookKind::BeforeDelete => {
                let what =
                    format!("The trigger {name} fires before a DELETE and could keep the row.");
                let remedy = format!("If it always lets the row go, say so: {accept}.");
                Finding::danger(Code::Trigger, &*place, what, remedy)
                    .acceptable(&format!("trigger {name}"))
            }
            HookKind::AfterDelete => {
                let what =
                    format!("The trigger {name} fires after a DELETE and could keep a copy.");
                let remedy = format!("If it keeps none, say so: {accept}.");
                Finding::note(Code::Trigger, &*place, what, remedy)
                    .acceptable(&format!("trigger {name}"))
            }
            HookKind::Rule => {
                let what = format!("The rule {name} rewrites a DELETE.");
                let remedy = "Drop the rule.";
                Finding::danger(Code::Trigger, &*place, what, remedy)
                    .acceptable(&format!("rule {name}"))
            }
            HookKind::Copy => {
                let what = format!("The materialised view {name} reads it.");
                let remedy = "Refresh it after erasures.";
                Finding::note(Code::Copy, &*place, what, remedy).acceptable(&format!("copy {name}"))
            }
        });
    }
}

fn column_types(scope: &Scope<'_>, table: &BoundTable<'_>, findings: &mut Vec<Finding>) {
    let mut refuse = |column: &Column, line: usize, expected: &str| {
        let place = scope.place(table.table, column);
        let what = format!("Has the type {}; {expected}.", column.type_sql);
        let remedy = "Name another column, or change its type.";
        findings.push(Finding::danger(Code::ColumnType, place, what, remedy).at(line));
    };
    let line = table.mapped.line;
    if let Some(at) = table
        .deleted_at
        .filter(|at| at.family != TypeFamily::Timestamp)
    {
        refuse(at, line, "soft_delete.at takes a timestamp");
    }
    if let Some(by) = table.deleted_by.filter(|by| !by.family.is_text()) {
        refuse(by, line, "soft_delete.by takes text");
    }
    if let Some(flag) = table.flag.filter(|flag| flag.family != TypeFamily::Boolean) {
        refuse(flag, line, "soft_delete.flag takes a boolean");
    }
    for object in &table.objects {
        let family = object.column.family;
        let fits = match &object.source.json {
            Some(_) => family == TypeFamily::Json,
            None => family.is_text() || family == TypeFamily::TextArray,
        };
        if !fits {
            let expected = "an object column takes text or text[], and with `json` json or jsonb";
            refuse(object.column, object.source.line, expected);
        }
    }
    if let Some(at) = table.deleted_at.filter(|at| at.not_null) {
        refuse(at, line, "soft_delete.at must take null for a live row");
    }
}

//! References: every foreign key that points at a row which may be erased has a rule.

use super::finding::{Code, Finding};
use super::indexes;
use super::scope::Scope;
use crate::map::catalog::{Column, Edge, OnDelete};
use crate::map::format::{Action, toml_key};

pub(super) fn find(scope: &Scope<'_>) -> Vec<Finding> {
    let edges = scope.map.edges.iter();
    let of_erased = edges.filter(|edge| scope.reached.contains(edge.parent));
    of_erased
        .flat_map(|edge| judge(scope, edge))
        .chain(others(scope))
        .collect()
}

/// The places of references that have no rule and take their rows along when the row that they point at is deleted.
pub(in crate::map) fn cascading_without_rule(scope: &Scope<'_>) -> Vec<String> {
    let edges = scope.map.edges.iter();
    edges
        .filter(|edge| scope.reached.contains(edge.parent))
        .filter(|edge| edge.key.on_delete == OnDelete::Cascade && !has_rule(scope, edge))
        .map(|edge| scope.place_of(edge.child, &edge.columns))
        .collect()
}

fn judge(scope: &Scope<'_>, edge: &Edge<'_>) -> Option<Finding> {
    let place = scope.place_of(edge.child, &edge.columns);
    let parent = scope.place_of(edge.parent, &edge.parent_columns);
    let on_delete = edge.key.on_delete;
    let below = match on_delete {
        OnDelete::Cascade => scope.map.objects_below_cascade(edge.child),
        _ => Default::default(),
    };
    let below = Vec::from_iter(below).join(", ");
    if has_rule(scope, edge) {
        let what = format!(
            "What the application deletes from {} itself takes rows of {below} by CASCADE; their objects stay.",
            scope.map.name_of(edge.parent)
        );
        let remedy = "Delete such rows through Lethe, or make the foreign key ON DELETE NO ACTION.";
        let note = Finding::note(Code::Cascade, place, what, remedy);
        return (!below.is_empty()).then(|| note.acceptable("cascade"));
    }
    let columns: Vec<&str> = edge
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    let key = toml_key(&columns.join(","));
    let mut remedy = format!(
        "Give the rule on_erase.{key} to [table.{}]: \"delete\"{}, or {{ do = \"keep\", … }}.",
        toml_key(&scope.map.name_of(edge.child)),
        if edge.columns.iter().any(|column| !column.not_null) {
            ", \"detach\""
        } else {
            ""
        },
    );
    if let Some(index) = indexes::unruled(edge.child, &edge.columns) {
        remedy = format!("{remedy} {index}");
    }
    if !below.is_empty() {
        let what = format!(
            "References {parent} with ON DELETE CASCADE, has no rule, and rows of {below} name objects."
        );
        return Some(Finding::danger(Code::Cascade, place, what, remedy));
    }
    let what = format!(
        "References {parent} (ON DELETE {}) and has no rule.",
        on_delete.as_str()
    );
    Some(Finding::incomplete(Code::NoRule, place, what, remedy))
}

fn has_rule(scope: &Scope<'_>, edge: &Edge<'_>) -> bool {
    scope.map.references.iter().any(|reference| {
        let key = reference.foreign_key.as_ref();
        key.is_some_and(|of_rule| {
            of_rule.child.id == edge.child.id
                && of_rule.parent.id == edge.parent.id
                && numbers(&of_rule.columns) == numbers(&edge.columns)
                && numbers(&of_rule.parent_columns) == numbers(&edge.parent_columns)
        })
    })
}

fn numbers(columns: &[&Column]) -> Vec<i16> {
    let mut numbers: Vec<i16> = columns.iter().map(|column| column.number).collect();
    numbers.sort_unstable();
    numbers
}

/// A row belongs to another person if it names a user by itself, and goes for another reason than that user's
/// erasure. Two references that each take the row make it a row of two people. A row of the user's own table is
/// another person.
fn others<'s>(scope: &'s Scope<'_>) -> impl Iterator<Item = Finding> + 's {
    let map = scope.map;
    let deletes = map.references.iter().filter(|reference| {
        reference.rule.action == Action::Delete
            && !reference.rule.takes_others
            && scope.applies(reference)
    });
    deletes.filter_map(move |reference| {
        let table = map.tables[reference.child].table;
        let place = scope.place_of(table, &reference.columns);
        if map.tables[reference.child].is_root {
            let what = "This rule deletes other users.";
            let remedy = "Give \"detach\" or \"keep\", or others = \"too\" if that is meant.";
            return Some(
                Finding::danger(Code::Others, place, what, remedy).at(reference.rule.line),
            );
        }
        let is_direct = reference.parent.is_user(map);
        let owner = map.references.iter().find(|other| {
            other.child == reference.child
                && other.parent.is_user(map)
                && !std::ptr::eq(other.rule, reference.rule)
                && (!is_direct || other.rule.action == Action::Delete)
        })?;
        let what = format!(
            "This rule deletes rows whose {} is somebody else.",
            Vec::from_iter(owner.columns.iter().map(|column| column.name.as_str())).join(",")
        );
        let remedy = "Give the rule others = \"too\" if that is meant, or \"detach\".";
        Some(Finding::danger(Code::Others, place, what, remedy).at(reference.rule.line))
    })
}

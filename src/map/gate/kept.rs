//! Rows that stay: what is cleared can be cleared, what is set can be set, and no column is forgotten.

use super::finding::{Code, Finding};
use super::scope::Scope;
use crate::map::bind::{BoundChanges, BoundUser, Reference};
use crate::map::catalog::{Column, Table};
use crate::map::format::{Action, Constant};

pub(super) fn find(scope: &Scope<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let references = scope.map.references.iter();
    for reference in references.filter(|reference| scope.applies(reference)) {
        let table = scope.map.tables[reference.child].table;
        let kept = Kept {
            scope,
            table,
            line: reference.rule.line,
            changes: &reference.changes,
        };
        kept.changes_are_possible(&mut findings);
        match reference.rule.action {
            Action::Delete => {}
            Action::Detach => findings.extend(detach(scope, reference)),
            Action::Keep => {
                findings.extend(reference_stays(scope, reference));
                kept.no_column_is_forgotten(&mut findings);
            }
        }
    }
    root(scope, &mut findings);
    findings
}

/// The user's own row, if it stays.
fn root(scope: &Scope<'_>, findings: &mut Vec<Finding>) {
    let (Some(root), Some(changes)) = (scope.map.tables.first(), scope.map.kept_user()) else {
        return;
    };
    let columns = |names: &[String]| -> Vec<&Column> {
        names
            .iter()
            .filter_map(|name| root.table.column(name))
            .collect()
    };
    let set = changes.set.iter();
    let changes = BoundChanges {
        set: set
            .filter_map(|(name, constant)| Some((root.table.column(name)?, constant)))
            .collect(),
        clear: columns(&changes.clear),
        leave: columns(&changes.leave),
    };
    let kept = Kept {
        scope,
        table: root.table,
        line: scope.map.map.user.line,
        changes: &changes,
    };
    kept.changes_are_possible(findings);
    kept.no_column_is_forgotten(findings);
}

/// A row that a rule keeps or detaches.
struct Kept<'a, 'c> {
    scope: &'a Scope<'c>,
    table: &'c Table,
    line: usize,
    changes: &'a BoundChanges<'c>,
}

impl Kept<'_, '_> {
    fn changes_are_possible(&self, findings: &mut Vec<Finding>) {
        let mut refuse = |code, column: &Column, what: &str, remedy: &str| {
            let place = self.scope.place(self.table, column);
            findings.push(Finding::danger(code, place, what, remedy).at(self.line));
        };
        let set = self.changes.set.iter().map(|(column, _)| *column);
        for column in set.chain(self.changes.clear.iter().copied()) {
            if column.is_generated {
                let remedy = "Take it out of set and clear.";
                refuse(
                    Code::Generated,
                    column,
                    "Is generated, and would be changed.",
                    remedy,
                );
            }
        }
        for column in &self.changes.clear {
            if column.not_null {
                let remedy = "Give it a value in `set`, or let it take null.";
                refuse(
                    Code::NotNull,
                    column,
                    "Is cleared, and does not take null.",
                    remedy,
                );
            }
        }
        for (column, constant) in &self.changes.set {
            let varies = matches!(constant, Constant::Text(text) if text.contains("{pk}"));
            if !varies && self.table.is_unique(column) {
                let remedy = "Put {pk} into the value, such as \"erased+{pk}\".";
                refuse(
                    Code::Unique,
                    column,
                    "Is unique, and is set to one value for all rows.",
                    remedy,
                );
            }
        }
    }

    /// Every column that may hold what a person wrote is cleared, set or left on purpose.
    fn no_column_is_forgotten(&self, findings: &mut Vec<Finding>) {
        for column in &self.table.columns {
            let is_key = self.table.primary_key.contains(&column.number);
            if !column.family.may_hold_personal_data()
                || column.is_generated
                || is_key
                || self.changes.names(column)
                || self.is_known_otherwise(column)
            {
                continue;
            }
            let place = self.scope.place(self.table, column);
            let what = format!(
                "Is {} of a row that stays, and is in none of set, clear and leave.",
                column.type_sql
            );
            let remedy =
                "Clear or set it, or name it in `leave` if it holds nothing of the person.";
            findings.push(Finding::incomplete(Code::KeptColumn, place, what, remedy).at(self.line));
        }
    }

    /// References, object columns, discriminators and the columns of the soft delete are no text of a person.
    fn is_known_otherwise(&self, column: &Column) -> bool {
        let map = self.scope.map;
        let mut tables = map
            .tables
            .iter()
            .filter(|one| one.table.id == self.table.id);
        let in_section = tables.any(|one| {
            let soft_delete = [one.deleted_at, one.deleted_by, one.flag];
            let objects = one.objects.iter().map(|object| object.column);
            let mut all = soft_delete.into_iter().flatten().chain(objects);
            let is_id = one.is_root
                && matches!(map.user, BoundUser::Rows { id, .. } if id.number == column.number);
            is_id || all.any(|other| other.number == column.number)
        });
        let mut of_table = map
            .references
            .iter()
            .filter(|reference| map.tables[reference.child].table.id == self.table.id);
        let in_rule = of_table.any(|reference| {
            let discriminator = reference.discriminator.iter().map(|(column, _)| *column);
            let mut all = reference.columns.iter().copied().chain(discriminator);
            all.any(|other| other.number == column.number)
        });
        let mut keys = self.table.foreign_keys.iter();
        in_section || in_rule || keys.any(|key| key.columns.contains(&column.number))
    }
}

/// Of a composite reference the columns that take null are set to null; there must be one.
fn detach(scope: &Scope<'_>, reference: &Reference<'_>) -> Option<Finding> {
    let table = scope.map.tables[reference.child].table;
    if reference.columns.iter().any(|column| !column.not_null) {
        return None;
    }
    let place = scope.place_of(table, &reference.columns);
    let remedy = "Let it take null, or give \"delete\" or \"keep\".";
    let what = "Is to be detached, and does not take null.";
    Some(Finding::danger(Code::NotNull, place, what, remedy).at(reference.rule.line))
}

/// A kept row must let go of a row that is deleted.
fn reference_stays(scope: &Scope<'_>, reference: &Reference<'_>) -> Option<Finding> {
    let lets_go = reference
        .columns
        .iter()
        .any(|column| reference.changes.changes(column));
    if lets_go || scope.map.parent_stays(reference) {
        return None;
    }
    let table = scope.map.tables[reference.child].table;
    let place = scope.place_of(table, &reference.columns);
    let what =
        "Belongs to a row that stays, and keeps its value although the row that it names goes.";
    let remedy = "Name it in `clear` or `set`.";
    Some(Finding::danger(Code::ReferenceStays, place, what, remedy).at(reference.rule.line))
}

//! Random rules, such as the gate lets pass.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::case::{
    Action, Changes, ColumnNo, Keep, Kind, Reference, Rule, TableNo, Target, UserModel,
};
use super::draft::Draft;

/// The Clerk id of a user who stands for nobody and is never erased.
pub(super) const GHOST: &str = "user_ghost";
pub(super) const GHOST_UUID: &str = "99999999-9999-4999-8999-999999999999";
pub(super) const GHOST_NUMBER: i64 = 999;
/// Of columns that are neither Clerk ids nor numbers.
pub(super) const GHOST_TEXT: &str = "ghost";

const REASONS: &[&str] = &["tax law", "security log", "it's of others"];

impl Draft {
    pub(super) fn rules(&mut self) {
        self.keep_user();
        for table in 0..self.case.tables.len() {
            self.rules_of(table);
        }
        self.leave_out();
        self.ask_for_consent();
    }

    fn keep_user(&mut self) {
        if !self.case.has_users() || !self.chance(0.35) {
            return;
        }
        let why = "invoices point here".to_owned();
        let changes = self.changes_of_kept(0, true);
        if let UserModel::Rows { keep, .. } = &mut self.case.user {
            *keep = Some(Keep { why, changes });
        }
    }

    fn rules_of(&mut self, table: TableNo) {
        let count = self.case.tables[table].references.len();
        let ways: Vec<Vec<Action>> = (0..count).map(|one| self.possible(table, one)).collect();
        let can_hold = ways
            .iter()
            .all(|ways| ways.iter().any(|way| *way != Action::Delete));
        let holds = count > 0 && can_hold && !self.case.is_users(table) && self.chance(0.12);
        for (reference, ways) in ways.iter().enumerate() {
            let ways: Vec<Action> = match holds {
                true => ways
                    .iter()
                    .copied()
                    .filter(|way| *way != Action::Delete)
                    .collect(),
                false => ways.clone(),
            };
            let action = self.pick(&ways);
            let rule = self.rule(table, reference, action, holds);
            self.case.tables[table].references[reference].rule = Some(rule);
        }
        let may_be_api = !self.case.tables[table].key.is_empty() && !self.case.is_users(table);
        self.case.tables[table].is_api = may_be_api && !holds && self.chance(0.12);
    }

    /// What a rule may do, each as often as it shall be taken.
    fn possible(&mut self, table: TableNo, number: usize) -> Vec<Action> {
        let reference = self.case.tables[table].references[number].clone();
        let mut ways = Vec::new();
        if !self.case.is_users(table) {
            ways.extend([Action::Delete; 5]);
        }
        if !self.clearable(table, &reference).is_empty() {
            ways.extend([Action::Detach; 2]);
        }
        if self.letting_go(table, &reference).is_some() {
            ways.extend([Action::Keep; 2]);
        }
        ways
    }

    fn rule(&mut self, table: TableNo, number: usize, action: Action, holds: bool) -> Rule {
        let reference = self.case.tables[table].references[number].clone();
        let mut changes = Changes::default();
        match action {
            Action::Delete => {}
            Action::Detach => {
                if self.chance(0.3) {
                    changes = self.changes_of_kept(table, false);
                    changes.leave.clear();
                }
            }
            Action::Keep => {
                changes = self.changes_of_kept(table, false);
                let more = self.letting_go(table, &reference).unwrap_or_default();
                changes.set.extend(more.set);
                changes.clear.extend(more.clear);
            }
        }
        let holds = holds && action == Action::Keep;
        Rule {
            action,
            takes_others: false,
            why: self.pick(REASONS).to_owned(),
            holds,
            changes,
        }
    }

    /// The columns of a reference that can become null.
    fn clearable(&self, table: TableNo, reference: &Reference) -> Vec<ColumnNo> {
        let table = &self.case.tables[table];
        let columns = reference.columns.iter().copied();
        let free = columns.filter(|one| table.columns[*one].nullable && !table.key.contains(one));
        free.collect()
    }

    /// A way in which a row that stays lets go of what its reference points at.
    fn letting_go(&mut self, table: TableNo, reference: &Reference) -> Option<Changes> {
        let mut ways = Vec::new();
        let clear = self.clearable(table, reference);
        if !clear.is_empty() {
            ways.push(Changes {
                clear,
                ..Changes::default()
            });
        }
        if self.case.parent_stays(reference) {
            ways.push(Changes::default());
        }
        if let Some(value) = self.stand_in(table, reference) {
            let column = reference.columns[0];
            ways.push(Changes {
                set: [(column, value)].into(),
                ..Changes::default()
            });
        }
        (!ways.is_empty()).then(|| self.pick(&ways))
    }

    /// A value that a reference can have in place of the one that is erased: with a foreign key the ghost.
    fn stand_in(&self, table: TableNo, reference: &Reference) -> Option<Value> {
        let child = &self.case.tables[table];
        let [column] = reference.columns[..] else {
            return None;
        };
        if child.key.contains(&column) {
            return None;
        }
        if reference.foreign_key.is_none() {
            return Some(match child.columns[column].kind {
                Kind::Uuid => json!("00000000-0000-4000-8000-000000000000"),
                Kind::Bigint | Kind::Integer => json!(0),
                _ => json!("nobody"),
            });
        }
        let Target::Columns { table: 0, columns } = &reference.target else {
            return None;
        };
        let (_, clerk_id) = self.case.user_columns()?;
        let [of_user] = columns[..] else {
            return None;
        };
        Some(ghost(
            self.case.tables[0].columns[of_user].kind,
            of_user == clerk_id,
        ))
    }

    /// What becomes of the columns of a row that stays, its references aside: the same in each rule of a table, or
    /// left. What a foreign key points at is left, except the Clerk id of the user who is erased: whatever points at
    /// that one has a rule.
    fn changes_of_kept(&mut self, table: TableNo, of_user: bool) -> Changes {
        let mut changes = Changes::default();
        for column in 0..self.case.tables[table].columns.len() {
            if !self.is_personal(table, column) {
                continue;
            }
            let is_clerk_id = self
                .case
                .user_columns()
                .is_some_and(|(_, one)| one == column);
            if self.is_pointed_at(table, column) && !(of_user && is_clerk_id) {
                changes.leave.push(column);
                continue;
            }
            let (kind, nullable) = {
                let column = &self.case.tables[table].columns[column];
                (column.kind, column.nullable)
            };
            let is_text = matches!(kind, Kind::Text | Kind::Varchar);
            match (column + table) % 3 {
                _ if self.chance(0.25) => changes.leave.push(column),
                0 if nullable => changes.clear.push(column),
                1 if is_text => {
                    changes.set.insert(column, self.erased_text(table, column));
                }
                _ if is_text && !self.case.tables[table].key.is_empty() => {
                    changes.set.insert(column, json!("erased+{pk} 'x'"));
                }
                _ if nullable => changes.clear.push(column),
                _ if kind == Kind::Integer => {
                    changes.set.insert(column, json!(-1));
                }
                _ => changes.leave.push(column),
            }
        }
        changes
    }

    fn erased_text(&self, table: TableNo, column: ColumnNo) -> Value {
        match self.case.tables[table].uniques.contains(&column) {
            true => json!("erased+{pk}"),
            false => json!("erased"),
        }
    }

    /// Whether a column is neither a key nor a reference, and names neither an object nor a soft delete.
    fn is_personal(&self, number: TableNo, column: ColumnNo) -> bool {
        let table = &self.case.tables[number];
        let is_user_id = self.case.is_users(number)
            && self.case.user_columns().is_some_and(|(id, _)| id == column);
        let soft_delete = [table.deleted_at, table.deleted_by, table.flag];
        let mut references = table.references.iter();
        let of_reference = references.any(|one| {
            let discriminator = one.discriminator.as_ref().map(|(label, _)| *label);
            one.columns.contains(&column) || discriminator == Some(column)
        });
        let mut objects = table.objects.iter();
        let holds_something = matches!(
            table.columns[column].kind,
            Kind::Text | Kind::Varchar | Kind::Texts | Kind::Jsonb | Kind::Json | Kind::Integer
        );
        holds_something
            && !is_user_id
            && !of_reference
            && !table.key.contains(&column)
            && !soft_delete.contains(&Some(column))
            && !objects.any(|object| object.column == column)
    }

    /// Whether a foreign key points at a column.
    fn is_pointed_at(&self, number: TableNo, column: ColumnNo) -> bool {
        let mut references = self.case.tables.iter().flat_map(|table| &table.references);
        references.any(|one| {
            let columns = match &one.target {
                Target::Columns { table, columns } if *table == number => columns.as_slice(),
                _ => &[],
            };
            one.foreign_key.is_some() && columns.contains(&column)
        })
    }

    /// The tables that something is erased of, so that references to them need a rule.
    fn reached(&self) -> BTreeSet<TableNo> {
        let tables = self.case.tables.iter().enumerate();
        let roots = tables.filter(|(number, table)| self.case.is_users(*number) || table.is_api);
        let mut reached: BTreeSet<TableNo> = roots.map(|(number, _)| number).collect();
        loop {
            let before = reached.len();
            for (number, table) in self.case.tables.iter().enumerate() {
                let goes = table.references.iter().any(|one| {
                    let is_delete = one
                        .rule
                        .as_ref()
                        .is_some_and(|rule| rule.action == Action::Delete);
                    is_delete && points_into(one, &reached)
                });
                if goes {
                    reached.insert(number);
                }
            }
            if reached.len() == before {
                return reached;
            }
        }
    }

    /// Takes rules out that the gate does not ask for, and sections that say nothing.
    fn leave_out(&mut self) {
        let reached = self.reached();
        for table in 0..self.case.tables.len() {
            for reference in 0..self.case.tables[table].references.len() {
                let one = &self.case.tables[table].references[reference];
                let is_needed = one.foreign_key.is_none() || points_into(one, &reached);
                if !is_needed && self.chance(0.5) {
                    self.case.tables[table].references[reference].rule = None;
                }
            }
        }
        let mut mapped = BTreeSet::new();
        for (number, table) in self.case.tables.iter().enumerate() {
            let with_rules = table.references.iter().filter(|one| one.rule.is_some());
            let targets = with_rules.clone().filter_map(|one| match one.target {
                Target::ClerkId => None,
                Target::Columns { table, .. } => Some(table),
            });
            mapped.extend(targets);
            let says_something = with_rules.count() > 0
                || !table.objects.is_empty()
                || table.is_api
                || table.deleted_by.is_some();
            if says_something || self.case.is_users(number) {
                mapped.insert(number);
            }
        }
        for (number, table) in self.case.tables.iter_mut().enumerate() {
            table.is_mapped = mapped.contains(&number);
        }
    }

    /// Consents where rows of two people are deleted, and now and then where nobody asks.
    fn ask_for_consent(&mut self) {
        for table in 0..self.case.tables.len() {
            let references = self.case.tables[table].references.clone();
            for (number, reference) in references.iter().enumerate() {
                let Some(rule) = reference.rule.as_ref() else {
                    continue;
                };
                let needed = references.iter().enumerate().any(|(other_no, other)| {
                    let names_user = other.rule.is_some() && self.case.names_user(other);
                    let deletes = other
                        .rule
                        .as_ref()
                        .is_some_and(|one| one.action == Action::Delete);
                    other_no != number
                        && names_user
                        && (!self.case.names_user(reference) || deletes)
                });
                let consents = rule.action == Action::Delete && (needed || self.chance(0.2));
                if let Some(rule) = &mut self.case.tables[table].references[number].rule {
                    rule.takes_others = consents;
                }
            }
        }
    }
}

fn points_into(reference: &Reference, reached: &BTreeSet<TableNo>) -> bool {
    match &reference.target {
        Target::ClerkId => true,
        Target::Columns { table, .. } => reached.contains(table),
    }
}

/// The ghost's value in a column of the users.
pub(super) fn ghost(kind: Kind, is_clerk_id: bool) -> Value {
    match kind {
        Kind::Uuid => json!(GHOST_UUID),
        Kind::Bigint => json!(GHOST_NUMBER),
        _ if is_clerk_id => json!(GHOST),
        _ => json!(GHOST_TEXT),
    }
}

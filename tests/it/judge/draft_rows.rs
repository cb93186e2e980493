//! Random rows: of several people, with keys of objects that they share, and some that point at nothing.

use std::collections::BTreeSet;

use rand::RngExt as _;
use serde_json::{Value, json};

use super::case::{Action, Case, Column, ColumnNo, Kind, Reference, Row, TableNo, Target};
use super::draft::Draft;
use super::draft_rules::{GHOST, ghost};
use super::verdict::generate;

/// Two of them begin alike.
const USERS: &[&str] = &["user_1", "user_10", "user_2"];
/// A user of whom there is no row.
const NO_ROW: &str = "user_9";

impl Draft {
    pub(super) fn rows(&mut self) {
        self.case.erased = match self.random.random_range(0..20) {
            0..2 => NO_ROW,
            2..5 => "user_10",
            _ => "user_1",
        }
        .to_owned();
        self.case.rows = vec![Vec::new(); self.case.tables.len()];
        for table in 0..self.case.tables.len() {
            self.new_rows(table);
        }
        for table in 0..self.case.tables.len() {
            self.point(table);
        }
        for table in 0..self.case.tables.len() {
            self.name_objects(table);
        }
        repair(&mut self.case);
    }

    /// Rows with everything but references, except those of the key, and objects.
    fn new_rows(&mut self, table: TableNo) {
        let is_users = self.case.is_users(table);
        let count = match is_users {
            true => USERS.len() + 1,
            false => self.random.random_range(0..=6),
        };
        let mut keys = BTreeSet::new();
        for number in 0..count {
            let mut row: Row = Vec::new();
            for column in 0..self.case.tables[table].columns.len() {
                row.push(self.value(table, column, number));
            }
            self.fill_key(table, &mut row);
            self.mark(table, &mut row);
            if is_users {
                self.name_user(number, &mut row);
            }
            let of_table = &self.case.tables[table];
            let key = of_table.key.iter().map(|one| row[*one].to_string());
            let key: Vec<String> = key.collect();
            let has_null = of_table.key.iter().any(|one| row[*one].is_null());
            if of_table.key.is_empty() || (!has_null && keys.insert(key)) {
                self.case.rows[table].push(row);
            }
        }
    }

    fn value(&mut self, table: TableNo, column: ColumnNo, row: usize) -> Value {
        let of_table = &self.case.tables[table];
        let Column { kind, nullable, .. } = of_table.columns[column];
        let mut references = of_table.references.iter();
        if references.any(|one| one.columns.contains(&column)) {
            return Value::Null;
        }
        let is_unique = of_table.key.contains(&column) || of_table.uniques.contains(&column);
        if nullable && !is_unique && self.chance(0.25) {
            return Value::Null;
        }
        let number = row + 1;
        match kind {
            Kind::Uuid => json!(uuid::Uuid::from_u128(self.random.random()).to_string()),
            Kind::Bigint if is_unique && number == 4 => json!(i64::MAX),
            Kind::Bigint | Kind::Integer => json!(number),
            Kind::Text if is_unique => match number {
                3 => json!("r,3~\"ü\\"),
                number => json!(format!("r{number}")),
            },
            Kind::Text | Kind::Varchar => self.pick(&[json!("x"), json!("it's"), json!("")]),
            Kind::Texts => json!(["x", null]),
            Kind::Jsonb | Kind::Json => json!({"a": [1, "b"]}),
            Kind::Timestamp | Kind::Boolean | Kind::Generated(_) => Value::Null,
        }
    }

    /// The references of a key point at rows that are there already.
    fn fill_key(&mut self, table: TableNo, row: &mut Row) {
        let of_table = self.case.tables[table].clone();
        for reference in &of_table.references {
            if of_table.key.contains(&reference.columns[0]) {
                self.point_row(table, reference, row, false);
            }
        }
    }

    fn mark(&mut self, table: TableNo, row: &mut Row) {
        let of_table = self.case.tables[table].clone();
        // Whether a soft-deleted row that stays protects its object is not settled.
        let mut rules = of_table
            .references
            .iter()
            .filter_map(|one| one.rule.as_ref());
        let keeps = rules.any(|rule| rule.action == Action::Keep)
            || self.case.is_users(table) && self.case.kept_user().is_some();
        let is_settled = of_table.objects.is_empty() || !keeps;
        let is_deleted = is_settled && self.chance(0.2);
        if let (Some(at), true) = (of_table.deleted_at, is_deleted) {
            row[at] = json!("2026-01-02T03:04:05+00:00");
        }
        if let Some(by) = of_table.deleted_by {
            row[by] = match is_deleted {
                true => json!("someone"),
                false => Value::Null,
            };
        }
        if let Some(flag) = of_table.flag {
            row[flag] = json!(is_deleted);
        }
        generate(&of_table, row);
    }

    fn name_user(&mut self, number: usize, row: &mut Row) {
        let Some((id, clerk_id)) = self.case.user_columns() else {
            return;
        };
        let Some(user) = USERS.get(number) else {
            let of_table = &self.case.tables[0];
            for column in of_table.key.iter().chain(&of_table.uniques) {
                row[*column] = ghost(of_table.columns[*column].kind, *column == clerk_id);
            }
            row[clerk_id] = json!(GHOST);
            return;
        };
        row[clerk_id] = json!(user);
        let _ = id;
    }

    /// Fills the references of a table's rows.
    fn point(&mut self, table: TableNo) {
        let of_table = self.case.tables[table].clone();
        for number in 0..self.case.rows[table].len() {
            let mut row = self.case.rows[table][number].clone();
            for reference in &of_table.references {
                if of_table.key.contains(&reference.columns[0]) {
                    continue;
                }
                let column = reference.columns[0];
                let nullable = of_table.columns[column].nullable;
                if let Some((label, value)) = &reference.discriminator {
                    if !row[column].is_null() && self.chance(0.5) {
                        continue;
                    }
                    row[*label] = json!(value);
                    row[column] = Value::Null;
                }
                self.point_row(table, reference, &mut row, nullable);
            }
            self.case.rows[table][number] = row;
        }
    }

    fn point_row(&mut self, child: TableNo, reference: &Reference, row: &mut Row, nullable: bool) {
        if nullable && self.chance(0.2) {
            return;
        }
        let has_key = reference.foreign_key.is_some();
        let (table, columns) = match &reference.target {
            Target::ClerkId => {
                let users = [USERS, &[NO_ROW]].concat();
                row[reference.columns[0]] = json!(self.pick(&users));
                return;
            }
            Target::Columns { table, columns } => (*table, columns),
        };
        let of_clerk_id = self.case.user_columns().map(|(_, clerk_id)| clerk_id);
        if table == 0 && !has_key && of_clerk_id == Some(columns[0]) && self.chance(0.15) {
            row[reference.columns[0]] = json!(NO_ROW);
            return;
        }
        let parents = &self.case.rows[table];
        if parents.is_empty() {
            return;
        }
        let mut number = self.random.random_range(0..parents.len());
        if self.case.is_users(table) && self.random.random_bool(0.4) {
            number = 0;
        }
        let parent = self.case.rows[table][number].clone();
        let of_child = |kind: Kind, value: &Value| match (kind, value) {
            (Kind::Text | Kind::Varchar, Value::Number(number)) => json!(number.to_string()),
            (_, value) => value.clone(),
        };
        for (column, of_parent) in reference.columns.iter().zip(columns) {
            let kind = self.case.tables[child].columns[*column].kind;
            row[*column] = of_child(kind, &parent[*of_parent]);
        }
    }

    fn name_objects(&mut self, table: TableNo) {
        let of_table = self.case.tables[table].clone();
        for number in 0..self.case.rows[table].len() {
            for object in &of_table.objects {
                let Column { kind, nullable, .. } = of_table.columns[object.column];
                let count = self.random.random_range(0..4);
                let keys: Vec<Value> = (0..count).map(|_| self.object_value(object)).collect();
                let value = match (kind, object.path) {
                    (Kind::Texts, _) => json!(keys),
                    (_, Some("lax $[*].key")) => keys
                        .iter()
                        .map(|key| json!({"key": key, "size": 1}))
                        .chain([json!(null), json!("x"), json!({"other": 1})])
                        .collect(),
                    (_, Some("lax $.images[*]")) => json!({"images": keys, "other": "k"}),
                    (_, Some(_)) => json!({"cover": {"key": keys.first()}}),
                    (_, None) => self.object_value(object),
                };
                let is_null = nullable && self.chance(0.2);
                self.case.rows[table][number][object.column] = match value {
                    value if !nullable && value.is_null() => json!(""),
                    _ if is_null => Value::Null,
                    value => value,
                };
            }
        }
    }
}

/// Takes away what foreign keys and columns that take no null would refuse, until nothing is left of it.
pub fn repair(case: &mut Case) {
    loop {
        let mut changed = false;
        for table in 0..case.tables.len() {
            for row in (0..case.rows[table].len()).rev() {
                changed |= mend(case, table, row);
            }
        }
        if !changed {
            return;
        }
    }
}

fn mend(case: &mut Case, number: TableNo, row_no: usize) -> bool {
    let table = case.tables[number].clone();
    let row = case.rows[number][row_no].clone();
    let mut has_hole = false;
    for (column, value) in table.columns.iter().zip(&row) {
        let may_be_null = column.nullable || matches!(column.kind, Kind::Generated(_));
        has_hole |= value.is_null() && !may_be_null;
    }
    for reference in &table.references {
        let Target::Columns {
            table: parent,
            columns,
        } = &reference.target
        else {
            continue;
        };
        if reference.foreign_key.is_none() || holds(case, *parent, columns, reference, &row) {
            continue;
        }
        let clear = reference.columns.iter();
        let clear = clear
            .copied()
            .find(|one| table.columns[*one].nullable && !table.key.contains(one));
        match clear {
            Some(column) => {
                case.rows[number][row_no][column] = Value::Null;
                return true;
            }
            None => has_hole = true,
        }
    }
    if has_hole {
        case.rows[number].remove(row_no);
    }
    has_hole
}

fn holds(
    case: &Case,
    parent: TableNo,
    columns: &[ColumnNo],
    reference: &Reference,
    row: &Row,
) -> bool {
    let values: Vec<&Value> = reference.columns.iter().map(|one| &row[*one]).collect();
    let mut parents = case.rows[parent].iter();
    values.iter().any(|value| value.is_null())
        || parents.any(|of| {
            columns
                .iter()
                .zip(&values)
                .all(|(one, value)| of[*one] == **value)
        })
}

//! Follows references from the user's table as if everything were deleted, so that each one is decided by a person.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;

use super::guess;
use super::size::sizes;
use super::sketch::{Decisions, Sketch, SketchRule, SketchTable, SketchUser, TargetGuess};
use crate::map::bind::bind;
use crate::map::catalog::{self, Catalog, Column, Edge, Table};
use crate::map::format::{ErasureMap, GateLevel, Late, User, default_type_name, toml_string};
use crate::map::gate::names::{names_a_row, names_a_user, type_beside};
use crate::map::gate::values::{Counts, Looked, look};
use crate::map::gate::{Scope, open_questions};

/// Drafts a map of a database. The draft is complete: with each `"TODO"` decided, the gate finds nothing that a map
/// could mend.
///
/// # Errors
/// When the database cannot be reached or refuses.
pub async fn draft(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    let mut tx = catalog::begin(connection).await?;
    let catalog = catalog::read(&mut tx).await?;
    let empty = empty_map();
    let bound = bind(&empty, &catalog);
    let scope = Scope::of(&bound);
    let counts = match look(&mut tx, &scope).await? {
        Looked::Counts { counts, .. } => counts,
        Looked::Forbidden => Vec::new(),
    };
    let tables: Vec<&Table> = scope.tables().collect();
    let sizes = sizes(&mut tx, &tables).await?;
    tx.rollback().await?;
    let edges: Vec<Edge<'_>> = catalog.foreign_keys().collect();
    let users = guess::users(&edges, &tables);
    let mut drafter = Drafter {
        edges,
        tables,
        counts: &counts,
        sizes,
        users,
        erased: users.iter().map(|table| table.id).collect(),
        sections: BTreeMap::new(),
    };
    drafter.name_sections();
    let mut sketch = drafter.sketch();
    settle(&mut sketch, &catalog, &counts);
    Ok(sketch.write(Decisions::Open))
}

/// What the gate would still ask once everything is decided becomes an entry of `[ignore]` or `[accept]`.
fn settle(sketch: &mut Sketch, catalog: &Catalog, counts: &[(&Table, &Column, Counts)]) {
    let Ok(map) = ErasureMap::parse(&sketch.write(Decisions::Delete)) else {
        return;
    };
    let bound = bind(&map, catalog);
    let (ignored, accepted) = open_questions(&Scope::of(&bound), counts);
    sketch.ignored = ignored;
    sketch.accepted = accepted;
}

fn empty_map() -> ErasureMap {
    ErasureMap {
        digest: String::new(),
        schema: DEFAULT_SCHEMA.to_owned(),
        gate: GateLevel::Suspects,
        user: User {
            line: 1,
            table: None,
            id: None,
            clerk_id: None,
            ids: String::new(),
            never: Vec::new(),
            keep: None,
            late: Late::Refuse,
        },
        tables: Vec::new(),
        buckets: Vec::new(),
        ignored: Vec::new(),
        accepted: Vec::new(),
    }
}

/// Longest part of a table's name in a type name that is made unique by a number, in characters.
const MAX_STEM: usize = 50;
const DEFAULT_SCHEMA: &str = "public";

struct Drafter<'c> {
    edges: Vec<Edge<'c>>,
    tables: Vec<&'c Table>,
    counts: &'c [(&'c Table, &'c Column, Counts)],
    /// How many rows each table has, in words.
    sizes: BTreeMap<i64, String>,
    users: Option<&'c Table>,
    /// The tables that something is erased of.
    erased: BTreeSet<i64>,
    /// The key of each table's section.
    sections: BTreeMap<i64, String>,
}

impl<'c> Drafter<'c> {
    fn name_sections(&mut self) {
        let mut taken = BTreeSet::new();
        for table in &self.tables {
            let mut key = match table.schema.as_str() {
                DEFAULT_SCHEMA => table.name.clone(),
                schema => format!("{schema}.{}", table.name),
            };
            while !taken.insert(key.clone()) {
                key.push('_');
            }
            self.sections.insert(table.id, key);
        }
    }

    fn sketch(&mut self) -> Sketch {
        let mut rules = self.rules();
        loop {
            let before = self.erased.len();
            let with_rules = rules.iter().filter(|(_, rules)| !rules.is_empty());
            self.erased.extend(with_rules.map(|(id, _)| *id));
            if self.erased.len() == before {
                break;
            }
            rules = self.rules();
        }
        let mut sketch = Sketch::default();
        let mut types = BTreeSet::from(["user".to_owned()]);
        for table in self.tables.clone() {
            if !self.erased.contains(&table.id) {
                continue;
            }
            let mut section = self.section(table);
            section.rules = rules.remove(&table.id).unwrap_or_default();
            if self.users.is_some_and(|users| users.id == table.id) {
                self.user(&mut sketch, table, section);
                continue;
            }
            section.type_name = free_type(table, &mut types);
            sketch.tables.push(section);
        }
        let of_user = sketch.user.iter().map(|user| &user.table_lines);
        let mut objects = of_user
            .chain(&sketch.tables)
            .flat_map(|table| &table.objects);
        sketch.has_urls = objects.any(|object| object.column.to_lowercase().contains("url"));
        sketch
    }

    /// The section of a table, without its rules.
    fn section(&self, table: &Table) -> SketchTable {
        let key = self.sections[&table.id].clone();
        let has_dots = table.name.contains('.') || table.schema.contains('.');
        let name = format!(
            "{{ schema = {}, name = {} }}",
            toml_string(&table.schema),
            toml_string(&table.name)
        );
        let is_object = |column: &Column| {
            let of_column = self
                .counts
                .iter()
                .find(|(other, named, _)| other.id == table.id && named.number == column.number);
            of_column.is_some_and(|(_, _, counts)| counts.object_keys > 0)
        };
        SketchTable {
            key,
            name: has_dots.then_some(name),
            soft_delete: guess::soft_delete(table),
            objects: guess::objects(table, is_object),
            ..SketchTable::default()
        }
    }

    fn user(&self, sketch: &mut Sketch, table: &Table, mut section: SketchTable) {
        let table_value = match section.name.take() {
            Some(name) => name,
            None => toml_string(&section.key),
        };
        let rules = std::mem::take(&mut section.rules);
        if !rules.is_empty() {
            sketch.tables.push(SketchTable {
                key: section.key.clone(),
                name: table_value.starts_with('{').then(|| table_value.clone()),
                rules,
                ..SketchTable::default()
            });
        }
        let id = match table.primary_key.len() {
            1 => None,
            _ => table.key().first().map(|column| column.name.clone()),
        };
        sketch.user = Some(SketchUser {
            table: table_value,
            table_lines: section,
            id,
            clerk_id: guess::clerk_id(table),
        });
    }

    /// The rules of every table, by the tables that are erased so far.
    fn rules(&self) -> BTreeMap<i64, Vec<SketchRule>> {
        let mut rules = BTreeMap::new();
        for table in &self.tables {
            let mut found = self.by_foreign_key(table);
            found.extend(self.by_name_or_value(table));
            let direct = found.iter().filter(|(_, is_direct)| *is_direct).count();
            let of_table: Vec<SketchRule> = found
                .into_iter()
                .map(|(mut rule, is_direct)| {
                    rule.may_take_others = direct > usize::from(is_direct) || self.is_users(table);
                    rule
                })
                .collect();
            rules.insert(table.id, of_table);
        }
        rules
    }

    /// How many rows a table has, after a comma.
    fn size(&self, table: &Table) -> String {
        let size = self.sizes.get(&table.id);
        size.map_or(String::new(), |size| format!(", {size}"))
    }

    fn is_users(&self, table: &Table) -> bool {
        self.users.is_some_and(|users| users.id == table.id)
    }

    /// The rules that foreign keys ask for, each with whether it names a user itself.
    fn by_foreign_key(&self, table: &Table) -> Vec<(SketchRule, bool)> {
        let mut rules: Vec<(SketchRule, bool)> = Vec::new();
        for edge in &self.edges {
            if edge.child.id != table.id || !self.erased.contains(&edge.parent.id) {
                continue;
            }
            let names: Vec<&str> = edge
                .columns
                .iter()
                .map(|column| column.name.as_str())
                .collect();
            let columns = names.join(",");
            if rules.iter().any(|(rule, _)| rule.columns == columns) {
                continue;
            }
            let detach = match edge.columns.iter().any(|column| !column.not_null) {
                true => ", detach",
                false => "",
            };
            let comment = format!(
                "points at {}, ON DELETE {}{}; delete{detach} or keep",
                toml_string(&self.sections[&edge.parent.id]),
                edge.key.on_delete.as_str(),
                self.size(table)
            );
            let rule = SketchRule {
                columns,
                target: None,
                may_take_others: false,
                comment,
            };
            rules.push((rule, self.is_users(edge.parent)));
        }
        rules
    }

    /// The rules for columns without a foreign key that look like references.
    fn by_name_or_value(&self, table: &Table) -> Vec<(SketchRule, bool)> {
        let mut rules = Vec::new();
        let soft_delete = guess::soft_delete(table);
        for column in &table.columns {
            let mut keys = table.foreign_keys.iter();
            let has_key = keys.any(|key| key.columns.contains(&column.number));
            let is_soft_delete = soft_delete.iter().any(|(_, name)| *name == column.name);
            if has_key || is_soft_delete || self.is_users(table) || !column.family.may_be_an_id() {
                continue;
            }
            let (target, is_direct) = match self.user_target(table, column) {
                Some(target) => (target, true),
                None => match self.row_target(table, column) {
                    Some(target) => (TargetGuess::Known(target), false),
                    None => match self.polymorphic_target(table, column) {
                        // It may turn out to name a user.
                        Some(target) => (target, true),
                        None => continue,
                    },
                },
            };
            let detach = if column.not_null { "" } else { ", detach" };
            let one_each = match &target {
                TargetGuess::Polymorphic { label, .. } => {
                    format!(", one rule for each value of {}", toml_string(label))
                }
                _ => String::new(),
            };
            let rule = SketchRule {
                columns: column.name.clone(),
                target: Some(target),
                may_take_others: false,
                comment: format!(
                    "no foreign key{one_each}{}; delete{detach} or keep",
                    self.size(table)
                ),
            };
            rules.push((rule, is_direct));
        }
        rules
    }

    /// Which of the user's ids a column seems to hold, if any. A type that fits neither is no reference.
    fn user_target(&self, table: &Table, column: &Column) -> Option<TargetGuess> {
        let of_column = self
            .counts
            .iter()
            .find(|(other, named, _)| other.id == table.id && named.number == column.number);
        let counts = of_column.map(|(_, _, counts)| *counts).unwrap_or_default();
        let clerk_id = || TargetGuess::Known("user.clerk_id".to_owned());
        if counts.clerk_ids > 0 {
            return Some(clerk_id());
        }
        if !names_a_user(&column.name) {
            return None;
        }
        let Some(users) = self.users else {
            // Values that are no Clerk ids belong to another system.
            return (column.family.is_text() && counts.looked == 0).then(clerk_id);
        };
        let key = users.key();
        let id = key.first()?;
        let one_id = matches!(guess::clerk_id(users), super::sketch::ClerkIdGuess::Id);
        let user_id = TargetGuess::Known("user.id".to_owned());
        match (column.family == id.family, column.family.is_text()) {
            (true, _) if one_id => Some(user_id),
            (true, true) if column.name.to_lowercase().contains("clerk") => Some(clerk_id()),
            (true, true) => Some(TargetGuess::EitherId),
            (true, false) => Some(user_id),
            (false, true) => Some(clerk_id()),
            (false, false) => None,
        }
    }

    /// What an id beside a type may point at: one of the tables that something is erased of.
    fn polymorphic_target(&self, table: &Table, column: &Column) -> Option<TargetGuess> {
        let columns = table.columns.iter();
        let names: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
        let label = type_beside(&column.name, &names)?;
        let mut parents = self
            .tables
            .iter()
            .filter(|parent| self.erased.contains(&parent.id) && parent.id != table.id);
        let example = parents.find_map(|parent| match parent.key()[..] {
            [key] if !self.is_users(parent) => {
                Some(format!("{}.{}", self.sections[&parent.id], key.name))
            }
            _ => None,
        });
        Some(TargetGuess::Polymorphic {
            label: label.to_owned(),
            example: example?,
        })
    }

    /// The row that a column is named after, as the value of `to`.
    fn row_target(&self, table: &Table, column: &Column) -> Option<String> {
        let mut parents = self
            .tables
            .iter()
            .filter(|parent| self.erased.contains(&parent.id) && !self.is_users(parent));
        let found = parents.find_map(|parent| {
            let key = parent.key();
            let [key] = key[..] else {
                return None;
            };
            let is_itself = parent.id == table.id && key.number == column.number;
            let fits = key.base_type == column.base_type && !is_itself;
            let named = names_a_row(&column.name, &default_type_name(&parent.name));
            (fits && named).then_some((parent, key))
        });
        found.map(|(parent, key)| format!("{}.{}", self.sections[&parent.id], key.name))
    }
}

/// A type name, if the default one is taken already.
fn free_type(table: &Table, taken: &mut BTreeSet<String>) -> Option<String> {
    let default = default_type_name(&table.name);
    if taken.insert(default.clone()) {
        return None;
    }
    let is_plain = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-';
    // What a file may give is shorter than what a table may be called.
    let plain: String = default.chars().filter(is_plain).take(MAX_STEM).collect();
    let mut numbered = (2..).map(|number| match plain.as_str() {
        "" => format!("table-{number}"),
        plain => format!("{plain}-{number}"),
    });
    numbered.find(|name| taken.insert(name.clone()))
}

//! Finds the names of a map in a catalog.

use super::bound::{
    BindProblem, BoundChanges, BoundMap, BoundObject, BoundTable, BoundUser, Parent, Reference,
};
use crate::map::catalog::{Catalog, Column, Edge, Table};
use crate::map::format::{Changes, Constant, ErasureMap, MappedTable, Rule, Target};

/// Puts a map and a catalog together.
#[must_use]
pub fn bind<'c>(map: &'c ErasureMap, catalog: &'c Catalog) -> BoundMap<'c> {
    let mut binder = Binder {
        map,
        catalog,
        edges: catalog.foreign_keys().collect(),
        problems: Vec::new(),
    };
    let tables: Vec<BoundTable<'c>> = map
        .all_tables()
        .filter_map(|mapped| binder.table(mapped))
        .collect();
    let user = binder.user(&tables);
    let mut references = Vec::new();
    for (place, table) in tables.iter().enumerate() {
        for rule in &table.mapped.rules {
            binder.rule(place, rule, &tables, user, &mut references);
        }
    }
    BoundMap {
        map,
        catalog,
        tables,
        user,
        references,
        edges: binder.edges,
        problems: binder.problems,
    }
}

struct Binder<'c> {
    map: &'c ErasureMap,
    catalog: &'c Catalog,
    edges: Vec<Edge<'c>>,
    problems: Vec<BindProblem>,
}

impl<'c> Binder<'c> {
    fn table(&mut self, mapped: &'c MappedTable) -> Option<BoundTable<'c>> {
        let name = &mapped.name;
        let Some(table) = self.catalog.find(&name.schema, &name.name) else {
            self.problems.push(BindProblem::MissingTable {
                line: mapped.line,
                name: name.clone(),
            });
            return None;
        };
        let soft_delete = &mapped.soft_delete;
        let mut optional = |column: &Option<String>| {
            let column = column.as_ref()?;
            self.column(mapped, table, column, mapped.line)
        };
        let (deleted_at, deleted_by) = (optional(&soft_delete.at), optional(&soft_delete.by));
        let flag = optional(&soft_delete.flag);
        let objects = mapped.objects.iter().filter_map(|source| {
            Some(BoundObject {
                source,
                column: self.column(mapped, table, &source.column, source.line)?,
                bucket: self.map.bucket(&source.bucket)?,
            })
        });
        Some(BoundTable {
            objects: objects.collect(),
            mapped,
            table,
            deleted_at,
            deleted_by,
            flag,
            is_root: self.map.user.table.as_ref() == Some(mapped),
        })
    }

    fn column(
        &mut self,
        mapped: &MappedTable,
        table: &'c Table,
        column: &str,
        line: usize,
    ) -> Option<&'c Column> {
        let found = table.column(column);
        if found.is_none() {
            self.problems.push(BindProblem::MissingColumn {
                line,
                name: mapped.name.clone(),
                column: column.to_owned(),
            });
        }
        found
    }

    fn user(&mut self, tables: &[BoundTable<'c>]) -> BoundUser<'c> {
        let user = &self.map.user;
        let Some(mapped) = &user.table else {
            return BoundUser::IdAlone;
        };
        let Some(root) = tables.iter().find(|table| table.is_root) else {
            return BoundUser::Unknown;
        };
        let id = match &user.id {
            Some(id) => self.column(mapped, root.table, id, user.line),
            None => match root.table.primary_key[..] {
                [number] => root.table.numbered(number),
                _ => {
                    self.problems.push(BindProblem::NoUserId {
                        line: user.line,
                        name: mapped.name.clone(),
                    });
                    None
                }
            },
        };
        let clerk_id = match &user.clerk_id {
            Some(clerk_id) => self.column(mapped, root.table, clerk_id, user.line),
            None => id,
        };
        if let Some(keep) = &user.keep {
            self.changes(mapped, root.table, &keep.changes, user.line);
        }
        match (id, clerk_id) {
            (Some(id), Some(clerk_id)) => BoundUser::Rows { id, clerk_id },
            _ => BoundUser::Unknown,
        }
    }

    fn changes(
        &mut self,
        mapped: &MappedTable,
        table: &'c Table,
        changes: &'c Changes,
        line: usize,
    ) -> BoundChanges<'c> {
        let mut columns = |names: &[String]| -> Vec<&'c Column> {
            let found = names
                .iter()
                .map(|name| self.column(mapped, table, name, line));
            found.flatten().collect()
        };
        let (clear, leave) = (columns(&changes.clear), columns(&changes.leave));
        BoundChanges {
            set: self.constants(mapped, table, &changes.set, line),
            clear,
            leave,
        }
    }

    fn constants(
        &mut self,
        mapped: &MappedTable,
        table: &'c Table,
        constants: &'c [(String, Constant)],
        line: usize,
    ) -> Vec<(&'c Column, &'c Constant)> {
        let found = constants.iter().filter_map(|(column, constant)| {
            Some((self.column(mapped, table, column, line)?, constant))
        });
        found.collect()
    }

    /// One rule is one reference for each foreign key that leads from its columns, or the one that it names itself.
    fn rule(
        &mut self,
        child: usize,
        rule: &'c Rule,
        tables: &[BoundTable<'c>],
        user: BoundUser<'c>,
        references: &mut Vec<Reference<'c>>,
    ) {
        let (mapped, table) = (tables[child].mapped, tables[child].table);
        let Some(columns) = self.columns_of(mapped, table, rule) else {
            return;
        };
        let changes = self.changes(mapped, table, &rule.changes, rule.line);
        let discriminator = self.constants(mapped, table, &rule.discriminator, rule.line);
        let edges: Vec<Edge<'c>> = self
            .edges
            .iter()
            .filter(|edge| edge.child.id == table.id && is_same(&edge.columns, &columns))
            .cloned()
            .collect();
        let mut add = |columns, parent, parent_columns, foreign_key| {
            references.push(Reference {
                child,
                columns,
                parent,
                parent_columns,
                rule,
                foreign_key,
                discriminator: discriminator.clone(),
                changes: changes.clone(),
            });
        };
        let Some(target) = &rule.target else {
            let mut found = false;
            for edge in edges {
                let parent = tables.iter().position(|one| one.table.id == edge.parent.id);
                if let Some(parent) = parent {
                    found = true;
                    let parent = by_value(parent, &edge.parent_columns, tables, user);
                    add(
                        edge.columns.clone(),
                        parent,
                        edge.parent_columns.clone(),
                        Some(edge),
                    );
                }
            }
            if !found {
                self.problems.push(BindProblem::NoTarget {
                    line: rule.line,
                    name: mapped.name.clone(),
                    columns: rule.columns.clone(),
                });
            }
            return;
        };
        let Some((parent, parent_columns)) = self.target(target, rule, tables, user) else {
            return;
        };
        let is_this = |edge: &&Edge<'c>| is_same(&edge.parent_columns, &parent_columns);
        let foreign_key = edges.iter().find(is_this).cloned();
        add(columns, parent, parent_columns, foreign_key);
    }

    /// `a,b` is a composite reference, unless a column has just this name.
    fn columns_of(
        &mut self,
        mapped: &MappedTable,
        table: &'c Table,
        rule: &Rule,
    ) -> Option<Vec<&'c Column>> {
        if let Some(column) = table.column(&rule.columns) {
            return Some(vec![column]);
        }
        let names = rule.columns.split(',').map(str::trim);
        let columns: Vec<_> = names
            .map(|name| self.column(mapped, table, name, rule.line))
            .collect();
        columns.into_iter().collect()
    }

    fn target(
        &mut self,
        target: &Target,
        rule: &Rule,
        tables: &[BoundTable<'c>],
        user: BoundUser<'c>,
    ) -> Option<(Parent, Vec<&'c Column>)> {
        let (section, column) = match (target, user) {
            (Target::UserId, BoundUser::Rows { id, .. }) => {
                return Some((Parent::UserId, vec![id]));
            }
            (Target::ClerkId, BoundUser::Rows { clerk_id, .. }) => {
                return Some((Parent::ClerkId, vec![clerk_id]));
            }
            (Target::UserId | Target::ClerkId, BoundUser::IdAlone) => {
                return Some((Parent::ClerkId, Vec::new()));
            }
            (Target::UserId | Target::ClerkId, BoundUser::Unknown) => return None,
            (Target::Column { section, column }, _) => (section, column),
        };
        let place = tables
            .iter()
            .position(|table| table.mapped.section == *section)?;
        let parent = &tables[place];
        let column = self.column(parent.mapped, parent.table, column, rule.line)?;
        Some((by_value(place, &[column], tables, user), vec![column]))
    }
}

/// A reference to the user's id is followed by the value of the id, so that it is found when the row is gone.
fn by_value(
    place: usize,
    columns: &[&Column],
    tables: &[BoundTable<'_>],
    user: BoundUser<'_>,
) -> Parent {
    if let (true, BoundUser::Rows { id, clerk_id }, [column]) =
        (tables[place].is_root, user, columns)
    {
        if column.number == id.number {
            return Parent::UserId;
        }
        if column.number == clerk_id.number {
            return Parent::ClerkId;
        }
    }
    Parent::Row(place)
}

fn is_same(some: &[&Column], others: &[&Column]) -> bool {
    some.len() == others.len()
        && some
            .iter()
            .all(|one| others.iter().any(|other| other.number == one.number))
}

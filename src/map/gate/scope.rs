//! What the gate looks at: which tables and columns the map already speaks of, and which it ignores.

use std::collections::BTreeSet;

use crate::map::bind::{BoundMap, BoundUser, Parent, Reached, Reference, reach};
use crate::map::catalog::{Catalog, Column, Table};
use crate::map::format::Reason;

/// Tables of migration tools; they hold nothing of a user.
const MIGRATION_TABLES: &[&str] = &[
    "_prisma_migrations",
    "__drizzle_migrations",
    "__EFMigrationsHistory",
    "_sqlx_migrations",
    "SequelizeMeta",
    "alembic_version",
    "ar_internal_metadata",
    "databasechangelog",
    "databasechangeloglock",
    "django_migrations",
    "flyway_schema_history",
    "goose_db_version",
    "knex_migrations",
    "knex_migrations_lock",
    "pgmigrations",
    "schema_migrations",
    "typeorm_metadata",
];

/// A map in a database, with what the gate derives from the two.
#[derive(Debug)]
pub struct Scope<'c> {
    pub map: &'c BoundMap<'c>,
    pub reached: Reached,
    covered: BTreeSet<(i64, i16)>,
    ignored_tables: BTreeSet<i64>,
    ignored_columns: BTreeSet<(i64, i16)>,
    /// Entries of `[ignore]` that match nothing.
    pub(super) stale: Vec<&'c Reason>,
}

impl<'c> Scope<'c> {
    #[must_use]
    pub fn of(map: &'c BoundMap<'c>) -> Self {
        let mut scope = Self {
            map,
            reached: reach(map),
            covered: covered(map),
            ignored_tables: BTreeSet::new(),
            ignored_columns: BTreeSet::new(),
            stale: Vec::new(),
        };
        for reason in &map.map.ignored {
            match find(map.catalog, &map.map.schema, &reason.key) {
                Some((table, None)) => {
                    scope.ignored_tables.insert(table.id);
                }
                Some((table, Some(column))) => {
                    scope.ignored_columns.insert((table.id, column.number));
                }
                None => scope.stale.push(reason),
            }
        }
        scope
    }

    /// The tables that the map may have to speak of: no partitions, no migration tool's, none that is ignored.
    pub fn tables(&self) -> impl Iterator<Item = &'c Table> {
        self.map.catalog.tables.iter().filter(|table| {
            !table.is_partition
                && !self.ignored_tables.contains(&table.id)
                && !MIGRATION_TABLES.contains(&table.name.as_str())
        })
    }

    /// Whether the map speaks of a column already, or ignores it.
    #[must_use]
    pub fn is_settled(&self, table: &Table, column: &Column) -> bool {
        let place = (table.id, column.number);
        self.covered.contains(&place)
            || self.ignored_columns.contains(&place)
            || self.ignored_tables.contains(&table.id)
    }

    /// Whether rows that a reference points at are ever erased.
    #[must_use]
    pub fn applies(&self, reference: &Reference<'_>) -> bool {
        match reference.parent {
            Parent::UserId | Parent::ClerkId => true,
            Parent::Row(place) => self.reached.contains(self.map.tables[place].table),
        }
    }

    /// How the map writes a column's name.
    #[must_use]
    pub fn place(&self, table: &Table, column: &Column) -> String {
        format!("{}.{}", self.map.name_of(table), column.name)
    }

    /// How the map writes a reference's name.
    #[must_use]
    pub fn place_of(&self, table: &Table, columns: &[&Column]) -> String {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        format!("{}.{}", self.map.name_of(table), names.join(","))
    }
}

/// The columns that the map names.
fn covered(map: &BoundMap<'_>) -> BTreeSet<(i64, i16)> {
    let mut covered = BTreeSet::new();
    for table in &map.tables {
        let optional = [table.deleted_at, table.deleted_by, table.flag];
        let objects = table.objects.iter().map(|object| object.column);
        for column in optional.into_iter().flatten().chain(objects) {
            covered.insert((table.table.id, column.number));
        }
    }
    if let (Some(root), BoundUser::Rows { id, clerk_id }) = (map.tables.first(), map.user) {
        covered.insert((root.table.id, id.number));
        covered.insert((root.table.id, clerk_id.number));
        let kept = map.kept_user();
        let changed = |column: &&Column| {
            kept.is_some_and(|kept| kept.changes(&column.name) || kept.leave.contains(&column.name))
        };
        let kept = root.table.columns.iter().filter(changed);
        covered.extend(kept.map(|column| (root.table.id, column.number)));
    }
    for reference in &map.references {
        let id = map.tables[reference.child].table.id;
        let changes = &reference.changes;
        let discriminator = reference.discriminator.iter().map(|(column, _)| *column);
        let set = changes.set.iter().map(|(column, _)| *column);
        let cleared = changes.clear.iter().chain(&changes.leave).copied();
        let columns = reference.columns.iter().copied();
        let all = columns.chain(discriminator).chain(set).chain(cleared);
        covered.extend(all.map(|column| (id, column.number)));
    }
    covered
}

/// The table or column that a key of `[ignore]` means: a table first, a column second.
pub(super) fn find<'c>(
    catalog: &'c Catalog,
    schema: &str,
    key: &str,
) -> Option<(&'c Table, Option<&'c Column>)> {
    if let Some(table) = find_table(catalog, schema, key) {
        return Some((table, None));
    }
    key.match_indices('.').find_map(|(dot, _)| {
        let table = find_table(catalog, schema, &key[..dot])?;
        Some((table, Some(table.column(&key[dot + 1..])?)))
    })
}

fn find_table<'c>(catalog: &'c Catalog, schema: &str, name: &str) -> Option<&'c Table> {
    let in_schema = |(dot, _): (usize, &str)| catalog.find(&name[..dot], &name[dot + 1..]);
    catalog
        .find(schema, name)
        .or_else(|| name.match_indices('.').find_map(in_schema))
}

//! What a map means in one database.

use crate::map::catalog::{Catalog, Column, Edge, Table};
use crate::map::format::{
    Bucket, Changes, Constant, ErasureMap, MappedTable, ObjectSource, Rule, TableName,
};

/// The flag of a soft delete in the built-in tables. The application's own tables need not have it.
const BUILT_IN_FLAG: &str = "is_deleted";

/// A map in one database.
#[derive(Debug)]
pub struct BoundMap<'c> {
    pub map: &'c ErasureMap,
    pub catalog: &'c Catalog,
    /// The user's table first, if there is one.
    pub tables: Vec<BoundTable<'c>>,
    pub user: BoundUser<'c>,
    pub references: Vec<Reference<'c>>,
    /// Every foreign key between the application's tables.
    pub edges: Vec<Edge<'c>>,
    pub problems: Vec<BindProblem>,
}

/// What a user is in the database.
#[derive(Debug, Clone, Copy)]
pub enum BoundUser<'c> {
    /// Rows of the first table: what others point at, and Clerk's id.
    Rows {
        id: &'c Column,
        clerk_id: &'c Column,
    },
    /// The Clerk id alone.
    IdAlone,
    /// The map names a table or column that is not there.
    Unknown,
}

/// A table of the map.
#[derive(Debug)]
pub struct BoundTable<'c> {
    pub mapped: &'c MappedTable,
    pub table: &'c Table,
    pub deleted_at: Option<&'c Column>,
    pub deleted_by: Option<&'c Column>,
    pub flag: Option<&'c Column>,
    pub objects: Vec<BoundObject<'c>>,
    pub is_root: bool,
}

/// A column that names objects.
#[derive(Debug, Clone, Copy)]
pub struct BoundObject<'c> {
    pub source: &'c ObjectSource,
    pub column: &'c Column,
    pub bucket: &'c Bucket,
}

/// What a reference points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parent {
    /// The user's id, by its value: found even if the user's row is gone.
    UserId,
    /// Clerk's id, by its value.
    ClerkId,
    /// A row of a table, by its place in [`BoundMap::tables`].
    Row(usize),
}

impl Parent {
    /// Whether the reference names a user itself.
    #[must_use]
    pub fn is_user(&self, map: &BoundMap<'_>) -> bool {
        match self {
            Self::UserId | Self::ClerkId => true,
            Self::Row(place) => map.tables.get(*place).is_some_and(|table| table.is_root),
        }
    }
}

/// A reference with its rule.
#[derive(Debug, Clone)]
pub struct Reference<'c> {
    /// Its place in [`BoundMap::tables`].
    pub child: usize,
    pub columns: Vec<&'c Column>,
    pub parent: Parent,
    /// In the order of `columns`. For a user without a table there are none.
    pub parent_columns: Vec<&'c Column>,
    pub rule: &'c Rule,
    pub foreign_key: Option<Edge<'c>>,
    pub discriminator: Vec<(&'c Column, &'c Constant)>,
    pub changes: BoundChanges<'c>,
}

/// What becomes of the columns of a row that stays.
#[derive(Debug, Clone, Default)]
pub struct BoundChanges<'c> {
    pub set: Vec<(&'c Column, &'c Constant)>,
    pub clear: Vec<&'c Column>,
    pub leave: Vec<&'c Column>,
}

impl<'c> BoundChanges<'c> {
    /// Whether a column gets another value.
    #[must_use]
    pub fn changes(&self, column: &Column) -> bool {
        self.clear.iter().any(|one| one.number == column.number)
            || self.set.iter().any(|(one, _)| one.number == column.number)
    }

    /// Whether the map says what becomes of a column.
    #[must_use]
    pub fn names(&self, column: &Column) -> bool {
        self.changes(column) || self.leave.iter().any(|one| one.number == column.number)
    }
}

/// A name of the file that is not in the catalog, or a rule that means nothing there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindProblem {
    MissingTable {
        line: usize,
        name: TableName,
    },
    MissingColumn {
        line: usize,
        name: TableName,
        column: String,
    },
    /// The user's table has no primary key of one column, and the map names no `id`.
    NoUserId {
        line: usize,
        name: TableName,
    },
    /// Neither a foreign key leads from the columns to a table of the map, nor does the rule say where to.
    NoTarget {
        line: usize,
        name: TableName,
        columns: String,
    },
}

impl<'c> BoundMap<'c> {
    /// The problems with which nothing can be compiled. A rule that matches nothing is stale, not wrong: an erasure is
    /// the same without it. The generated flags of the built-in tables may be missing.
    pub fn faults(&self) -> impl Iterator<Item = &BindProblem> {
        let is_built_in = self.map.is_built_in();
        self.problems.iter().filter(move |problem| match problem {
            BindProblem::NoTarget { .. } => false,
            BindProblem::MissingColumn { column, .. } => !(is_built_in && column == BUILT_IN_FLAG),
            _ => true,
        })
    }

    /// The place of a table of the catalog.
    #[must_use]
    pub fn place_of(&self, table: &Table) -> Option<usize> {
        self.tables.iter().position(|one| one.table.id == table.id)
    }

    /// How the map writes a table's name.
    #[must_use]
    pub fn name_of(&self, table: &Table) -> String {
        if table.schema == self.map.schema {
            table.name.clone()
        } else {
            format!("{}.{}", table.schema, table.name)
        }
    }

    /// What becomes of the user's own row if it stays.
    #[must_use]
    pub fn kept_user(&self) -> Option<&'c Changes> {
        self.map.user.keep.as_ref().map(|keep| &keep.changes)
    }

    /// Whether the columns that a reference points at keep their values when the user is erased, because the user's
    /// row stays.
    #[must_use]
    pub fn parent_stays(&self, reference: &Reference<'_>) -> bool {
        let Some(changes) = self.kept_user() else {
            return false;
        };
        reference.parent.is_user(self)
            && !reference.parent_columns.is_empty()
            && reference
                .parent_columns
                .iter()
                .all(|column| !changes.changes(&column.name))
    }
}

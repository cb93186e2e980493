//! One random application as plain data: its tables, what the map says of them, its rows, and who is erased. Tables,
//! columns and rows are known by their places, so that a case can be made smaller.

use std::collections::BTreeMap;

use serde_json::Value;

/// A table by its place in [`Case::tables`].
pub type TableNo = usize;
/// A column by its place in [`Table::columns`].
pub type ColumnNo = usize;
/// The values of a row as JSON has them, one for each column.
pub type Row = Vec<Value>;

#[derive(Debug, Clone)]
pub struct Case {
    /// If the application keeps a table of users, it is the first.
    pub tables: Vec<Table>,
    pub user: UserModel,
    pub buckets: Vec<Bucket>,
    /// By table.
    pub rows: Vec<Vec<Row>>,
    /// The Clerk id of the user who is erased.
    pub erased: String,
}

#[derive(Debug, Clone)]
pub enum UserModel {
    /// There is no table of users.
    IdAlone,
    /// The first table has these columns; they may be one.
    Rows {
        id: ColumnNo,
        clerk_id: ColumnNo,
        /// The row stays, with these changes.
        keep: Option<Keep>,
    },
}

#[derive(Debug, Clone)]
pub struct Keep {
    pub why: String,
    pub changes: Changes,
}

#[derive(Debug, Clone)]
pub struct Bucket {
    pub alias: String,
    /// `S3_BUCKET` if not given.
    pub name: Option<String>,
    /// As the file has them.
    pub urls: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Table {
    pub schema: String,
    pub name: String,
    pub columns: Vec<Column>,
    /// The primary key; empty without one.
    pub key: Vec<ColumnNo>,
    /// Columns that are unique alone.
    pub uniques: Vec<ColumnNo>,
    pub deleted_at: Option<ColumnNo>,
    pub deleted_by: Option<ColumnNo>,
    pub flag: Option<ColumnNo>,
    pub references: Vec<Reference>,
    pub objects: Vec<ObjectColumn>,
    /// Whether the map has a section for it.
    pub is_mapped: bool,
    pub is_api: bool,
    pub is_partitioned: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    pub nullable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Uuid,
    Bigint,
    Integer,
    Text,
    Varchar,
    Texts,
    Jsonb,
    Json,
    Timestamp,
    Boolean,
    /// True where this column is not null.
    Generated(ColumnNo),
}

/// A reference from columns of a table.
#[derive(Debug, Clone)]
pub struct Reference {
    pub columns: Vec<ColumnNo>,
    pub target: Target,
    /// A column and the value that it has where this reference holds.
    pub discriminator: Option<(ColumnNo, String)>,
    /// What the database does on a delete, if there is a foreign key.
    pub foreign_key: Option<OnDelete>,
    pub rule: Option<Rule>,
}

/// What a reference points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The Clerk id, of which there is no table.
    ClerkId,
    Columns {
        table: TableNo,
        /// In the order of the reference's columns.
        columns: Vec<ColumnNo>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDelete {
    NoAction,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    Delete,
    Detach,
    Keep,
}

impl Action {
    pub fn word(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Detach => "detach",
            Self::Keep => "keep",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Rule {
    pub action: Action,
    pub takes_others: bool,
    /// Of a row that is kept.
    pub why: String,
    pub holds: bool,
    pub changes: Changes,
}

#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// A string of them may have `{pk}` in it.
    pub set: BTreeMap<ColumnNo, Value>,
    pub clear: Vec<ColumnNo>,
    pub leave: Vec<ColumnNo>,
}

impl Changes {
    pub fn changes(&self, column: ColumnNo) -> bool {
        self.set.contains_key(&column) || self.clear.contains(&column)
    }
}

#[derive(Debug, Clone)]
pub struct ObjectColumn {
    pub column: ColumnNo,
    pub path: Option<&'static str>,
    /// Its place in [`Case::buckets`].
    pub bucket: usize,
    /// `any`, or a prefix as the file has it.
    pub within: String,
    /// Whether a row that stays loses its object.
    pub erased_of_kept: bool,
}

impl Case {
    /// The names of the columns of users that hold the two ids.
    pub fn user_columns(&self) -> Option<(ColumnNo, ColumnNo)> {
        match self.user {
            UserModel::IdAlone => None,
            UserModel::Rows { id, clerk_id, .. } => Some((id, clerk_id)),
        }
    }

    pub fn has_users(&self) -> bool {
        self.user_columns().is_some()
    }

    pub fn kept_user(&self) -> Option<&Keep> {
        match &self.user {
            UserModel::IdAlone => None,
            UserModel::Rows { keep, .. } => keep.as_ref(),
        }
    }

    pub fn is_users(&self, table: TableNo) -> bool {
        table == 0 && self.has_users()
    }

    /// Whether a reference names a user itself.
    pub fn names_user(&self, reference: &Reference) -> bool {
        match reference.target {
            Target::ClerkId => true,
            Target::Columns { table, .. } => self.is_users(table),
        }
    }

    /// The name of a table's type.
    pub fn type_name(&self, table: TableNo) -> String {
        match self.is_users(table) {
            true => "user".to_owned(),
            false => format!("t{table}"),
        }
    }

    /// Whether the value that a reference points at stays where it is, because the user's row stays.
    pub fn parent_stays(&self, reference: &Reference) -> bool {
        let (Some(keep), Target::Columns { table: 0, columns }) =
            (self.kept_user(), &reference.target)
        else {
            return false;
        };
        columns.iter().all(|column| !keep.changes.changes(*column))
    }

    /// The name of a bucket in the store; two aliases may have the same.
    pub fn bucket_name(&self, bucket: usize) -> &str {
        self.buckets[bucket].name.as_deref().unwrap_or_default()
    }
}

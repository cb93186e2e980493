//! The catalog in types. Everything that is emitted into SQL comes from here, quoted by the server.

use std::collections::HashMap;

/// A snapshot of the catalog.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    pub server: Server,
    /// By schema and name.
    pub tables: Vec<Table>,
    pub(super) by_id: HashMap<i64, usize>,
}

/// The server, the database and the role that looked.
#[derive(Debug, Clone, Default)]
pub struct Server {
    pub version: String,
    pub database: String,
    pub role: String,
}

/// A table, a partitioned table or a foreign table.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its oid.
    pub id: i64,
    pub schema: String,
    pub name: String,
    /// Its name with its schema, quoted where it must be.
    pub sql: String,
    pub kind: TableKind,
    pub is_partition: bool,
    /// The table that it is a partition of, or inherits from.
    pub parent_id: Option<i64>,
    /// An estimate.
    pub rows: i64,
    pub has_row_security: bool,
    /// Whether row level security hides rows from this role.
    pub hides_rows: bool,
    pub columns: Vec<Column>,
    /// The columns of the primary key; empty without one.
    pub primary_key: Vec<i16>,
    pub foreign_keys: Vec<ForeignKey>,
    pub indexes: Vec<Index>,
    pub hooks: Vec<Hook>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    Plain,
    Partitioned,
    Foreign,
}

/// A column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its attnum.
    pub number: i16,
    pub name: String,
    /// Its name, quoted where it must be.
    pub sql: String,
    /// Its type, with its schema unless it is one of PostgreSQL's own.
    pub type_sql: String,
    /// The name of the type; of a domain the type that it is made of. An array's begins with `_`.
    pub base_type: String,
    /// The same as SQL, without a length: what a variable is declared with. A domain might refuse null.
    pub base_sql: String,
    pub family: TypeFamily,
    pub not_null: bool,
    /// Whether it cannot be written.
    pub is_generated: bool,
    /// The type's equality, such as `operator(pg_catalog.=)`.
    pub equals: String,
}

/// How values of a type are compared and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeFamily {
    /// text, varchar, char and name.
    Text,
    /// citext and other strings.
    OtherText,
    TextArray,
    Json,
    /// int2, int4 and int8.
    Integer,
    Uuid,
    Boolean,
    Timestamp,
    /// inet and xml: they hold what people wrote or where they were.
    Personal,
    /// Its text depends on settings: float, bytea, interval, money, time with time zone.
    Unstable,
    Other,
}

impl TypeFamily {
    pub(super) fn of(base_type: &str, category: &str, is_enum: bool) -> Self {
        match base_type {
            "text" | "varchar" | "bpchar" | "name" => Self::Text,
            "_text" | "_varchar" | "_bpchar" | "_citext" => Self::TextArray,
            "json" | "jsonb" => Self::Json,
            "int2" | "int4" | "int8" => Self::Integer,
            "uuid" => Self::Uuid,
            "bool" => Self::Boolean,
            "timestamptz" | "timestamp" | "date" => Self::Timestamp,
            "inet" | "cidr" | "xml" => Self::Personal,
            "float4" | "float8" | "bytea" | "interval" | "money" | "timetz" => Self::Unstable,
            _ if category == "S" && !is_enum => Self::OtherText,
            _ => Self::Other,
        }
    }

    /// Whether a value is a string.
    #[must_use]
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::OtherText)
    }

    /// Whether its text is the same under all settings, so that it can travel as a row's id.
    #[must_use]
    pub const fn is_stable(self) -> bool {
        !matches!(self, Self::Timestamp | Self::Unstable)
    }

    /// Whether a kept row may hold what a person wrote in it.
    #[must_use]
    pub const fn may_hold_personal_data(self) -> bool {
        matches!(
            self,
            Self::Text | Self::OtherText | Self::TextArray | Self::Json | Self::Personal
        )
    }

    /// Whether ids of rows and of users are of such a type.
    #[must_use]
    pub const fn may_be_an_id(self) -> bool {
        matches!(
            self,
            Self::Text | Self::OtherText | Self::Integer | Self::Uuid
        )
    }
}

/// A foreign key.
#[derive(Debug, Clone)]
pub struct ForeignKey {
    pub name: String,
    pub columns: Vec<i16>,
    pub parent_id: i64,
    /// In the order of `columns`.
    pub parent_columns: Vec<i16>,
    pub on_delete: OnDelete,
    /// The equality of each pair, parent on the left.
    pub equals: Vec<String>,
}

/// What the database does when the parent's row is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDelete {
    NoAction,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

impl OnDelete {
    pub(super) fn of(code: &str) -> Self {
        match code {
            "r" => Self::Restrict,
            "c" => Self::Cascade,
            "n" => Self::SetNull,
            "d" => Self::SetDefault,
            _ => Self::NoAction,
        }
    }

    /// As SQL has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoAction => "NO ACTION",
            Self::Restrict => "RESTRICT",
            Self::Cascade => "CASCADE",
            Self::SetNull => "SET NULL",
            Self::SetDefault => "SET DEFAULT",
        }
    }
}

/// A valid index.
#[derive(Debug, Clone)]
pub struct Index {
    pub method: String,
    pub is_unique: bool,
    /// Its key; 0 is an expression.
    pub columns: Vec<i16>,
    /// Of a partial index.
    pub condition: Option<String>,
}

/// What the application does when a row is deleted.
#[derive(Debug, Clone)]
pub struct Hook {
    pub name: String,
    pub kind: HookKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookKind {
    /// It can keep the row without an error.
    BeforeDelete,
    AfterDelete,
    Rule,
    /// A materialised view that reads the table.
    Copy,
}

impl Catalog {
    #[must_use]
    pub fn table(&self, id: i64) -> Option<&Table> {
        self.tables.get(*self.by_id.get(&id)?)
    }

    #[must_use]
    pub fn find(&self, schema: &str, name: &str) -> Option<&Table> {
        self.tables
            .iter()
            .find(|table| table.schema == schema && table.name == name)
    }

    /// The partitioned table at the top of a partition; of any other table the table itself.
    #[must_use]
    pub fn top<'c>(&'c self, table: &'c Table) -> &'c Table {
        let mut top = table;
        while top.is_partition
            && let Some(parent) = top.parent_id.and_then(|id| self.table(id))
        {
            top = parent;
        }
        top
    }

    /// Every foreign key between the application's tables. That of a single partition counts as one of the whole
    /// partitioned table, if the columns are the same.
    pub fn foreign_keys(&self) -> impl Iterator<Item = Edge<'_>> {
        let of_table = self.tables.iter().flat_map(|table| {
            let keys = table.foreign_keys.iter();
            keys.map(move |key| (table, key))
        });
        of_table.filter_map(move |(table, key)| self.edge(table.id, key))
    }

    fn edge<'c>(&'c self, child_id: i64, key: &'c ForeignKey) -> Option<Edge<'c>> {
        let (child, parent) = (self.table(child_id)?, self.table(key.parent_id)?);
        let (top_child, top_parent) = (self.top(child), self.top(parent));
        Some(Edge {
            child: top_child,
            columns: top_child.same_columns(child, &key.columns)?,
            parent: top_parent,
            parent_columns: top_parent.same_columns(parent, &key.parent_columns)?,
            key,
        })
    }
}

/// A foreign key with what it connects.
#[derive(Debug, Clone)]
pub struct Edge<'c> {
    pub child: &'c Table,
    pub columns: Vec<&'c Column>,
    pub parent: &'c Table,
    pub parent_columns: Vec<&'c Column>,
    pub key: &'c ForeignKey,
}

impl Table {
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    #[must_use]
    pub fn numbered(&self, number: i16) -> Option<&Column> {
        self.columns.iter().find(|column| column.number == number)
    }

    /// The columns of this table that have the names of those of another.
    fn same_columns(&self, other: &Self, numbers: &[i16]) -> Option<Vec<&Column>> {
        let same = |number: &i16| self.column(&other.numbered(*number)?.name);
        numbers.iter().map(same).collect()
    }

    /// What identifies a row: the primary key, or else a unique index over columns that are never null.
    #[must_use]
    pub fn key(&self) -> Vec<&Column> {
        let columns = |numbers: &[i16]| -> Option<Vec<&Column>> {
            numbers
                .iter()
                .map(|number| self.numbered(*number))
                .collect()
        };
        let unique = self
            .indexes
            .iter()
            .filter(|index| index.is_unique && index.condition.is_none())
            .filter_map(|index| columns(&index.columns))
            .find(|columns| columns.iter().all(|column| column.not_null));
        match columns(&self.primary_key) {
            Some(key) if !key.is_empty() => key,
            _ => unique.unwrap_or_default(),
        }
    }

    /// Whether values of this column alone are unique.
    #[must_use]
    pub fn is_unique(&self, column: &Column) -> bool {
        self.primary_key == [column.number]
            || self
                .indexes
                .iter()
                .any(|index| index.is_unique && index.columns == [column.number])
    }

    /// Whether rows can be found by these columns without reading the whole table.
    #[must_use]
    pub fn has_index_on(&self, columns: &[&Column]) -> bool {
        self.indexes.iter().any(|index| {
            let leading = index.columns.iter().take(columns.len());
            let leading: Vec<i16> = leading.copied().collect();
            let has_all = columns
                .iter()
                .all(|column| leading.contains(&column.number));
            let reads_all = index.condition.as_deref().is_none_or(|condition| {
                let not_null =
                    |column: &&Column| condition == format!("({} IS NOT NULL)", column.sql);
                columns.iter().any(not_null)
            });
            has_all && reads_all && ["btree", "hash", "gin"].contains(&index.method.as_str())
        })
    }
}

//! What a map says, in types: everything that leaves this folder is valid as far as the file alone can tell.

use std::fmt;

/// A whole map.
#[derive(Debug, Clone, PartialEq)]
pub struct ErasureMap {
    /// SHA-256 of the file's text, in hexadecimal.
    pub digest: String,
    /// The schema of names without a dot.
    pub schema: String,
    pub gate: GateLevel,
    pub user: User,
    /// In the order of the file.
    pub tables: Vec<MappedTable>,
    pub buckets: Vec<Bucket>,
    pub ignored: Vec<Reason>,
    pub accepted: Vec<Reason>,
}

impl ErasureMap {
    /// The user's table, if the application has one, and then all others.
    pub fn all_tables(&self) -> impl Iterator<Item = &MappedTable> {
        self.user.table.iter().chain(&self.tables)
    }

    /// The bucket of an alias. The parser has checked that there is one.
    #[must_use]
    pub fn bucket(&self, alias: &str) -> Option<&Bucket> {
        self.buckets.iter().find(|bucket| bucket.alias == alias)
    }
}

/// How much the gate asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GateLevel {
    /// Foreign keys only.
    References,
    /// Also columns that look as if they named a user.
    Suspects,
    /// Also each table must be mapped or ignored.
    EveryTable,
}

/// A table's name as it stands in `pg_class`, in no quotes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    pub schema: String,
    pub name: String,
}

/// The root: what a user is.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// The line of `[user]`.
    pub line: usize,
    /// The table, with the references that it makes itself. Without one the Clerk id itself is the user.
    pub table: Option<MappedTable>,
    /// The column that others point at; the primary key if not given.
    pub id: Option<String>,
    /// The column with Clerk's id; the same as `id` if not given.
    pub clerk_id: Option<String>,
    /// A regular expression of PostgreSQL that a Clerk id must match.
    pub ids: String,
    /// Ids that may never be erased.
    pub never: Vec<String>,
    /// Why and how the row stays; without it the row is deleted.
    pub keep: Option<KeptUser>,
    pub late: Late,
}

/// How a user's row stays.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptUser {
    pub why: String,
    pub changes: Changes,
}

/// What happens when an erased user comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// A trigger refuses the row.
    Refuse,
    /// Reconciliation erases it again.
    Sweep,
}

/// A section `[table.X]`, or the user's table.
#[derive(Debug, Clone, PartialEq)]
pub struct MappedTable {
    pub line: usize,
    /// The key of the section.
    pub section: String,
    pub name: TableName,
    /// Its name in API, audit and receipt.
    pub type_name: String,
    pub soft_delete: SoftDelete,
    pub rules: Vec<Rule>,
    /// Whether a row may be deleted alone.
    pub is_api: bool,
    pub objects: Vec<ObjectSource>,
}

/// The columns of the soft delete; each is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SoftDelete {
    pub at: Option<String>,
    pub by: Option<String>,
    pub flag: Option<String>,
}

/// What happens to a row when the row that a reference points at is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    Delete,
    Detach,
    Keep,
}

impl Action {
    /// As it stands in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Detach => "detach",
            Self::Keep => "keep",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One rule of `on_erase`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub line: usize,
    /// The column, or several with commas between them, as in the file.
    pub columns: String,
    pub action: Action,
    /// What the column points at; without it the foreign key says so.
    pub target: Option<Target>,
    /// The columns that say which table a polymorphic reference means, with their values.
    pub discriminator: Vec<(String, Constant)>,
    /// Consent that rows of other people go along.
    pub takes_others: bool,
    pub why: Option<String>,
    /// Nothing may delete the row.
    pub holds: bool,
    pub changes: Changes,
}

/// What a reference without a foreign key points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    UserId,
    ClerkId,
    /// A column of a table of the map, by its section.
    Column {
        section: String,
        column: String,
    },
}

/// What becomes of the columns of a row that stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    pub set: Vec<(String, Constant)>,
    pub clear: Vec<String>,
    pub leave: Vec<String>,
}

impl Changes {
    /// Whether a column gets another value.
    #[must_use]
    pub fn changes(&self, column: &str) -> bool {
        self.clear.iter().any(|cleared| cleared == column)
            || self.set.iter().any(|(set, _)| set == column)
    }
}

/// A literal.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    /// In `set` it may have `{pk}` in it.
    Text(String),
    Whole(i64),
    Fraction(f64),
    Switch(bool),
}

impl fmt::Display for Constant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => formatter.write_str(text),
            Self::Whole(number) => number.fmt(formatter),
            Self::Fraction(number) => number.fmt(formatter),
            Self::Switch(switch) => switch.fmt(formatter),
        }
    }
}

/// A column that names objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectSource {
    pub line: usize,
    pub column: String,
    /// A jsonpath to strings.
    pub json: Option<String>,
    /// An alias of the map.
    pub bucket: String,
    pub within: Within,
    /// Whether the object of a kept row goes.
    pub erased_of_kept: bool,
}

/// Which keys may be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Within {
    Any,
    /// The prefix; it may have `{user.id}` or `{user.clerk_id}` in it.
    Prefix(String),
}

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    pub alias: String,
    /// `S3_BUCKET` if not given.
    pub name: Option<String>,
    pub bases: Vec<BaseUrl>,
}

/// A URL below which a bucket's objects are stored in columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    /// Scheme and authority in lower case, such as `https://cdn.acme.com`.
    pub origin: String,
    /// Begins and ends with a slash.
    pub path: String,
}

/// An entry of `[ignore]` or `[accept]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub line: usize,
    pub key: String,
    pub why: String,
}

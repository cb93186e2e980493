//! What the gate finds, in words that stay the same, so that other programs can rely on them.

use std::fmt;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Something to know.
    Note,
    /// The map does not say everything: an erasure would leave something.
    Incomplete,
    /// An erasure would fail, or would delete what it must not.
    Danger,
}

impl Severity {
    /// All, the worst first.
    pub const ALL: [Self; 3] = [Self::Danger, Self::Incomplete, Self::Note];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Incomplete => "incomplete",
            Self::Danger => "danger",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

macro_rules! codes {
    ($($variant:ident = $word:literal, $reason:literal;)*) => {
        /// What kind of finding it is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $(#[doc = $reason] $variant,)* }

        impl Code {
            /// All, in the order of the manual.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The stable word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// Why it matters.
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$variant => $reason,)* }
            }
        }
    };
}

codes! {
    NoRule = "no-rule",
        "A row that is erased is referenced from here, and the map does not say what becomes of the row that references it.";
    SuspectName = "suspect-name",
        "The column is named like a reference to a user or to a row that is erased, and has no foreign key.";
    SuspectValue = "suspect-value",
        "The column's statistics show values that belong to users or name objects.";
    UnmappedTable = "unmapped-table",
        "The map asks that each table is mapped or ignored with a reason.";
    StrayTable = "stray-table",
        "The schemas of Lethe are not searched for what belongs to a user, so an erasure would leave what this table holds.";
    WrongId = "wrong-id",
        "The rule would meet no row: the values are not those that it names.";
    Cascade = "cascade",
        "The database itself deletes rows that name objects, before anybody has read their keys; the objects stay for ever.";
    Others = "others",
        "Rows of other people would be deleted with the user's.";
    RowSecurity = "row-security",
        "Row level security hides rows from a role that it binds: they would not be erased, and their objects would count as unused.";
    Trigger = "trigger",
        "A trigger or rule on DELETE can keep the row without an error, or keep a copy of it.";
    Copy = "copy",
        "A materialised view holds what was erased until it is refreshed.";
    NotNull = "not-null",
        "The column does not take null, so the erasure would fail.";
    Unique = "unique",
        "The second kept row would violate the unique index, so the erasure would fail.";
    Generated = "generated",
        "PostgreSQL writes this column itself and refuses any other value.";
    ReferenceStays = "reference-stays",
        "The kept row would go on pointing at a row that is erased: the deletion of that row would fail or take the kept row along.";
    KeptColumn = "kept-column",
        "The row stays, and the column may hold what a person wrote or who a person is.";
    ColumnType = "column-type",
        "The column has a type that cannot be used so.";
    NoKey = "no-key",
        "A task names the rows whose objects it deletes by their key.";
    KeyType = "key-type",
        "The text of such a value depends on settings, so it cannot travel as a row's id.";
    TableKind = "table-kind",
        "Rows of such a table cannot be erased like those of a plain table.";
    Index = "index",
        "Without an index each step of an erasure reads the whole table.";
    MissingTable = "missing-table",
        "The map names a table that is not there.";
    MissingColumn = "missing-column",
        "The map names a column that is not there.";
    StaleRule = "stale-rule",
        "A rule that matches nothing is one that nobody reads again when the schema changes.";
    StaleIgnore = "stale-ignore",
        "The entry matches nothing any more.";
    StaleAccept = "stale-accept",
        "The entry accepts a finding that there is not.";
    NoUserId = "no-user-id",
        "The map does not say which column of the user's table others point at.";
    InvalidIds = "invalid-ids",
        "The pattern for Clerk ids cannot be used.";
    NotLooked = "not-looked",
        "Something could not be looked at, so it is not known whether it is complete.";
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub code: Code,
    pub severity: Severity,
    /// The table or column, as the map writes it.
    pub place: String,
    /// What was found, as a sentence.
    pub what: String,
    /// How to mend it; may have several lines.
    pub remedy: String,
    /// The line of the map, if one is to be changed.
    pub line: Option<usize>,
    /// The key of `[accept]` under which a person may accept it.
    pub accept: Option<String>,
}

impl Finding {
    pub(super) fn new(
        code: Code,
        severity: Severity,
        place: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity,
            place: place.into(),
            what: what.into(),
            remedy: remedy.into(),
            line: None,
            accept: None,
        }
    }

    pub(super) fn danger(
        code: Code,
        place: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(code, Severity::Danger, place, what, remedy)
    }

    pub(super) fn incomplete(
        code: Code,
        place: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(code, Severity::Incomplete, place, what, remedy)
    }

    pub(super) fn note(
        code: Code,
        place: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(code, Severity::Note, place, what, remedy)
    }

    pub(super) fn at(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    pub(super) fn acceptable(mut self, what: &str) -> Self {
        self.accept = Some(format!("{}: {what}", self.place));
        self
    }
}

//! What Lethe needs of the database: tables with the rights on them, and functions. Readiness and `lethe check`
//! both read this list, and a test compares it with the migrations.

/// sqlx's record of the migrations. It is not there if another tool applied them.
pub const RECORD: &str = "_sqlx_migrations";

/// The tables, each with the rights that `lethe serve` and `lethe worker` need on it.
pub const TABLES: &[(&str, &[&str])] = &[
    ("users", &["select", "update", "delete"]),
    ("collections", &["select", "update", "delete"]),
    ("samples", &["select", "update", "delete"]),
    ("sample_images", &["select", "update", "delete"]),
    ("user_tombstones", &["select", "insert"]),
    ("cleanup_tasks", &["select", "insert", "update", "delete"]),
    ("cleanup_workers", &["select", "insert", "update", "delete"]),
    ("cleanup_audit", &["select", "insert"]),
    ("cleanup_reconciliations", &["select", "update"]),
    ("webhook_events", &["select", "insert", "delete"]),
];

/// The functions, as `to_regprocedure` takes them. Those of triggers are not here: a right to execute them is
/// asked for when the trigger is made, not when it fires.
pub const FUNCTIONS: &[&str] = &[
    "lethe_lock_user(text,boolean)",
    "lethe_plan_user(bigint)",
    "lethe_delete_user(text,text)",
    "lethe_delete_sample(uuid,text,interval)",
    "lethe_delete_image(uuid,text,interval)",
    "lethe_protected_keys(text[])",
];

/// The names of the tables.
#[must_use]
pub fn table_names() -> Vec<String> {
    TABLES.iter().map(|(name, _)| (*name).to_owned()).collect()
}

/// The names of the functions.
#[must_use]
pub fn function_names() -> Vec<String> {
    FUNCTIONS.iter().map(|name| (*name).to_owned()).collect()
}

/// Every right on a table, as two lists of the same length: the table and the right. To read the record of
/// migrations is one of them.
#[must_use]
pub fn table_rights() -> (Vec<String>, Vec<String>) {
    TABLES
        .iter()
        .flat_map(|(table, rights)| rights.iter().map(|right| (*table, *right)))
        .chain([(RECORD, "select")])
        .map(|(table, right)| (table.to_owned(), right.to_owned()))
        .unzip()
}

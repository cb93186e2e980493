//! What Lethe needs of the database: tables with the rights on them, and functions. Readiness and `lethe check`
//! both read this list, and a test compares it with the migrations.

/// sqlx's record of the migrations. It is not there if another tool applied them.
pub const RECORD: &str = "lethe._sqlx_migrations";

/// The tables, each with the rights that `lethe serve` and `lethe worker` need on it.
pub const TABLES: &[(&str, &[&str])] = &[
    ("public.users", &["select", "update", "delete"]),
    ("public.collections", &["select", "update", "delete"]),
    ("public.samples", &["select", "update", "delete"]),
    ("public.sample_images", &["select", "update", "delete"]),
    ("lethe.user_tombstones", &["select", "insert"]),
    (
        "lethe.cleanup_tasks",
        &["select", "insert", "update", "delete"],
    ),
    (
        "lethe.cleanup_workers",
        &["select", "insert", "update", "delete"],
    ),
    ("lethe.cleanup_audit", &["select", "insert"]),
    ("lethe.cleanup_reconciliations", &["select", "update"]),
    ("lethe.webhook_events", &["select", "insert", "delete"]),
    ("lethe.settings", &["select"]),
    ("lethe.process_settings", &["select"]),
    ("lethe.erasure_slots", &["select"]),
];

/// The functions, as `to_regprocedure` takes them. Those of triggers are not here: a right to execute them is
/// asked for when the trigger is made, not when it fires.
pub const FUNCTIONS: &[&str] = &[
    "lethe.lock_user(text,boolean)",
    "lethe.plan_user(bigint)",
    "lethe.delete_user(text,text)",
    "lethe.delete_sample(uuid,text,interval)",
    "lethe.delete_image(uuid,text,interval)",
    "lethe.protected_keys(text[])",
    "lethe.configure(text,integer,interval,text)",
    "lethe.hold_reason()",
    "lethe.erasure_delay()",
    "lethe.pause(text,text)",
    "lethe.resume(text,text,integer)",
    "lethe.cancel_erasure(text,text,text)",
    "lethe.is_touched(lethe.cleanup_tasks)",
    "lethe.is_revived_by_cancel(uuid,timestamp with time zone)",
    "lethe.may_name_any_actor()",
    "lethe.check_actor(text)",
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

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
    ("lethe.user_tombstones", &["select"]),
    (
        "lethe.cleanup_tasks",
        &["select", "insert", "update", "delete"],
    ),
    ("lethe.finished_tasks", &["select"]),
    ("lethe.finished_tasks_other", &["select"]),
    ("lethe.tasks", &["select"]),
    (
        "lethe.cleanup_workers",
        &["select", "insert", "update", "delete"],
    ),
    ("lethe.cleanup_audit", &["select", "insert"]),
    ("lethe.audit", &["select"]),
    ("lethe.receipts", &["select"]),
    ("lethe.cleanup_reconciliations", &["select", "update"]),
    ("lethe.webhook_events", &["select", "insert", "delete"]),
];

/// The functions, as `to_regprocedure` takes them. Those of triggers are not here: a right to execute them is
/// asked for when the trigger is made, not when it fires.
pub const FUNCTIONS: &[&str] = &[
    "lethe.lock_user(text,boolean)",
    "lethe.delete_user(text,text)",
    "lethe.delete_sample(uuid,text,interval)",
    "lethe.delete_image(uuid,text,interval)",
    "lethe.erasure_of(text)",
    "lethe.plan_user(bigint,integer)",
    "lethe.mark_collections(lethe.cleanup_tasks,text,integer)",
    "lethe.choose_rows(text,bigint,uuid,uuid,integer)",
    "lethe.application_path()",
    "lethe.mark(text[],uuid[],uuid[],uuid[],timestamp with time zone,text)",
    "lethe.adopt(text[],text,bigint)",
    "lethe.protected_keys(text[],text[])",
    "lethe.remove_images(uuid[],bigint[],text[],text[],boolean)",
    "lethe.remove_samples(uuid[],boolean)",
    "lethe.remove_upwards(text[],uuid,integer,boolean)",
    "lethe.leftover(text)",
    "lethe.finish_tasks(text,bigint[],bigint[],jsonb[],bigint[],text[])",
    "lethe.cancel_task(bigint)",
    "lethe.removed_since(text,timestamp with time zone)",
    "lethe.write_receipts(bigint[])",
    "lethe.audit_progress(text,lethe.cleanup_tasks,text[],text[],jsonb)",
    "lethe.keep_rest(lethe.cleanup_tasks)",
    "lethe.keep_root(bigint,text,boolean)",
    "lethe.removed_rows(lethe.cleanup_tasks,jsonb)",
    "lethe.settle_tasks(text,bigint[],bigint[],text[],boolean)",
    "lethe.settle_partly(bigint[],text[])",
    "lethe.step_erasure(text,bigint,boolean)",
    "lethe.make_partitions(integer)",
    "lethe.drop_partitions(integer)",
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

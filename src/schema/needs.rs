//! What Lethe needs of the database: tables with the rights on them, and functions, by role of the process. Readiness and
//! `lethe check` read this list; a test compares it with the migrations, and with what sql/roles.sql grants.

use std::fmt;

use crate::vocabulary::ProcessRole::{self, Serve, Worker};

/// sqlx's record of the migrations. It is not there if another tool applied them.
pub const RECORD: &str = "lethe._sqlx_migrations";

/// The schemas of Lethe, which every process uses.
pub const SCHEMAS: [&str; 2] = ["lethe", "lethe_map"];

/// A right on a table, or on one column of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableRight {
    /// The qualified name, quoted where it must be.
    pub table: String,
    /// Such as `select`.
    pub privilege: String,
    /// The column's plain name.
    pub column: Option<String>,
}

impl TableRight {
    /// A right as [`TableNeed`] has it: `update (deleted_at)` is one on a column.
    fn of(table: &str, right: &str) -> Self {
        let (privilege, column) = match right.split_once(" (") {
            Some((privilege, column)) => (privilege, Some(column.trim_end_matches(')'))),
            None => (right, None),
        };
        Self {
            table: table.to_owned(),
            privilege: privilege.to_owned(),
            column: column.map(str::to_owned),
        }
    }
}

/// As `grant` takes it, for a column whose name needs no quotes.
impl fmt::Display for TableRight {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            table, privilege, ..
        } = self;
        match &self.column {
            Some(column) => write!(formatter, "{privilege} ({column}) on {table}"),
            None => write!(formatter, "{privilege} on {table}"),
        }
    }
}

/// A table, and the rights on it that `lethe serve` and `lethe worker` need.
pub struct TableNeed {
    /// The qualified name.
    pub table: &'static str,
    serve: &'static [&'static str],
    worker: &'static [&'static str],
}

impl TableNeed {
    /// The rights that processes of one of these roles need.
    pub fn rights(&self, roles: &[ProcessRole]) -> impl Iterator<Item = &'static str> {
        let of = |role, rights: &'static [&'static str]| match roles.contains(&role) {
            true => rights,
            false => &[],
        };
        let serve = of(Serve, self.serve);
        let worker = of(Worker, self.worker);
        let more = worker.iter().filter(move |right| !serve.contains(right));
        serve.iter().chain(more).copied()
    }
}

const fn table(
    table: &'static str,
    serve: &'static [&'static str],
    worker: &'static [&'static str],
) -> TableNeed {
    TableNeed {
        table,
        serve,
        worker,
    }
}

const ALL_BUT_INSERT: &[&str] = &["select", "update", "delete"];
/// To read rows, and to write their soft delete.
const MARK: &[&str] = &["select", "update (deleted_at)", "update (deleted_by)"];
/// The same, and to remove rows.
const MARK_AND_DELETE: &[&str] = &[
    "select",
    "update (deleted_at)",
    "update (deleted_by)",
    "delete",
];

/// The tables of the application, if the built-in map is applied. `lethe map grants` finds the same in the catalog, as a
/// test says.
pub const BUILT_IN_TABLES: &[TableNeed] = &[
    table("public.users", &["select"], MARK_AND_DELETE),
    table("public.collections", &["select"], MARK_AND_DELETE),
    table(
        "public.samples",
        MARK,
        &[
            "select",
            "update (collection_id)",
            "update (deleted_at)",
            "update (deleted_by)",
            "delete",
        ],
    ),
    table("public.sample_images", MARK, MARK_AND_DELETE),
];

/// The tables of Lethe's own.
pub const TABLES: &[TableNeed] = &[
    table("lethe.maps", &["select"], &["select"]),
    table("lethe.map_drift", &["select"], &["select"]),
    table("lethe.user_tombstones", &["select"], &["select"]),
    table(
        "lethe.cleanup_tasks",
        &["select", "update", "delete"],
        &["select", "insert", "update", "delete"],
    ),
    table("lethe.finished_tasks", &["select"], &["select"]),
    table("lethe.finished_tasks_other", &[], &[]),
    table("lethe.tasks", &["select"], &["select"]),
    table(
        "lethe.cleanup_workers",
        &["select"],
        &["select", "insert", "update", "delete"],
    ),
    table(
        "lethe.cleanup_audit",
        &["select", "insert"],
        &["select", "insert"],
    ),
    table("lethe.audit", &["select"], &[]),
    table("lethe.receipts", &["select"], &["select"]),
    // Read and written by functions only, because it holds private keys.
    table("lethe.receipt_keys", &[], &[]),
    table("lethe.receipt_public_keys", &["select"], &["select"]),
    table(
        "lethe.cleanup_reconciliations",
        &["select"],
        &["select", "update"],
    ),
    table(
        "lethe.webhook_events",
        &["select", "insert"],
        &["select", "delete"],
    ),
    table("lethe.settings", &["select"], &["select"]),
    table("lethe.process_settings", &["select"], &["select"]),
    table("lethe.erasure_slots", &["select"], &["select"]),
    table("lethe.notices", &["select"], ALL_BUT_INSERT),
    table("lethe.notice_settings", &["select"], &["select"]),
];

const BOTH: &[ProcessRole] = &[Serve, Worker];

/// Only functions that run with the rights of the schema's owner call it.
const INTERNAL: &[ProcessRole] = &[];

/// The functions, as `to_regprocedure` takes them, with the roles that execute them. Those of triggers are not here: a
/// right to execute them is asked for when the trigger is made, not when it fires.
pub const FUNCTIONS: &[(&str, &[ProcessRole])] = &[
    ("lethe.lock_user(text,boolean)", BOTH),
    ("lethe.delete_user(text,text)", BOTH),
    ("lethe.delete_user(text,text,text)", BOTH),
    ("lethe.delete(text,text,text,interval)", BOTH),
    ("lethe.delete_sample(uuid,text,interval)", BOTH),
    ("lethe.delete_image(uuid,text,interval)", BOTH),
    ("lethe.note_drift(bigint,text[])", &[Worker]),
    ("lethe.is_map_incomplete(timestamp with time zone)", BOTH),
    ("lethe.erasure_of(text)", INTERNAL),
    ("lethe.begin_erasure(text,text,text)", INTERNAL),
    ("lethe.sweep_user(text,text)", INTERNAL),
    ("lethe.application_path()", BOTH),
    ("lethe.adopt(bigint[],bigint)", &[Worker]),
    (
        "lethe.finish_tasks(text,bigint[],bigint[],jsonb[],bigint[],text[])",
        &[Worker],
    ),
    ("lethe.cancel_task(bigint)", &[Serve]),
    ("lethe.removed_since(text,timestamp with time zone)", BOTH),
    ("lethe.write_receipts(bigint[])", INTERNAL),
    (
        "lethe.audit_progress(text,lethe.cleanup_tasks,text[],text[],jsonb)",
        &[Worker],
    ),
    ("lethe.make_partitions(integer)", &[Worker]),
    ("lethe.drop_partitions(integer)", &[Worker]),
    (
        "lethe.keys_digest(text,timestamp with time zone,timestamp with time zone)",
        &[Worker],
    ),
    ("lethe.add_receipt_key(text,bytea,bytea,bytea)", &[Worker]),
    ("lethe.receipt_signing_key()", &[Worker]),
    ("lethe.receipt_subject_keys()", &[Worker]),
    (
        "lethe.seal_receipt(bigint,text,bytea,bytea,text)",
        &[Worker],
    ),
    ("lethe.configure(text,integer,interval,text)", BOTH),
    ("lethe.hold_reason()", INTERNAL),
    ("lethe.erasure_delay()", INTERNAL),
    ("lethe.pause(text,text)", &[Serve]),
    ("lethe.resume(text,text,integer)", &[Serve]),
    ("lethe.cancel_erasure(text,text,text)", &[Serve]),
    ("lethe.is_touched(lethe.cleanup_tasks)", &[Worker]),
    ("lethe.is_going_user(text,text)", &[Worker]),
    ("lethe.is_resting_user(text,text)", &[Worker]),
    ("lethe.is_going_entity(text,text)", &[Worker]),
    ("lethe.is_resting_entity(text,text)", &[Worker]),
    ("lethe.may_name_any_actor()", BOTH),
    ("lethe.notices_wanted()", INTERNAL),
    ("lethe.notice_time(timestamp with time zone)", INTERNAL),
    ("lethe.configure_notices(bytea)", &[Worker]),
    ("lethe.disable_notices(bytea)", &[Worker]),
    ("lethe.retry_notices(uuid[])", &[Serve]),
    ("lethe.check_actor(text)", INTERNAL),
];

/// The names of all tables.
#[must_use]
pub fn table_names() -> Vec<String> {
    TABLES.iter().map(|need| need.table.to_owned()).collect()
}

/// The names of all functions.
#[must_use]
pub fn function_names() -> Vec<String> {
    FUNCTIONS
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect()
}

/// Entry points that only the built-in map has.
const OF_BUILT_IN_MAP: [&str; 2] = [
    "lethe.delete_sample(uuid,text,interval)",
    "lethe.delete_image(uuid,text,interval)",
];

/// The names of the functions that are there whatever map is applied.
#[must_use]
pub fn own_function_names() -> Vec<String> {
    let names = function_names().into_iter();
    names
        .filter(|name| !OF_BUILT_IN_MAP.contains(&name.as_str()))
        .collect()
}

/// The functions that processes of these roles execute.
#[must_use]
pub fn functions_of(roles: &[ProcessRole]) -> Vec<String> {
    FUNCTIONS
        .iter()
        .filter(|(_, of)| of.iter().any(|role| roles.contains(role)))
        .map(|(name, _)| (*name).to_owned())
        .collect()
}

/// The rights on the tables of Lethe's own that processes of these roles need. To read the record of migrations is one of
/// them.
#[must_use]
pub fn own_rights(roles: &[ProcessRole]) -> Vec<TableRight> {
    let own = TABLES.iter().flat_map(|need| {
        let rights = need.rights(roles);
        rights.map(|right| TableRight::of(need.table, right))
    });
    own.chain([TableRight::of(RECORD, "select")]).collect()
}

/// What is known of the rights on the tables of the applied map without asking the catalog: of those of the built-in
/// map all, of others the one to read. `lethe map grants` and `lethe check` find the rest.
#[must_use]
pub fn application_rights(roles: &[ProcessRole], tables: &[String]) -> Vec<TableRight> {
    let rights = tables.iter().flat_map(|name| {
        let built_in = BUILT_IN_TABLES.iter().find(|need| need.table == name);
        match built_in {
            Some(need) => need
                .rights(roles)
                .map(|right| TableRight::of(need.table, right))
                .collect(),
            None => vec![TableRight::of(name, "select")],
        }
    });
    rights.collect()
}

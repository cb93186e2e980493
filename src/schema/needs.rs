//! What Lethe needs of the database: tables with the rights on them, and functions, by role of the process. Readiness and
//! `lethe check` read this list; a test compares it with the migrations, and with what sql/roles.sql grants.

use crate::vocabulary::ProcessRole::{self, Serve, Worker};

/// sqlx's record of the migrations. It is not there if another tool applied them.
pub const RECORD: &str = "lethe._sqlx_migrations";

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

/// The tables of the application, if the built-in map is applied.
pub const BUILT_IN_TABLES: &[TableNeed] = &[
    table("public.users", &["select", "update"], ALL_BUT_INSERT),
    table("public.collections", &["select"], ALL_BUT_INSERT),
    table("public.samples", &["select", "update"], ALL_BUT_INSERT),
    table(
        "public.sample_images",
        &["select", "update"],
        ALL_BUT_INSERT,
    ),
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
    ("lethe.application_path()", &[Worker]),
    ("lethe.adopt(text[],text,bigint)", &[Worker]),
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

/// Every right on a table that processes of these roles need, as two lists of the same length: the table and the right.
/// To read the record of migrations is one of them. `application` are the tables of the applied map. Of those of the
/// built-in map all rights are known, of others the one to read; the rest are those that `lethe map grants` prints.
#[must_use]
pub fn table_rights(roles: &[ProcessRole], application: &[String]) -> (Vec<String>, Vec<String>) {
    let own = TABLES
        .iter()
        .flat_map(|need| need.rights(roles).map(|right| (need.table, right)));
    let of_application = application.iter().flat_map(|name| {
        let built_in = BUILT_IN_TABLES.iter().find(|need| need.table == name);
        match built_in {
            Some(need) => need
                .rights(roles)
                .map(|right| (need.table, right))
                .collect(),
            None => vec![(name.as_str(), "select")],
        }
    });
    own.chain(of_application)
        .chain([(RECORD, "select")])
        .map(|(table, right)| (table.to_owned(), right.to_owned()))
        .unzip()
}

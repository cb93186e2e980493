//! What all generated functions have in common.

use std::fmt::Write as _;

use super::SCHEMA;
use super::quote::dollar_quoted;
use crate::map::bind::{BoundMap, BoundTable, BoundUser};
use crate::map::catalog::{Column, Table, TypeFamily};

/// Rows are found one by one through indexes: with hash joins and sequential scans, statistics that are out of date could
/// make a function read whole tables. `row_security = off` turns hidden rows into an error.
const SETTINGS: &str = "set search_path = pg_catalog, pg_temp set row_security = off set jit = off\n\
                        set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off \
                        set plan_cache_mode = force_generic_plan";

/// A function in PL/pgSQL. Its variables are named `lethe.…`, its parameters with the function's name, because a table of
/// the application may have a column of any name.
pub(super) struct Function {
    /// The name and the parameters.
    pub(super) signature: String,
    /// What follows: `returns …`, or nothing with out parameters.
    pub(super) returns: &'static str,
    pub(super) volatility: &'static str,
    pub(super) variables: String,
    pub(super) body: String,
}

impl Function {
    pub(super) fn sql(&self) -> String {
        let body = format!(
            "<<lethe>>\ndeclare\n{}begin\n{}end\n",
            self.variables, self.body
        );
        format!(
            "create or replace function {SCHEMA}.{} {}\nlanguage plpgsql {} {SETTINGS} as {};\n",
            self.signature,
            self.returns,
            self.volatility,
            dollar_quoted(&body)
        )
    }
}

/// The variables with the user's two ids.
pub(super) fn user_variables(map: &BoundMap<'_>, function: &str) -> String {
    match map.user {
        BoundUser::Rows { id, clerk_id } => format!(
            "    clerk_id {} := {function}.of_user;\n    id {};\n",
            clerk_id.base_sql, id.base_sql
        ),
        BoundUser::IdAlone | BoundUser::Unknown => {
            format!("    clerk_id text := {function}.of_user;\n")
        }
    }
}

/// The statements that find the user's own id: from the row, or from `user_key` when the row is gone.
pub(super) fn find_user(map: &BoundMap<'_>, function: &str) -> String {
    let (BoundUser::Rows { id, clerk_id }, Some(root)) = (map.user, map.tables.first()) else {
        return String::new();
    };
    if id.number == clerk_id.number {
        return "    lethe.id := lethe.clerk_id;\n".to_owned();
    }
    let mut text = String::new();
    let _ = writeln!(
        text,
        "    select u.{} into lethe.id from {} u where u.{} {} lethe.clerk_id limit 1;\n    \
         if lethe.id is null then\n        lethe.id := {function}.user_key;\n    end if;",
        id.sql, root.table.sql, clerk_id.sql, clerk_id.equals
    );
    text
}

/// Two arrays for each kind: partitions and places of rows.
pub(super) fn place_variables(map: &BoundMap<'_>) -> String {
    let kinds = 0..map.tables.len();
    kinds
        .map(|kind| format!("    p{kind} oid[] := '{{}}';\n    c{kind} tid[] := '{{}}';\n"))
        .collect()
}

/// That a row is among those of a kind.
pub(super) fn is_among(kind: usize, alias: &str) -> String {
    format!(
        "({alias}.tableoid, {alias}.ctid) in \
         (select u.part, u.place from unnest(lethe.p{kind}, lethe.c{kind}) u (part, place))"
    )
}

/// Runs what follows with the application's search path, because it fires the application's triggers.
pub(super) const AS_APPLICATION: &str =
    "    perform set_config('search_path', lethe.application_path(), true);\n";

/// Names of a column that says when a row was created.
const CREATED: [&str; 6] = [
    "created_at",
    "createdAt",
    "inserted_at",
    "insertedAt",
    "created",
    "created_on",
];

/// A function in PL/pgSQL of one body without variables.
pub(super) fn simple(
    signature: &str,
    returns: &'static str,
    volatility: &'static str,
    body: String,
) -> String {
    Function {
        signature: signature.to_owned(),
        returns,
        volatility,
        variables: String::new(),
        body,
    }
    .sql()
}

/// The user's table with the column of Clerk's id, if there is one.
pub(super) fn root<'m>(
    map: &'m BoundMap<'_>,
) -> Option<(&'m BoundTable<'m>, &'m Column, &'m Column)> {
    match (map.tables.first(), map.user) {
        (Some(table), BoundUser::Rows { id, clerk_id }) if table.is_root => {
            Some((table, id, clerk_id))
        }
        _ => None,
    }
}

pub(super) fn created(table: &Table) -> Option<&Column> {
    let mut names = CREATED.iter();
    let named = names.find_map(|name| table.column(name));
    named.filter(|column| column.family == TypeFamily::Timestamp)
}

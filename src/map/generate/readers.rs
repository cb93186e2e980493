//! The functions that lists, receipts, reconciliation and the API ask of a map.

use super::SCHEMA;
use super::conditions::{has_key, is_soft_deleted, key_text, of_user, type_literal};
use super::frame::{Function, created, find_user, root, simple, user_variables};
use super::lists;
use super::quote::{array, dollar_quoted, literal};
use super::remove::is_found_again;
use super::upward::call;
use crate::map::bind::{BoundMap, BoundTable};
use crate::map::catalog::Column;
use crate::map::format::Action;

fn has_clerk_id(clerk_id: &Column, alias: &str, value: &str) -> String {
    format!(
        "{alias}.{} {} ({value})::{}",
        clerk_id.sql, clerk_id.equals, clerk_id.base_sql
    )
}

/// All of them.
pub(super) fn all(map: &BoundMap<'_>) -> String {
    [
        types(map),
        users(map),
        has_rows(map),
        count_rows(map),
        kept_at_end(map),
        is_user_id(map),
        refusal(map),
        has_grace(map),
        entities(map),
        lists::list_deleted(map),
        lists::soft_deleted(map),
        lists::live_users(map),
        triggers(map),
    ]
    .join("\n")
}

fn types(map: &BoundMap<'_>) -> String {
    let rows: Vec<String> = map
        .tables
        .iter()
        .enumerate()
        .map(|(kind, table)| {
            let name = type_literal(map, kind);
            let relation = literal(&table.table.sql);
            format!("({name}, {relation}, {name}, {})", table.mapped.is_api)
        })
        .collect();
    format!(
        "create or replace function {SCHEMA}.types() returns table (type text, relation text, plural text, is_api boolean)\n\
         language sql immutable set search_path = pg_catalog, pg_temp as {};\n",
        dollar_quoted(&format!("    values {}\n", rows.join(", ")))
    )
}

/// The bodies of the functions on a user's own row.
struct OfUser {
    lock: String,
    has: String,
    key: String,
    deleted_at: String,
    ids: String,
    is_live: String,
}

/// `lock_user`, `has_user`, `user_key`, `user_deleted_at`, `user_ids`, `is_live_user`.
fn users(map: &BoundMap<'_>) -> String {
    let of_user = match root(map) {
        Some((table, id, clerk_id)) => OfUser::with_table(table, id, clerk_id),
        None => OfUser::without_table(),
    };
    [
        simple(
            "lock_user(user_id text, is_patient boolean)",
            "returns boolean",
            "volatile",
            of_user.lock,
        ),
        simple(
            "has_user(user_id text)",
            "returns boolean",
            "stable",
            of_user.has,
        ),
        simple(
            "user_key(user_id text)",
            "returns text",
            "stable",
            of_user.key,
        ),
        simple(
            "user_deleted_at(user_id text)",
            "returns timestamptz",
            "stable",
            of_user.deleted_at,
        ),
        simple(
            "user_ids(after_id text, max_rows int)",
            "returns setof text",
            "stable",
            of_user.ids,
        ),
        simple(
            "is_live_user(user_id text, created_before timestamptz)",
            "returns boolean",
            "stable",
            of_user.is_live,
        ),
    ]
    .join("\n")
}

impl OfUser {
    /// For a map without a table of users.
    fn without_table() -> Self {
        Self {
            lock: "    return false;\n".to_owned(),
            has: format!("    return {SCHEMA}.has_rows(has_user.user_id);\n"),
            key: "    return null;\n".to_owned(),
            deleted_at: "    return null;\n".to_owned(),
            ids: "    return;\n".to_owned(),
            is_live: "    return false;\n".to_owned(),
        }
    }

    fn with_table(table: &BoundTable<'_>, id: &Column, clerk_id: &Column) -> Self {
        let sql = &table.table.sql;
        let of = |function: &str| has_clerk_id(clerk_id, "u", &format!("{function}.user_id"));
        let value_of = |column: &Column, of_type: &str, function: &str| {
            format!(
                "    return (select u.{}::{of_type} from {sql} u where {} limit 1);\n",
                column.sql,
                of(function)
            )
        };
        let none = || "    return null;\n".to_owned();
        let live = is_soft_deleted(table, "u")
            .map_or("true".to_owned(), |deleted| format!("not ({deleted})"));
        Self {
            lock: format!(
                "    if lock_user.is_patient then\n        perform from {sql} u where {0} for no key update;\n    else\n        \
                 perform from {sql} u where {0} for no key update skip locked;\n    end if;\n    \
                 return found or exists (select from {sql} u where {0});\n",
                of("lock_user")
            ),
            has: format!(
                "    return exists (select from {sql} u where {});\n",
                of("has_user")
            ),
            key: match id.number == clerk_id.number {
                true => none(),
                false => value_of(id, "text", "user_key"),
            },
            deleted_at: table
                .deleted_at
                .map_or_else(none, |at| value_of(at, "timestamptz", "user_deleted_at")),
            ids: format!(
                "    return query select u.{0}::text from {sql} u where u.{0}::text > user_ids.after_id order by u.{0}::text limit user_ids.max_rows;\n",
                clerk_id.sql
            ),
            is_live: match created(table.table) {
                Some(created) => format!(
                    "    return exists (select from {sql} u where {} and {live} and u.{}::timestamptz < is_live_user.created_before);\n",
                    of("is_live_user"),
                    created.sql
                ),
                None => "    return false;\n".to_owned(),
            },
        }
    }
}

/// `has_rows`: the user's own row, or one that a `delete` rule finds by the user's id.
fn has_rows(map: &BoundMap<'_>) -> String {
    let mut tests = Vec::new();
    if let (Some((table, _, clerk_id)), None) = (root(map), map.kept_user()) {
        tests.push(format!(
            "exists (select from {} c where c.{} {} lethe.clerk_id)",
            table.table.sql, clerk_id.sql, clerk_id.equals
        ));
    }
    for reference in map
        .references
        .iter()
        .filter(|one| one.rule.action == Action::Delete)
    {
        if let Some(condition) = of_user(map, reference, "c") {
            let child = &map.tables[reference.child].table.sql;
            tests.push(format!("exists (select from {child} c where {condition})"));
        }
    }
    let tests = match tests.is_empty() {
        true => "false".to_owned(),
        false => tests.join("\n        or "),
    };
    Function {
        signature: "has_rows(user_id text)".to_owned(),
        returns: "returns boolean",
        volatility: "stable",
        variables: "    of_user text := has_rows.user_id;\n    user_key text;\n".to_owned() + &user_variables(map, "lethe"),
        body: format!(
            "    select b.user_key into lethe.user_key from lethe.user_tombstones b where b.user_id = has_rows.user_id;\n{}    return {tests};\n",
            find_user(map, "lethe")
        ),
    }
    .sql()
}

/// `count_rows`: from the plan.
fn count_rows(map: &BoundMap<'_>) -> String {
    let types = map
        .tables
        .iter()
        .map(|table| table.mapped.type_name.as_str());
    simple(
        "count_rows(user_id text)",
        "returns table (type text, rows bigint)",
        "stable",
        format!(
            "    return query select n.name, coalesce(sum((r.value ->> 'rows')::bigint), 0)::bigint\n    \
             from unnest({}) n (name)\n    \
             left join jsonb_array_elements({SCHEMA}.plan(count_rows.user_id) -> 'rows') r (value) on r.value ->> 'type' = n.name and r.value ->> 'action' <> 'detach'\n    \
             group by n.name;\n",
            array(types)
        ),
    )
}

/// `kept_at_end(of_user, user_key)`: rows that stay and still name their user, counted when nothing else is left.
fn kept_at_end(map: &BoundMap<'_>) -> String {
    let mut body = find_user(map, "kept_at_end") + "    lethe.kept := '[]';\n";
    for reference in map
        .references
        .iter()
        .filter(|one| one.rule.action == Action::Keep)
    {
        let Some(condition) =
            of_user(map, reference, "c").filter(|_| is_found_again(map, reference))
        else {
            continue;
        };
        let name = type_literal(map, reference.child);
        body += &format!(
            "    select count(*) into lethe.n from {} c where {condition};\n    if lethe.n > 0 then\n        \
             lethe.kept := lethe.kept || jsonb_build_array(jsonb_build_object('type', {name}, 'rows', lethe.n, 'why', {}));\n    end if;\n",
            map.tables[reference.child].table.sql,
            literal(reference.rule.why.as_deref().unwrap_or_default())
        );
    }
    Function {
        signature: "kept_at_end(of_user text, user_key text)".to_owned(),
        returns: "returns jsonb",
        volatility: "stable",
        variables: user_variables(map, "kept_at_end") + "    kept jsonb;\n    n bigint;\n",
        body: body + "    return lethe.kept;\n",
    }
    .sql()
}

/// `is_user_id(user_id)`: whether this has the form of a Clerk id.
fn is_user_id(map: &BoundMap<'_>) -> String {
    let body = format!(
        "    return is_user_id.user_id ~ {};\n",
        literal(&map.map.user.ids)
    );
    simple(
        "is_user_id(user_id text)",
        "returns boolean",
        "stable",
        body,
    )
}

/// `refusal(user_id)`: why this id may not be erased; null if it may.
fn refusal(map: &BoundMap<'_>) -> String {
    let user = &map.map.user;
    simple(
        "refusal(user_id text)",
        "returns text",
        "stable",
        format!(
            "    return case when refusal.user_id !~ {} then 'it does not match ' || {}\n                \
             when refusal.user_id = any ({}) then 'the erasure map says that it is never erased' end;\n",
            literal(&user.ids),
            literal(&user.ids),
            array(user.never.iter().map(String::as_str))
        ),
    )
}

/// `has_grace(of_type)`: whether a row of the type can be taken back, because a column says that it is deleted.
fn has_grace(map: &BoundMap<'_>) -> String {
    let types = map.tables.iter().filter(|table| table.deleted_at.is_some());
    let types = types.map(|table| table.mapped.type_name.as_str());
    simple(
        "has_grace(of_type text)",
        "returns boolean",
        "immutable",
        format!("    return has_grace.of_type = any ({});\n", array(types)),
    )
}

/// `owner_of` and `entity`, for the types with `api = true`.
fn entities(map: &BoundMap<'_>) -> String {
    let (mut owner_of, mut entity) = (String::new(), String::new());
    for (kind, table) in map
        .tables
        .iter()
        .enumerate()
        .filter(|(_, table)| table.mapped.is_api)
    {
        let Some(id) = key_text(table.table, "t") else {
            continue;
        };
        let (name, owner) = (type_literal(map, kind), call("owner", kind, "t"));
        let sql = &table.table.sql;
        owner_of += &format!(
            "    if owner_of.of_type = {name} then\n        \
             return (select coalesce({owner}, '') from {sql} t where {});\n    end if;\n",
            has_key(table.table, "t", "owner_of.of_id")
        );
        let at = table
            .deleted_at
            .map_or("null::timestamptz".to_owned(), |at| {
                format!("t.{}::timestamptz", at.sql)
            });
        let by = table
            .deleted_by
            .map_or("null::text".to_owned(), |by| format!("t.{}::text", by.sql));
        entity += &format!(
            "    if entity.of_type = {name} then\n        \
             return query select {id}, coalesce({owner}, ''), {at}, {by}, '{{}}'::jsonb\n        \
             from {sql} t where {} for no key update of t;\n    end if;\n",
            has_key(table.table, "t", "entity.of_id")
        );
    }
    // An id that is none of the key's type names no row.
    let guard = "exception when invalid_text_representation or numeric_value_out_of_range or invalid_parameter_value then\n";
    [
        simple("owner_of(of_type text, of_id text)", "returns text", "stable", format!("{owner_of}    return null;\n{guard}    return null;\n")),
        simple(
            "entity(of_type text, of_id text)",
            "returns table (id text, user_id text, deleted_at timestamptz, deleted_by text, details jsonb)",
            "volatile",
            format!("{entity}    return;\n{guard}    return;\n"),
        ),
    ]
    .join("\n")
}

/// The trigger that refuses the return of an erased user, and the end of those of a map before.
fn triggers(map: &BoundMap<'_>) -> String {
    let refuses = map.map.user.late == crate::map::format::Late::Refuse;
    let create = match root(map).filter(|_| refuses) {
        Some((table, _, clerk_id)) => format!(
            "create trigger users_not_tombstoned before insert or update of {} on {} for each row execute function lethe.refuse_tombstoned_user({});\n",
            clerk_id.sql,
            table.table.sql,
            literal(&clerk_id.name)
        ),
        None => String::new(),
    };
    format!("{DROP_TRIGGERS}{create}")
}

/// The triggers that another map made.
pub(super) const DROP_TRIGGERS: &str = "do $lethe$
declare
    trigger record;
begin
    for trigger in
        select t.tgname, t.tgrelid::regclass as relation from pg_trigger t
        where t.tgfoid = 'lethe.refuse_tombstoned_user()'::regprocedure and t.tgparentid = 0
    loop
        execute format('drop trigger %I on %s', trigger.tgname, trigger.relation);
    end loop;
end
$lethe$;
";

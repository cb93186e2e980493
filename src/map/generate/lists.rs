//! Lists of what is deleted, for the API and for reconciliation.

use super::conditions::{is_soft_deleted, key_text, type_literal};
use super::frame::{Function, created, root, simple};
use super::upward::call;
use crate::map::bind::{BoundMap, BoundTable, BoundUser};
use crate::map::catalog::Column;

/// The types that have a time of deletion and a key, with their places.
fn listed<'m, 'c>(
    map: &'m BoundMap<'c>,
) -> impl Iterator<Item = (usize, &'m BoundTable<'c>, &'c Column, String)> {
    let tables = map.tables.iter().enumerate();
    tables.filter_map(|(kind, table)| {
        Some((kind, table, table.deleted_at?, key_text(table.table, "t")?))
    })
}

pub(super) fn list_deleted(map: &BoundMap<'_>) -> String {
    let mut selects = Vec::new();
    let mut ranks = Vec::new();
    for (rank, (kind, table, at, id)) in listed(map).enumerate() {
        let (name, owner) = (type_literal(map, kind), call("owner", kind, "t"));
        ranks.push(format!("when {name} then {rank}"));
        let by = match (table.deleted_by, root(map).filter(|_| table.is_root)) {
            (Some(by), _) => format!("t.{}::text", by.sql),
            (None, Some((_, _, clerk_id))) => format!(
                "(select b.deleted_by from lethe.user_tombstones b where b.user_id = t.{}::text)",
                clerk_id.sql
            ),
            (None, None) => "null::text".to_owned(),
        };
        let at = format!("t.{}::timestamptz", at.sql);
        selects.push(format!(
            "(select {rank} as rank, {name}::text as entity_type, {id} as id, coalesce({owner}, '') as user_id, \
             null::text as container_id, {at} as deleted_at, {by} as deleted_by from {sql} t\n         \
             where (list_deleted.of_type is null or list_deleted.of_type = {name}) and t.{column} is not null\n           \
             and (list_deleted.before_at is null or {at} < list_deleted.before_at\n                \
             or ({at} = list_deleted.before_at and ({rank} > lethe.rank or ({rank} = lethe.rank and {id} < list_deleted.before_id))))\n           \
             and (list_deleted.of_id is null or {id} = list_deleted.of_id) and (list_deleted.by_whom is null or {by} = list_deleted.by_whom)\n           \
             and (list_deleted.of_user is null or {owner} = list_deleted.of_user)\n           \
             and (list_deleted.since is null or {at} >= list_deleted.since) and (list_deleted.until is null or {at} < list_deleted.until)\n         \
             order by t.{column} desc, {id} desc limit list_deleted.max_rows)",
            sql = table.table.sql,
            column = table.deleted_at.map_or("", |at| &at.sql)
        ));
    }
    let body = match selects.is_empty() {
        true => "    return;\n".to_owned(),
        false => format!(
            "    lethe.rank := case list_deleted.before_type {} else -1 end;\n    \
             return query select f.entity_type, f.id, f.user_id, f.container_id, f.deleted_at, f.deleted_by from (\n        {}\n    ) f\n    \
             order by f.deleted_at desc, f.rank, f.id desc limit list_deleted.max_rows;\n",
            ranks.join(" "),
            selects.join("\n        union all\n        ")
        ),
    };
    Function {
        signature: "list_deleted(of_type text, of_id text, of_user text, by_whom text, since timestamptz, until timestamptz,\n    \
                    before_at timestamptz, before_type text, before_id text, max_rows int)"
            .to_owned(),
        returns: "returns table (entity_type text, id text, user_id text, container_id text, deleted_at timestamptz, deleted_by text)",
        volatility: "stable",
        variables: "    rank int;\n".to_owned(),
        body,
    }
    .sql()
}

pub(super) fn soft_deleted(map: &BoundMap<'_>) -> String {
    let mut body = "    soft_deleted.ids := '{}';\n    soft_deleted.user_ids := '{}';\n".to_owned();
    for (kind, table, at, id) in listed(map) {
        let (id, owner) = match (table.is_root, map.user) {
            (true, BoundUser::Rows { clerk_id, .. }) if map.kept_user().is_none() => {
                let id = format!("t.{}::text", clerk_id.sql);
                (id.clone(), id)
            }
            (false, _) if table.mapped.is_api => {
                (id, format!("coalesce({}, '')", call("owner", kind, "t")))
            }
            _ => continue,
        };
        let name = type_literal(map, kind);
        body += &format!(
            "    if soft_deleted.of_type = {name} then\n        with batch as materialized (\n            \
             select {id} as id, t.{at}::timestamptz as deleted_at, {owner} as user_id from {sql} t\n            \
             where t.{at} is not null and t.{at}::timestamptz <= now() and {id} is not null\n              \
             and (t.{at}::timestamptz, {id}) > (coalesce(soft_deleted.after_at, '-infinity'), coalesce(soft_deleted.after_id, ''))\n            \
             order by t.{at}, {id} limit soft_deleted.max_rows\n        ), checked as materialized (\n            \
             select b.id, b.deleted_at, b.user_id,\n                   \
             (select k.id from lethe.cleanup_tasks k where k.entity_id = b.id and k.entity_type = {name} and k.kind <> 'user-delete-part' limit 1) is null\n                   \
             and (select k.id from lethe.cleanup_tasks k where k.entity_id = b.user_id and k.kind = 'user-delete' limit 1) is null as is_due\n            \
             from batch b\n        )\n        \
             select max(c.deleted_at), (array_agg(c.id order by c.deleted_at desc, c.id desc))[1],\n               \
             coalesce(array_agg(c.id order by c.deleted_at, c.id) filter (where c.is_due), '{{}}'),\n               \
             coalesce(array_agg(c.user_id order by c.deleted_at, c.id) filter (where c.is_due), '{{}}')\n        \
             into soft_deleted.last_at, soft_deleted.last_id, soft_deleted.ids, soft_deleted.user_ids from checked c;\n    end if;\n",
            at = at.sql,
            sql = table.table.sql
        );
    }
    simple(
        "soft_deleted(of_type text, after_at timestamptz, after_id text, max_rows int,\n    \
         out last_at timestamptz, out last_id text, out ids text[], out user_ids text[])",
        "",
        "stable",
        body,
    )
}

pub(super) fn live_users(map: &BoundMap<'_>) -> String {
    let body = match root(map).and_then(|(table, _, clerk_id)| Some((table, clerk_id, created(table.table)?))) {
        None => "    raise exception 'users cannot be compared with Clerk: their table has no column that says when a user was created'\n        \
                 using errcode = 'feature_not_supported', hint = 'A user that was created a moment ago need not be in the list of Clerk yet. Name the column created_at.';\n"
            .to_owned(),
        Some((table, clerk_id, created)) => {
            let live = is_soft_deleted(table, "u").map_or("true".to_owned(), |deleted| format!("not ({deleted})"));
            format!(
                "    with batch as materialized (\n        \
                 select u.{clerk}::text as id, {live} as is_live, u.{created}::timestamptz as created_at from {sql} u\n        \
                 where u.{clerk}::text > live_users.after_id order by u.{clerk}::text limit live_users.max_rows\n    )\n    \
                 select max(b.id), coalesce(array_agg(b.id order by b.id) filter (where b.is_live and b.created_at < live_users.created_before\n               \
                 and not exists (select from lethe.user_tombstones t where t.user_id = b.id)), '{{}}'),\n           \
                 count(*) filter (where b.is_live and b.created_at >= live_users.created_before)\n    \
                 into live_users.last_id, live_users.live, live_users.too_young from batch b;\n",
                clerk = clerk_id.sql,
                created = created.sql,
                sql = table.table.sql
            )
        }
    };
    simple(
        "live_users(after_id text, created_before timestamptz, max_rows int,\n    \
         out last_id text, out live text[], out too_young bigint)",
        "",
        "stable",
        body,
    )
}

//! The functions that mark rows as soft-deleted, make them live again, and remove rows that a task names.

use super::conditions::{has_key, key_text, no_child, type_literal};
use super::frame::{AS_APPLICATION, Function, find_user, user_variables};
use super::keys::{is_answered, is_answered_of_kept, kept_conditions};
use super::order::Order;
use super::quote::literal;
use super::upward::{call, goes_itself};
use crate::map::bind::{BoundMap, BoundTable};
use crate::map::catalog::TypeFamily;

/// `mark_rows(kinds, parts, places, at_time, by_whom)`: soft-deletes those of these rows that are live, and returns their
/// ids by type. A table without a key is left as it is, since nobody could take it back.
pub(super) fn mark_rows(map: &BoundMap<'_>) -> String {
    let mut body = AS_APPLICATION.to_owned() + "    mark_rows.marked := '{}';\n";
    for (kind, table) in map.tables.iter().enumerate() {
        let (Some(id), Some((set, live))) = (key_text(table.table, "c"), marks(table)) else {
            continue;
        };
        let name = type_literal(map, kind);
        body += &format!(
            "    with hit as (\n        select d.part, d.place from unnest(mark_rows.kinds, mark_rows.parts, mark_rows.places) d (kind, part, place) \
             where d.kind = {kind}\n    ), marked as (\n        \
             update {} c set {set} from hit d where c.tableoid = d.part and c.ctid = d.place and ({live}) returning {id} as id\n    )\n    \
             select jsonb_agg(m.id) into lethe.ids from marked m;\n    if lethe.ids is not null then\n        \
             mark_rows.marked := mark_rows.marked || jsonb_build_object({name}, lethe.ids);\n    end if;\n",
            table.table.sql
        );
    }
    Function {
        signature: "mark_rows(kinds int[], parts oid[], places tid[], at_time timestamptz, by_whom text, out marked jsonb)".to_owned(),
        returns: "",
        volatility: "volatile",
        variables: "    ids jsonb;\n".to_owned(),
        body,
    }
    .sql()
}

/// The columns of a soft delete, and the condition that the row `c` is live.
fn marks(table: &BoundTable<'_>) -> Option<(String, String)> {
    let mut set = Vec::new();
    let mut live = Vec::new();
    if let Some(at) = table.deleted_at {
        set.push(format!("{} = mark_rows.at_time::{}", at.sql, at.base_sql));
        live.push(format!(
            "c.{0} is null or c.{0}::timestamptz > now()",
            at.sql
        ));
    }
    if let Some(flag) = table.flag.filter(|flag| !flag.is_generated) {
        set.push(format!("{} = true", flag.sql));
        if live.is_empty() {
            live.push(format!("c.{} is not true", flag.sql));
        }
    }
    if let (Some(by), false) = (table.deleted_by, set.is_empty()) {
        set.push(format!("{} = mark_rows.by_whom", by.sql));
    }
    (!live.is_empty()).then(|| (set.join(", "), live.join(" or ")))
}

/// `revive(marked)`: the rows of these ids are live again.
pub(super) fn revive(map: &BoundMap<'_>) -> String {
    let mut body = AS_APPLICATION.to_owned();
    for (kind, table) in map.tables.iter().enumerate() {
        if key_text(table.table, "c").is_none() {
            continue;
        }
        let mut set = Vec::new();
        if let Some(at) = table.deleted_at {
            set.push(format!("{} = null", at.sql));
        }
        if let Some(flag) = table.flag.filter(|flag| !flag.is_generated) {
            set.push(format!("{} = false", flag.sql));
        }
        if set.is_empty() {
            continue;
        }
        if let Some(by) = table.deleted_by.filter(|by| !by.not_null) {
            set.push(format!("{} = null", by.sql));
        }
        body += &format!(
            "    update {} c set {} from jsonb_array_elements_text(revive.marked -> {}) n (id) where {};\n",
            table.table.sql,
            set.join(", "),
            type_literal(map, kind),
            has_key(table.table, "c", "n.id")
        );
    }
    Function {
        signature: "revive(marked jsonb)".to_owned(),
        returns: "returns void",
        volatility: "volatile",
        variables: String::new(),
        body,
    }
    .sql()
}

/// `remove_named(of_user, row_type, row_ids, answered)`: removes those of the named rows that an erasure takes, whose
/// objects were all answered for, and on which nothing hangs. Rows that stay without their objects lose the column.
/// What an erasure takes only by others of its circle is left to the root, which finds the circle whole.
pub(super) fn remove_named(map: &BoundMap<'_>, order: &Order) -> String {
    let mut body = AS_APPLICATION.to_owned()
        + "    select b.user_key into lethe.user_key from lethe.user_tombstones b where b.user_id = remove_named.of_user;\n"
        + &find_user(map, "lethe");
    for (kind, table) in map.tables.iter().enumerate() {
        if table.objects.is_empty() || key_text(table.table, "c").is_none() {
            continue;
        }
        let sql = &table.table.sql;
        let key = has_key(table.table, "c", "n.id");
        let answered = is_answered(map, table, "remove_named.answered");
        let free = format!(
            "select c.tableoid as part, c.ctid as place from unnest(remove_named.row_ids) n (id) join {sql} c on {key} for update of c skip locked"
        );
        body += &format!(
            "    if remove_named.row_type = {} then\n",
            type_literal(map, kind)
        );
        let stays = table.is_root && map.kept_user().is_some();
        if !stays {
            body += &format!(
                "        return query with free as materialized ({free})\n        \
                 delete from {sql} c using free d where c.tableoid = d.part and c.ctid = d.place and {}{answered}{}\n        \
                 returning {};\n",
                goes_itself(map, order, kind, "c"),
                no_child(map, kind, "c"),
                key_text(table.table, "c").unwrap_or_default()
            );
        }
        if let Some((set, keeps)) = erased_columns(map, kind, table) {
            body += &format!(
                "        with free as materialized ({free})\n        \
                 update {sql} c set {set} from free d where c.tableoid = d.part and c.ctid = d.place and ({keeps}){};\n",
                is_answered_of_kept(map, table, "remove_named.answered")
            );
        }
        body += "    end if;\n";
    }
    Function {
        signature: "remove_named(of_user text, row_type text, row_ids text[], answered text[])"
            .to_owned(),
        returns: "returns setof text",
        volatility: "volatile",
        variables: user_variables(map, "remove_named") + "    user_key text;\n",
        body,
    }
    .sql()
}

/// The columns of rows that stay without their objects, emptied; and the condition that the row `c` is one of them.
fn erased_columns(
    map: &BoundMap<'_>,
    kind: usize,
    table: &BoundTable<'_>,
) -> Option<(String, String)> {
    let set = emptied(table);
    if set.is_empty() {
        return None;
    }
    // Of users, only the one who is erased gives up objects.
    let keeps = match (table.is_root, map.kept_user().is_some()) {
        (true, true) => vec![call("goes", kind, "c")],
        (true, false) => Vec::new(),
        (false, _) => kept_conditions(map, kind, "c"),
    };
    (!keeps.is_empty()).then(|| (set.join(", "), keeps.join(" or ")))
}

/// What empties the object columns of a row that stays without its objects.
pub(super) fn emptied(table: &BoundTable<'_>) -> Vec<String> {
    let objects = table
        .objects
        .iter()
        .filter(|object| object.source.erased_of_kept);
    let mut set: Vec<String> = objects
        .map(|object| {
            let column = object.column;
            let empty = match (column.not_null, column.family) {
                (false, _) => "null".to_owned(),
                (true, TypeFamily::TextArray) => format!("'{{}}'::{}", column.type_sql),
                (true, TypeFamily::Json) => format!("{}::{}", literal("null"), column.type_sql),
                (true, _) => format!("''::{}", column.type_sql),
            };
            format!("{} = {empty}", column.sql)
        })
        .collect();
    set.dedup();
    set
}

/// Conditions that an object column of the row `c` is not empty yet.
pub(super) fn not_emptied(table: &BoundTable<'_>) -> Vec<String> {
    let objects = table
        .objects
        .iter()
        .filter(|object| object.source.erased_of_kept);
    objects
        .map(|object| {
            let column = &object.column.sql;
            match (object.column.not_null, object.column.family) {
                (false, _) => format!("c.{column} is not null"),
                (true, TypeFamily::TextArray) => format!("cardinality(c.{column}) > 0"),
                (true, TypeFamily::Json) => format!("c.{column}::text <> 'null'"),
                (true, _) => format!("c.{column}::text <> ''"),
            }
        })
        .collect()
}

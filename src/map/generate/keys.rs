//! The functions about objects: what rows name, and which objects must stay.

use super::SCHEMA;
use super::conditions::{has_doomed_child, has_key, key_text, of_row, of_user, type_literal};
use super::frame::{Function, find_user, user_variables};
use super::objects::{KeyReader, bucket_name, is_outside, keys};
use super::order::Order;
use super::quote::{array, literal};
use super::upward::call as upward_state;
use crate::map::bind::{BoundMap, BoundObject, BoundTable, Parent};
use crate::map::catalog::TypeFamily;
use crate::map::format::Action;

/// The objects that a row `t` names: `r.ref`, as a task names them, and `k.is_foreign`.
pub(super) fn references_of(map: &BoundMap<'_>, object: &BoundObject<'_>) -> String {
    named_as(object, &is_outside(map, object))
}

fn named_as(object: &BoundObject<'_>, is_outside: &str) -> String {
    format!(
        "{} cross join lateral {SCHEMA}.key_ref({}, k.key, {is_outside}) r (ref)",
        keys(object, KeyReader::Function(SCHEMA)),
        literal(bucket_name(object.bucket))
    )
}

/// That every object that the row `c` names was answered for.
pub(super) fn is_answered(map: &BoundMap<'_>, table: &BoundTable<'_>, answered: &str) -> String {
    let objects = table.objects.iter();
    objects
        .map(|object| is_object_answered(object, answered, &references_of(map, object)))
        .collect()
}

/// The same without the ids of a user, for rows of which no object is outside of what the map allows.
pub(super) fn is_answered_within(table: &BoundTable<'_>, answered: &str) -> String {
    let objects = table.objects.iter();
    objects
        .map(|object| is_object_answered(object, answered, &named_as(object, "false")))
        .collect()
}

/// The same of a row that stays, which gives up only some of its objects.
pub(super) fn is_answered_of_kept(
    map: &BoundMap<'_>,
    table: &BoundTable<'_>,
    answered: &str,
) -> String {
    let objects = table.objects.iter();
    objects
        .filter(|object| object.source.erased_of_kept)
        .map(|object| is_object_answered(object, answered, &references_of(map, object)))
        .collect()
}

fn is_object_answered(object: &BoundObject<'_>, answered: &str, references: &str) -> String {
    let is_plain = object.column.family == TypeFamily::Text
        && object.source.json.is_none()
        && object.bucket.name.is_none();
    let at_once = match is_plain {
        // Most columns have the key as a task names it.
        true => format!(
            "c.{0}::text in (select a.ref from unnest({answered}) a (ref) where a.ref !~ '^(s3://|outside:)') or ",
            object.column.sql
        ),
        false => String::new(),
    };
    format!(
        "\n          and ({at_once}not exists (select from (select c.*) t {references} where not k.is_foreign \
         and not (r.ref in (select a.ref from unnest({answered}) a (ref) where a.ref is not null) \
         or (r.ref like 'outside:%' and substr(r.ref, 9) in (select a.ref from unnest({answered}) a (ref) where a.ref is not null)))))"
    )
}

/// The rules that keep rows of a kind, with its parent.
pub(super) fn kept_conditions(map: &BoundMap<'_>, kind: usize, c: &str) -> Vec<String> {
    let references = map.references.iter();
    let keeps = references.filter(|one| one.child == kind && one.rule.action == Action::Keep);
    keeps
        .filter_map(|reference| match reference.parent {
            Parent::Row(parent) => {
                let parent_table = &map.tables[parent].table.sql;
                let condition = of_row(reference, "p", c);
                let going = upward_state("goes", parent, "p");
                Some(format!(
                    "exists (select from {parent_table} p where {condition} and {going})"
                ))
            }
            Parent::UserId | Parent::ClerkId => of_user(map, reference, c),
        })
        .collect()
}

/// `keys_of(kinds, parts, places, …)`: each object that these rows name, and those of kept rows whose objects go.
/// `is_leaf`: nothing that goes along hangs on the row, but rows of its own circle.
pub(super) fn keys_of(map: &BoundMap<'_>, order: &Order) -> String {
    let mut selects = Vec::new();
    for (kind, table) in map.tables.iter().enumerate() {
        let Some(id) = key_text(table.table, "t") else {
            continue;
        };
        let stays = table.is_root && map.kept_user().is_some();
        for object in &table.objects {
            if !stays || object.source.erased_of_kept {
                selects.push(format!(
                    "select {}, {id}, r.ref, not {} from unnest(keys_of.kinds, keys_of.parts, keys_of.places) d (kind, part, place) \
                     join {} t on t.tableoid = d.part and t.ctid = d.place {} where d.kind = {kind} and not k.is_foreign",
                    type_literal(map, kind),
                    match stays {
                        true => "false".to_owned(),
                        false => has_doomed_child(map, order, kind, "t"),
                    },
                    table.table.sql,
                    references_of(map, object)
                ));
            }
            if !table.is_root && object.source.erased_of_kept {
                for from in kept_rows_of(map, kind) {
                    selects.push(format!(
                        "select {}, {id}, r.ref, true from (select x.* from {from} limit keys_of.max_rows) t {} where not k.is_foreign",
                        type_literal(map, kind),
                        references_of(map, object)
                    ));
                }
            }
        }
    }
    let body = match selects.is_empty() {
        true => "    return;\n".to_owned(),
        false => format!(
            "{}    return query {};\n",
            find_user(map, "keys_of"),
            selects.join("\n        union all ")
        ),
    };
    Function {
        signature: "keys_of(kinds int[], parts oid[], places tid[], of_user text, user_key text, max_rows int)".to_owned(),
        returns: "returns table (type text, id text, ref text, is_leaf boolean)",
        volatility: "stable",
        variables: user_variables(map, "keys_of"),
        body,
    }
    .sql()
}

/// From clauses of the rows `x` of a kind that rules keep, below the user or the chosen rows.
fn kept_rows_of(map: &BoundMap<'_>, kind: usize) -> Vec<String> {
    let child = &map.tables[kind].table.sql;
    let references = map.references.iter();
    let keeps = references.filter(|one| one.child == kind && one.rule.action == Action::Keep);
    keeps
        .filter_map(|reference| match reference.parent {
            Parent::Row(parent) => Some(format!(
                "unnest(keys_of.kinds, keys_of.parts, keys_of.places) d (kind, part, place) \
                 join {} p on p.tableoid = d.part and p.ctid = d.place join {child} x on {} where d.kind = {parent}",
                map.tables[parent].table.sql,
                of_row(reference, "p", "x")
            )),
            Parent::UserId | Parent::ClerkId => {
                Some(format!("{child} x where {}", of_user(map, reference, "x")?))
            }
        })
        .collect()
}

/// `read_keys(of_user, row_type, row_ids)`: what these rows name now, and whether all of them are there.
pub(super) fn read_keys(map: &BoundMap<'_>) -> String {
    let mut body = format!(
        "    select b.user_key into lethe.user_key from lethe.user_tombstones b where b.user_id = read_keys.of_user;\n{}",
        find_user(map, "lethe")
    );
    for (kind, table) in map
        .tables
        .iter()
        .enumerate()
        .filter(|(_, table)| !table.objects.is_empty())
    {
        let selects: Vec<String> = table
            .objects
            .iter()
            .map(|object| {
                format!(
                    "select r.ref from unnest(read_keys.row_ids) n (id) join {} t on {} {} where not k.is_foreign",
                    table.table.sql,
                    has_key(table.table, "t", "n.id"),
                    references_of(map, object)
                )
            })
            .collect();
        body += &format!(
            "    if read_keys.row_type = {} then\n        \
             select array_agg(distinct x.ref) into read_keys.keys from ({}) x;\n        \
             select count(*) = cardinality(read_keys.row_ids) into read_keys.is_whole from unnest(read_keys.row_ids) n (id) \
             join {} t on {};\n    end if;\n",
            type_literal(map, kind),
            selects.join(" union all "),
            table.table.sql,
            has_key(table.table, "t", "n.id")
        );
    }
    Function {
        signature: "read_keys(of_user text, row_type text, row_ids text[], out keys text[], out is_whole boolean)".to_owned(),
        returns: "",
        volatility: "stable",
        variables: user_variables(map, "read_keys") + "    user_key text;\n",
        body,
    }
    .sql()
}

/// `keeps_answers()`: whether the part that deletes the objects of a row cannot always remove the row, because rows that
/// name objects hang on each other in a circle.
pub(super) fn keeps_answers(map: &BoundMap<'_>, order: &Order) -> String {
    let mut tables = map.tables.iter().enumerate();
    let keeps =
        tables.any(|(kind, table)| !table.objects.is_empty() && order.is_circle(kind, kind));
    format!(
        "create or replace function {SCHEMA}.keeps_answers() returns boolean\nlanguage sql immutable set search_path = pg_catalog, pg_temp as \
         {};\n",
        super::quote::dollar_quoted(&format!("    select {keeps}\n"))
    )
}

/// The names of the buckets that the map gives, for the worker.
pub(super) fn buckets(map: &BoundMap<'_>) -> String {
    let named = map
        .map
        .buckets
        .iter()
        .filter_map(|bucket| bucket.name.as_deref());
    format!(
        "create or replace function {SCHEMA}.buckets() returns text[]\nlanguage sql immutable set search_path = pg_catalog, pg_temp as \
         {};\n",
        super::quote::dollar_quoted(&format!("    select {}\n", array(named)))
    )
}

//! `protected_keys`: which objects must stay.

use super::SCHEMA;
use super::conditions::{is_soft_deleted, of_row};
use super::frame::Function;
use super::objects::{KeyReader, bases, bucket_name, keys};
use super::order::Order;
use super::quote::literal;
use super::upward::{call as upward_state, goes_itself, ring_children, ring_parents};
use crate::map::bind::{BoundMap, BoundObject, BoundTable, BoundUser, Parent};
use crate::map::catalog::TypeFamily;
use crate::map::format::Action;

/// A table with more rows is not read as a whole to find who names an object; its columns are asked for the forms in
/// which a URL is usually written.
const MOST_ROWS_READ: i64 = 50_000;

/// `protected_keys(keys, owners)`: the objects that a row names which stays, or which can still be made live again.
pub(super) fn protected_keys(map: &BoundMap<'_>, order: &Order) -> String {
    let mut tests = Vec::new();
    for (kind, table) in map.tables.iter().enumerate() {
        for object in &table.objects {
            let (from, names) = named_by(table, object);
            tests.push(format!(
                "exists (select from {from} where {names} and {})",
                protects(map, order, kind, table, object)
            ));
        }
    }
    let body = match tests.is_empty() {
        true => "    return;\n".to_owned(),
        false => format!(
            "    return query with recursive w as materialized (\n        \
             select a.ref, r.bucket, r.key from unnest(protected_keys.keys) a (ref) cross join lateral {SCHEMA}.parse_ref(a.ref) r){}\n    \
             select w.ref from w where {};\n",
            going(map, order),
            tests.join("\n        or ")
        ),
    };
    Function {
        signature: "protected_keys(keys text[], owners text[])".to_owned(),
        returns: "returns setof text",
        volatility: "stable",
        variables: String::new(),
        body,
    }
    .sql()
}

/// `going_K` for each circle of kinds that name objects: the rows of it that an erasure takes, of those that name `w` and
/// what they hang on. Each row is looked at once, however long a chain is.
fn going(map: &BoundMap<'_>, order: &Order) -> String {
    let mut text = String::new();
    for kind in 0..map.tables.len() {
        let circle = order.circle(kind);
        if !order.is_circle(kind, kind) || circle.iter().min() != Some(&kind) {
            continue;
        }
        let mut naming = Vec::new();
        let mut themselves = Vec::new();
        for one in circle.iter().copied() {
            let table = &map.tables[one];
            for object in &table.objects {
                let (from, names) = named_by(table, object);
                naming.push(format!(
                    "select {one}, x.part, x.place from w cross join lateral (\n            \
                     select t.tableoid as part, t.ctid as place from {from} where {names}) x"
                ));
            }
            themselves.push(format!(
                "select {one}, r.tableoid, r.ctid from up_{kind} u join {} r on r.tableoid = u.part and r.ctid = u.place \
                 where u.kind = {one} and {}",
                table.table.sql,
                goes_itself(map, order, one, "r")
            ));
        }
        if naming.is_empty() {
            continue;
        }
        let union = "\n        union all\n        ";
        text += &format!(
            ", up_{kind} (kind, part, place) as (\n        {}\n        union\n        \
             select x.* from up_{kind} u cross join lateral (\n        {}) x (kind, part, place)\n    \
             ), going_{kind} (kind, part, place) as (\n        {}\n        union\n        \
             select x.* from going_{kind} g cross join lateral (\n        {}) x (kind, part, place)\n        \
             where (x.kind, x.part, x.place) in (select u.kind, u.part, u.place from up_{kind} u)\n    )",
            grouped(&naming, union),
            ring_parents(map, order, kind).join(union),
            grouped(&themselves, union),
            ring_children(map, order, kind).join(union)
        );
    }
    text
}

/// Several selects as the first part of a recursion.
fn grouped(selects: &[String], union: &str) -> String {
    format!(
        "select * from (\n        {}) first (kind, part, place)",
        selects.join(union)
    )
}

/// Rows `t` that name the object `w`: where they are found, and the condition.
fn named_by(table: &BoundTable<'_>, object: &BoundObject<'_>) -> (String, String) {
    let bucket = format!("w.bucket = {}", literal(bucket_name(object.bucket)));
    let sql = &table.table.sql;
    let column = format!("t.{}", object.column.sql);
    let is_small = table.table.rows <= MOST_ROWS_READ;
    let has_bases = !object.bucket.bases.is_empty();
    let forms = format!("{SCHEMA}.forms_of(w.key, {})", bases(object.bucket));
    let of_type = &object.column.type_sql;
    let plain = match object.column.family {
        _ if object.source.json.is_some() => None,
        TypeFamily::Text if !has_bases => Some(format!("{column} operator(pg_catalog.=) w.key")),
        TypeFamily::Text if !is_small => {
            Some(format!("{column} operator(pg_catalog.=) any ({forms})"))
        }
        TypeFamily::TextArray if !has_bases => Some(format!(
            "{column} operator(pg_catalog.@>) array[w.key]::{of_type}"
        )),
        TypeFamily::TextArray if !is_small => Some(format!(
            "{column} operator(pg_catalog.&&) {forms}::{of_type}"
        )),
        _ => None,
    };
    match plain {
        Some(condition) => (format!("{sql} t"), format!("{bucket} and {condition}")),
        None => (
            format!("{sql} t {}", keys(object, KeyReader::Function(SCHEMA))),
            format!("{bucket} and not k.is_foreign and k.key = w.key"),
        ),
    }
}

/// That the row `t` protects the object it names.
fn protects(
    map: &BoundMap<'_>,
    order: &Order,
    kind: usize,
    table: &BoundTable<'_>,
    object: &BoundObject<'_>,
) -> String {
    let gives_up = object.source.erased_of_kept;
    if table.is_root && map.kept_user().is_some() && !gives_up {
        // The user's row stays, and so does what it names.
        return "true".to_owned();
    }
    let goes = match order.is_circle(kind, kind) {
        true => {
            let circle = order.circle(kind).into_iter().min().unwrap_or(kind);
            format!(
                "(t.tableoid, t.ctid) in (select g.part, g.place from going_{circle} g where g.kind = {kind})"
            )
        }
        false => upward_state("goes", kind, "t"),
    };
    let keep_parents = keep_parents_going(map, kind);
    let mut conditions = Vec::new();
    if let Some(deleted) = is_soft_deleted(table, "t") {
        // A row that stays for a reason keeps its object, deleted or not.
        let mut counts = vec![format!("not {deleted}"), upward_state("rests", kind, "t")];
        if !gives_up {
            counts.extend(keep_parents.iter().cloned());
        }
        conditions.push(format!("({})", counts.join(" or ")));
    }
    if gives_up {
        conditions.extend(keep_parents.iter().map(|parent| format!("not {parent}")));
    }
    let otherwise = match conditions.is_empty() {
        true => "true".to_owned(),
        false => conditions.join(" and "),
    };
    // Most rows that name an object of a task go. Nothing else is asked of them, because `rests_K` can look far upwards.
    format!("case when {goes} then false else {otherwise} end")
}

/// Tests that the parent of a row `t` which a rule keeps goes, so that the row gives its objects up.
fn keep_parents_going(map: &BoundMap<'_>, kind: usize) -> Vec<String> {
    let table = &map.tables[kind];
    let mut tests = Vec::new();
    if table.is_root {
        return tests;
    }
    let references = map.references.iter();
    for reference in references.filter(|one| one.child == kind && one.rule.action == Action::Keep) {
        let column = reference
            .columns
            .first()
            .map_or("null", |column| &column.sql);
        tests.push(match (&reference.parent, map.user) {
            (Parent::Row(parent), _) => format!(
                "exists (select from {} p where {} and {})",
                map.tables[*parent].table.sql,
                of_row(reference, "p", "t"),
                upward_state("goes", *parent, "p")
            ),
            (Parent::UserId, BoundUser::Rows { id, clerk_id }) if id.number != clerk_id.number => {
                format!("coalesce(lethe.is_going_user(null, t.{column}::text), false)")
            }
            _ => format!("coalesce(lethe.is_going_user(t.{column}::text, null), false)"),
        });
    }
    tests
}

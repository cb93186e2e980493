//! The objects that rows name, as common table expressions.

use super::quote::{array, literal};
use crate::map::bind::{BoundMap, BoundObject, BoundTable};
use crate::map::catalog::TypeFamily;
use crate::map::format::{Action, Bucket, Within};

/// How a statement reads the object keys in a column's value.
#[derive(Clone, Copy)]
pub(super) enum KeyReader<'s> {
    /// By the function `object_key` in this schema.
    Function(&'s str),
    /// By the same as a subquery, where no function may be made.
    Subquery,
}

/// A value that can be a URL below one of the bases; see `object_key` in `helpers.sql`.
const KEY_OF_URL: &str = include_str!("key_of_url.sql");
/// A value of a bucket without URLs: whatever looks like a URL is foreign.
const KEY: &str = "select v.value as key, v.value ~ '^([A-Za-z][A-Za-z0-9+.-]*:)?//' as is_foreign where v.value <> ''";

/// `named`, what the rows that go or give up their objects name; `wanted`, each object of it once, with whether it
/// stays because a live row names it.
pub(super) fn ctes(map: &BoundMap<'_>, reader: KeyReader<'_>) -> String {
    let mut named = Vec::new();
    for (kind, table) in map.tables.iter().enumerate() {
        for object in &table.objects {
            named.extend(named_by_gone(map, kind, table, object, reader));
            named.extend(named_by_kept(map, kind, table, object, reader));
        }
    }
    if named.is_empty() {
        named.push("select 0, ''::text, ''::text, ''::text, false, false where false".to_owned());
    }
    let live = live(map, reader);
    format!(
        "named (kind, action, bucket, key, is_foreign, is_outside) as materialized (\n        {}\n    ), \
         object (bucket, key, is_foreign, is_outside) as materialized (\n        \
         select n.bucket, n.key, n.is_foreign, bool_and(n.is_outside) from named n group by 1, 2, 3\n    ), \
         wanted (bucket, key, is_foreign, is_outside, is_shared) as materialized (\n        \
         select w.bucket, w.key, w.is_foreign, w.is_outside, not w.is_foreign and ({live}) from object w\n    )",
        named.join("\n        union all\n        ")
    )
}

/// The keys of the rows that are deleted.
fn named_by_gone(
    map: &BoundMap<'_>,
    kind: usize,
    table: &BoundTable<'_>,
    object: &BoundObject<'_>,
    reader: KeyReader<'_>,
) -> Option<String> {
    let stays = table.is_root && map.kept_user().is_some();
    let rows = format!(
        "gone d join {} t on t.tableoid = d.part and t.ctid = d.place",
        table.table.sql
    );
    let condition = format!("d.kind = {kind}");
    (!stays).then(|| named(map, kind, "delete", object, (&rows, &condition), reader))
}

/// The keys of the rows that stay without their objects.
fn named_by_kept(
    map: &BoundMap<'_>,
    kind: usize,
    table: &BoundTable<'_>,
    object: &BoundObject<'_>,
    reader: KeyReader<'_>,
) -> Option<String> {
    if !object.source.erased_of_kept {
        return None;
    }
    let from = if table.is_root && map.kept_user().is_some() {
        "doomed d".to_owned()
    } else {
        let kept = kept_rules(map, kind);
        // Of users, only the one who is erased gives up objects.
        if kept.is_empty() || table.is_root {
            return None;
        }
        format!(
            "(select distinct g.kind, g.part, g.place from changed g where g.rule in ({kept})) d"
        )
    };
    let rows = format!(
        "{from} join {} t on t.tableoid = d.part and t.ctid = d.place",
        table.table.sql
    );
    let condition = format!("d.kind = {kind}");
    Some(named(
        map,
        kind,
        "keep",
        object,
        (&rows, &condition),
        reader,
    ))
}

/// The numbers of the rules that keep rows of a table.
fn kept_rules(map: &BoundMap<'_>, kind: usize) -> String {
    let keep =
        map.references.iter().enumerate().filter(|(_, reference)| {
            reference.child == kind && reference.rule.action == Action::Keep
        });
    let numbers: Vec<String> = keep.map(|(number, _)| number.to_string()).collect();
    numbers.join(", ")
}

fn named(
    map: &BoundMap<'_>,
    kind: usize,
    action: &str,
    object: &BoundObject<'_>,
    (rows, condition): (&str, &str),
    reader: KeyReader<'_>,
) -> String {
    format!(
        "select {kind}, {}, {}, k.key, k.is_foreign, {} from {rows} {} where {condition}",
        literal(action),
        literal(bucket_name(object.bucket)),
        is_outside(map, object),
        keys(object, reader)
    )
}

/// Joins the keys that a column of `t` names, as `k`.
pub(super) fn keys(object: &BoundObject<'_>, reader: KeyReader<'_>) -> String {
    let column = format!("t.{}", object.column.sql);
    let values = match (&object.source.json, object.column.family) {
        (Some(path), _) => format!(
            "select j.value #>> '{{}}' from jsonb_path_query({column}::jsonb, {}::jsonpath) j (value) \
             where jsonb_typeof(j.value) = 'string'",
            literal(path)
        ),
        (None, TypeFamily::TextArray) => {
            format!("select e.value from unnest({column}::text[]) e (value)")
        }
        (None, _) => format!("select {column}::text"),
    };
    let key = match reader {
        KeyReader::Function(schema) => {
            format!("{schema}.object_key(v.value, {})", bases(object.bucket))
        }
        KeyReader::Subquery if object.bucket.bases.is_empty() => format!("({KEY})"),
        KeyReader::Subquery => {
            let bases = format!("unnest({})", bases(object.bucket));
            format!("({})", KEY_OF_URL.trim_end().replace("bases()", &bases))
        }
    };
    format!("cross join lateral ({values}) v (value) cross join lateral {key} k")
}

/// The bases of a bucket's URLs, the longest path first, since that is the one that an object's URL means.
pub(super) fn bases(bucket: &Bucket) -> String {
    let mut bases: Vec<_> = bucket.bases.iter().collect();
    bases.sort_by_key(|base| std::cmp::Reverse(base.path.len()));
    let origins = array(bases.iter().map(|base| base.origin.as_str()));
    format!(
        "{origins}, {}",
        array(bases.iter().map(|base| base.path.as_str()))
    )
}

/// Two aliases of one bucket are one bucket; an empty name is `S3_BUCKET`.
pub(super) fn bucket_name(bucket: &Bucket) -> &str {
    bucket.name.as_deref().unwrap_or_default()
}

pub(super) fn is_outside(map: &BoundMap<'_>, object: &BoundObject<'_>) -> String {
    let Within::Prefix(prefix) = &object.source.within else {
        return "false".to_owned();
    };
    let id = match map.user {
        crate::map::bind::BoundUser::Rows { .. } => "lethe.id",
        _ => "lethe.clerk_id",
    };
    let prefix = literal(prefix);
    let prefix =
        format!("replace({prefix}, '{{user.clerk_id}}', coalesce(lethe.clerk_id::text, ''))");
    let prefix = format!("replace({prefix}, '{{user.id}}', coalesce({id}::text, ''))");
    format!("not k.is_foreign and not starts_with(k.key, {prefix})")
}

/// Whether a live row names the object `w`.
fn live(map: &BoundMap<'_>, reader: KeyReader<'_>) -> String {
    let mut conditions = Vec::new();
    for (kind, table) in map.tables.iter().enumerate() {
        for object in &table.objects {
            let bucket = format!("w.bucket = {}", literal(bucket_name(object.bucket)));
            let rows = format!("from {} t", table.table.sql);
            let is_live = is_live(map, kind, table, object);
            let column = format!("t.{}", object.column.sql);
            let is_plain =
                object.bucket.bases.is_empty() && object.column.family == TypeFamily::Text;
            conditions.push(if is_plain {
                format!("{bucket} and exists (select {rows} where {column} operator(pg_catalog.=) w.key{is_live})")
            } else {
                format!(
                    "{bucket} and w.key in (select k.key {rows} {} where not k.is_foreign{is_live})",
                    keys(object, reader)
                )
            });
        }
    }
    match conditions.is_empty() {
        true => "false".to_owned(),
        false => conditions.join("\n            or "),
    }
}

/// What else a row `t` must be to protect its object: neither soft-deleted nor among those that go or give it up.
fn is_live(
    map: &BoundMap<'_>,
    kind: usize,
    table: &BoundTable<'_>,
    object: &BoundObject<'_>,
) -> String {
    let mut conditions = String::new();
    if let Some(at) = table.deleted_at {
        conditions += &format!(" and t.{} is null", at.sql);
    } else if let Some(flag) = table.flag {
        conditions += &format!(" and t.{} is not true", flag.sql);
    }
    let mut leave_out = |rows: &str| {
        conditions +=
            &format!(" and (t.tableoid, t.ctid) not in (select g.part, g.place from {rows})");
    };
    let stays = table.is_root && map.kept_user().is_some();
    if !stays {
        leave_out(&format!("gone g where g.kind = {kind}"));
    } else if object.source.erased_of_kept {
        leave_out("doomed g where g.kind = 0");
    }
    let kept = kept_rules(map, kind);
    if object.source.erased_of_kept && !kept.is_empty() && !table.is_root {
        leave_out(&format!("changed g where g.rule in ({kept})"));
    }
    conditions
}

//! The rows that an erasure of one user reaches, as common table expressions. A row is known by its place: its table
//! (`part`, since a ctid is unique in one partition only) and its ctid, both of one snapshot. `kind` is the place of
//! the table in the map.

use super::quote::{constant, literal};
use crate::map::bind::{BoundMap, BoundUser, Parent, Reference, equal};
use crate::map::catalog::{Column, TypeFamily};
use crate::map::format::Action;

/// The text of a parameter, as if it were a column.
pub(super) fn text_column() -> Column {
    Column {
        number: 0,
        name: String::new(),
        sql: String::new(),
        type_sql: "text".to_owned(),
        base_sql: "text".to_owned(),
        base_type: "text".to_owned(),
        family: TypeFamily::Text,
        not_null: true,
        is_generated: false,
        equals: "operator(pg_catalog.=)".to_owned(),
    }
}

/// The variables with the user's two ids.
pub(super) fn variables(map: &BoundMap<'_>, function: &str) -> String {
    match map.user {
        BoundUser::Rows { id, clerk_id } => format!(
            "    clerk_id {} := {function}.user_id;\n    id {};\n",
            clerk_id.base_sql, id.base_sql
        ),
        BoundUser::IdAlone | BoundUser::Unknown => {
            format!("    clerk_id text := {function}.user_id;\n")
        }
    }
}

/// The statement that finds the user's id; none where the Clerk id is all that there is.
pub(super) fn find_user(map: &BoundMap<'_>) -> String {
    let (BoundUser::Rows { id, clerk_id }, Some(root)) = (map.user, map.tables.first()) else {
        return String::new();
    };
    if id.number == clerk_id.number {
        return "    lethe.id := lethe.clerk_id;\n".to_owned();
    }
    let is_user = equal(
        (&format!("u.{}", clerk_id.sql), clerk_id),
        ("lethe.clerk_id", clerk_id),
    );
    let (id, root) = (&id.sql, &root.table.sql);
    format!("    select u.{id} into lethe.id from {root} u where {is_user} limit 1;\n")
}

/// `doomed`, the rows that `delete` rules reach; `gone`, those of them that are deleted; `changed`, the rows that
/// stay and lose something.
pub(super) fn ctes(map: &BoundMap<'_>) -> String {
    let (by_value, by_row): (Vec<_>, Vec<_>) = map
        .references
        .iter()
        .filter(|reference| reference.rule.action == Action::Delete)
        .partition(|reference| !matches!(reference.parent, Parent::Row(_)));
    let mut first = vec![root(map)];
    first.extend(by_value.iter().map(|reference| of_user(map, reference, "")));
    let mut doomed = first.join("\n        union\n        ");
    if !by_row.is_empty() {
        let branches: Vec<String> = by_row
            .iter()
            .map(|reference| of_row(map, reference, ""))
            .collect();
        doomed = format!(
            "{doomed}\n        union\n        select x.kind, x.part, x.place from doomed d cross join lateral (\n            \
             {}\n        ) x",
            branches.join("\n            union all\n            ")
        );
    }
    let gone = match map.kept_user() {
        Some(_) => "select d.kind, d.part, d.place from doomed d where d.kind <> 0",
        None => "select d.kind, d.part, d.place from doomed d",
    };
    format!(
        "recursive doomed (kind, part, place) as (\n        {doomed}\n    ), gone (kind, part, place) as materialized (\n        \
         {gone}\n    ), changed (rule, kind, part, place) as materialized (\n        {}\n    )",
        changed(map)
    )
}

fn root(map: &BoundMap<'_>) -> String {
    match (map.user, map.tables.first()) {
        (BoundUser::Rows { clerk_id, .. }, Some(root)) => {
            let user = equal(
                (&format!("c.{}", clerk_id.sql), clerk_id),
                ("lethe.clerk_id", clerk_id),
            );
            let root = &root.table.sql;
            format!("select 0, c.tableoid, c.ctid from {root} c where {user}")
        }
        _ => "select 0, null::oid, null::tid where false".to_owned(),
    }
}

fn changed(map: &BoundMap<'_>) -> String {
    let changing = map.references.iter().enumerate();
    let changing = changing.filter(|(_, reference)| reference.rule.action != Action::Delete);
    let (mut by_value, mut by_row) = (Vec::new(), Vec::new());
    for (number, reference) in changing {
        let rule = format!("{number}, ");
        match reference.parent {
            Parent::Row(_) => by_row.push(of_row(map, reference, &rule)),
            Parent::UserId | Parent::ClerkId => by_value.push(of_user(map, reference, &rule)),
        }
    }
    let mut parts = by_value;
    if !by_row.is_empty() {
        parts.push(format!(
            "select y.* from doomed d cross join lateral (\n                {}\n            ) y",
            by_row.join("\n                union all\n                ")
        ));
    }
    if parts.is_empty() {
        return "select 0, 0, null::oid, null::tid where false".to_owned();
    }
    format!(
        "select distinct x.rule, x.kind, x.part, x.place from (\n            {}\n        ) x (rule, kind, part, place)\n        \
         where (x.kind, x.part, x.place) not in (select g.kind, g.part, g.place from gone g)",
        parts.join("\n            union all\n            ")
    )
}

/// The rows whose reference has the value of the user's id.
fn of_user(map: &BoundMap<'_>, reference: &Reference<'_>, rule: &str) -> String {
    let table = &map.tables[reference.child].table.sql;
    let text = text_column();
    let (variable, of_user) = match (&reference.parent, map.user) {
        (Parent::UserId, BoundUser::Rows { id, .. }) => ("lethe.id", id),
        (_, BoundUser::Rows { clerk_id, .. }) => ("lethe.clerk_id", clerk_id),
        _ => ("lethe.clerk_id", &text),
    };
    let columns = reference.columns.iter();
    let conditions =
        columns.map(|column| equal((&format!("c.{}", column.sql), column), (variable, of_user)));
    let conditions = conditions.chain(discriminator(reference));
    let conditions: Vec<String> = conditions.collect();
    format!(
        "select {rule}{} as kind, c.tableoid as part, c.ctid as place from {table} c where {}",
        reference.child,
        conditions.join(" and ")
    )
}

/// The rows that point at a row `d` of the parent's table.
fn of_row(map: &BoundMap<'_>, reference: &Reference<'_>, rule: &str) -> String {
    let Parent::Row(parent) = reference.parent else {
        return of_user(map, reference, rule);
    };
    let (child, parent_table) = (
        &map.tables[reference.child].table.sql,
        &map.tables[parent].table.sql,
    );
    let pairs = reference
        .parent_columns
        .iter()
        .zip(&reference.columns)
        .enumerate();
    let conditions = pairs.map(|(at, (parent, child))| {
        let (left, right) = (format!("p.{}", parent.sql), format!("c.{}", child.sql));
        let of_key = reference
            .foreign_key
            .as_ref()
            .and_then(|edge| edge.key.equals.get(at));
        match of_key {
            Some(equals) => format!("{left} {equals} {right}"),
            None => equal((&left, parent), (&right, child)),
        }
    });
    let conditions = conditions.chain(discriminator(reference));
    let conditions: Vec<String> = conditions.collect();
    format!(
        "select {rule}{} as kind, c.tableoid as part, c.ctid as place from {parent_table} p join {child} c on {} \
         where d.kind = {parent} and p.tableoid = d.part and p.ctid = d.place",
        reference.child,
        conditions.join(" and ")
    )
}

fn discriminator(reference: &Reference<'_>) -> impl Iterator<Item = String> {
    reference.discriminator.iter().map(|(column, value)| {
        format!(
            "c.{} {} {}",
            column.sql,
            column.equals,
            constant(value, column)
        )
    })
}

/// The types of the map by `kind`.
pub(super) fn types(map: &BoundMap<'_>) -> String {
    let rows = map
        .tables
        .iter()
        .enumerate()
        .map(|(kind, table)| format!("({kind}, {})", literal(&table.mapped.type_name)));
    let rows: Vec<String> = rows.collect();
    match rows.is_empty() {
        true => "select 0, ''::text where false".to_owned(),
        false => format!("values {}", rows.join(", ")),
    }
}

/// The rules that keep or detach rows: their number, action, reason, and whether the reference itself must be gone.
pub(super) fn rules(map: &BoundMap<'_>) -> String {
    let changing = map.references.iter().enumerate();
    let changing = changing.filter(|(_, reference)| reference.rule.action != Action::Delete);
    let rows = changing.map(|(number, reference)| {
        let rule = reference.rule;
        format!(
            "({number}, {}, {}, {})",
            literal(rule.action.as_str()),
            literal(rule.why.as_deref().unwrap_or_default()),
            !(rule.action == Action::Keep && map.parent_stays(reference))
        )
    });
    let rows: Vec<String> = rows.collect();
    match rows.is_empty() {
        true => "select 0, ''::text, ''::text, false where false".to_owned(),
        false => format!("values {}", rows.join(", ")),
    }
}

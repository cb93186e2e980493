//! `choose`: the next rows that an erasure reaches, locked, from the top down.

use super::conditions::{has_key, of_row, of_user, type_literal};
use super::frame::{Function, find_user, place_variables, user_variables};
use super::order::Order;
use crate::map::bind::{BoundMap, BoundUser, Parent, Reference};
use crate::map::format::Action;

/// `choose(of_user, user_key, of_type, of_id, max_rows)`: rows of the user, or without a user's id the row of a type and
/// what hangs on it. At most `max_rows` by each reference. Rows that another transaction holds are left out.
pub(super) fn choose(map: &BoundMap<'_>, order: &Order) -> String {
    let mut body = find_user(map, "choose");
    body += &start(map);
    let circle = order.has_circle();
    let kinds = 0..map.tables.len();
    if circle {
        // Each round goes down from the rows that the round before found.
        let ends = kinds.clone();
        let ends: String = ends
            .map(|kind| format!("    lethe.e{kind} := cardinality(lethe.c{kind});\n"))
            .collect();
        body += &format!("    loop\n    lethe.before := lethe.found;\n{ends}");
    }
    for kind in &order.downwards {
        body += &of_kind(map, order, *kind);
    }
    if circle {
        let counts = kinds.clone();
        let counts: Vec<String> = counts
            .map(|kind| format!("cardinality(lethe.c{kind})"))
            .collect();
        let ends = kinds.clone();
        let ends: String = ends
            .map(|kind| format!("    lethe.b{kind} := lethe.e{kind};\n"))
            .collect();
        body += &format!(
            "{ends}    lethe.found := {};\n    exit when lethe.found = lethe.before;\n    end loop;\n",
            counts.join(" + ")
        );
    }
    let results = order.downwards.iter().map(|kind| {
        format!("select {kind}, u.part, u.place from unnest(lethe.p{kind}, lethe.c{kind}) u (part, place)")
    });
    let results: Vec<String> = results.collect();
    if !results.is_empty() {
        body += &format!(
            "    return query {};\n",
            results.join("\n        union all ")
        );
    }
    Function {
        signature: "choose(of_user text, user_key text, of_type text, of_id text, max_rows int)"
            .to_owned(),
        returns: "returns table (kind int, part oid, place tid)",
        volatility: "volatile",
        variables: user_variables(map, "choose")
            + &place_variables(map)
            + "    np oid[];\n    nc tid[];\n    found int := 0;\n    before int := 0;\n"
            + &kinds
                .filter(|_| circle)
                .map(|kind| format!("    b{kind} int := 0;\n    e{kind} int := 0;\n"))
                .collect::<String>(),
        body,
    }
    .sql()
}

/// The rows to begin with: the user's own, or the one row.
fn start(map: &BoundMap<'_>) -> String {
    let mut text = String::new();
    if let (BoundUser::Rows { id, clerk_id }, Some(root)) = (map.user, map.tables.first()) {
        let table = &root.table.sql;
        let by_id = match id.number == clerk_id.number {
            true => String::new(),
            false => format!(" or u.{} {} lethe.id", id.sql, id.equals),
        };
        text += &format!(
            "    if choose.of_type is null then\n        \
             select coalesce(array_agg(x.part), '{{}}'), coalesce(array_agg(x.place), '{{}}') into lethe.p0, lethe.c0 from (\n            \
             select u.tableoid as part, u.ctid as place from {table} u where u.{} {} lethe.clerk_id{by_id} for update skip locked) x;\n    \
             end if;\n",
            clerk_id.sql, clerk_id.equals
        );
    }
    for (kind, table) in map
        .tables
        .iter()
        .enumerate()
        .filter(|(_, table)| table.mapped.is_api)
    {
        text += &format!(
            "    if choose.of_type = {} then\n        \
             select coalesce(array_agg(x.part), '{{}}'), coalesce(array_agg(x.place), '{{}}') into lethe.p{kind}, lethe.c{kind} from (\n            \
             select t.tableoid as part, t.ctid as place from {} t where {} for update skip locked) x;\n    end if;\n",
            type_literal(map, kind),
            table.table.sql,
            has_key(table.table, "t", "choose.of_id")
        );
    }
    text
}

/// How the rows are found that a reference chooses.
struct Place {
    /// What stands behind `from`.
    from: String,
    condition: String,
    /// The condition on the call without which there are no such rows.
    only: String,
}

/// None if the erased user does not lead to these rows.
fn place(map: &BoundMap<'_>, order: &Order, reference: &Reference<'_>) -> Option<Place> {
    let child = &map.tables[reference.child].table.sql;
    let Parent::Row(parent) = reference.parent else {
        let only = match order.has_circle() {
            true => "choose.of_type is null and lethe.found = 0",
            false => "choose.of_type is null",
        };
        return Some(Place {
            from: format!("{child} c"),
            condition: of_user(map, reference, "c")?,
            only: only.to_owned(),
        });
    };
    let (slice, only) = match order.has_circle() {
        true => (
            format!("[lethe.b{parent} + 1:lethe.e{parent}]"),
            format!("lethe.e{parent} > lethe.b{parent}"),
        ),
        false => (String::new(), format!("cardinality(lethe.c{parent}) > 0")),
    };
    Some(Place {
        from: format!(
            "unnest(lethe.p{parent}{slice}, lethe.c{parent}{slice}) d (part, place)\n            \
             join {} p on p.tableoid = d.part and p.ctid = d.place\n            join {child} c on {}",
            map.tables[parent].table.sql,
            of_row(reference, "p", "c")
        ),
        condition: "true".to_owned(),
        only,
    })
}

fn of_kind(map: &BoundMap<'_>, order: &Order, kind: usize) -> String {
    let references: Vec<_> = map
        .references
        .iter()
        .filter(|one| one.child == kind && one.rule.action == Action::Delete)
        .collect();
    let mut text = String::new();
    for reference in &references {
        let is_new = match order.has_circle() {
            true => format!(
                "\n              and (c.tableoid, c.ctid) not in (select u.part, u.place from unnest(lethe.p{kind}, lethe.c{kind}) u (part, place))"
            ),
            false => String::new(),
        };
        let Some(Place {
            from,
            condition,
            only,
        }) = place(map, order, reference)
        else {
            continue;
        };
        // Two parents can have the same child where no foreign key makes them unique.
        let once = match order.has_circle() {
            true => {
                "        select array_agg(x.part), array_agg(x.place) into lethe.np, lethe.nc from (\n            \
                     select distinct u.part, u.place from unnest(lethe.np, lethe.nc) u (part, place)) x;\n"
            }
            false => "",
        };
        text += &format!(
            "    if {only} then\n        select array_agg(x.part), array_agg(x.place) into lethe.np, lethe.nc from (\n            \
             select c.tableoid as part, c.ctid as place from {from}\n            where {condition}{is_new}\n            \
             limit choose.max_rows for update of c skip locked) x;\n{once}        \
             lethe.p{kind} := lethe.p{kind} || coalesce(lethe.np, '{{}}');\n        \
             lethe.c{kind} := lethe.c{kind} || coalesce(lethe.nc, '{{}}');\n    end if;\n"
        );
    }
    let is_start = map.tables[kind].mapped.is_api || map.tables[kind].is_root;
    let is_repeated = references.len() > 1 || is_start;
    if is_repeated && !references.is_empty() && !order.has_circle() {
        text += &format!(
            "    if cardinality(lethe.c{kind}) > 1 then\n        \
             select array_agg(x.part), array_agg(x.place) into lethe.p{kind}, lethe.c{kind} from (\n            \
             select distinct u.part, u.place from unnest(lethe.p{kind}, lethe.c{kind}) u (part, place)) x;\n    end if;\n"
        );
    }
    text
}

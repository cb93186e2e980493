//! `remove_entities`: removes many rows that are deleted alone, each with what goes along with it, in a few statements.
//!
//! In the SQL, `lethe.x` is a variable (frame.rs), and `lethe.cleanup_tasks` a table. Of the rows that were found of kind
//! `K`, `pK`, `cK` and `tK` are the partitions, the places in them (ctid) and the tasks; `nX` are the newest ones.

use super::conditions::{has_key, id_text, no_child, of_row, points_at, type_literal};
use super::frame::{AS_APPLICATION, Function, place_variables};
use super::keys::is_answered_within;
use super::order::Order;
use crate::map::bind::{BoundMap, Parent};
use crate::map::format::Action;

/// `remove_entities(of_type, tasks, ids, max_rows)`: what each of these tasks removed, by type, and whether its row is
/// gone. `tasks[n]` deletes the row `ids[n]`. What is left, because somebody holds a row or there are more than
/// `max_rows`, is for `remove_rows`, as is a type of which more than removals is to be done, or whose rows refer to
/// each other in a circle.
pub(super) fn remove_entities(map: &BoundMap<'_>, order: &Order) -> String {
    let kinds = 0..map.tables.len();
    let body: String = kinds
        .filter(|kind| map.tables[*kind].mapped.is_api)
        .filter_map(|kind| Some(branch_of_type(map, kind, &only_removed(map, order, kind)?)))
        .collect();
    let of_places = place_variables(map);
    let of_tasks: String = (0..map.tables.len())
        .map(|kind| format!("    t{kind} bigint[] := '{{}}';\n"))
        .collect();
    Function {
        signature: "remove_entities(of_type text, tasks bigint[], ids text[], max_rows int)"
            .to_owned(),
        returns: "returns table (task bigint, rows jsonb, is_gone boolean)",
        volatility: "volatile",
        variables: of_places
            + &of_tasks
            + "    np oid[];\n    nc tid[];\n    nt bigint[];\n    ni text[];\n    \
               gone_tasks bigint[] := '{}';\n    gone_types text[] := '{}';\n    gone_ids text[] := '{}';\n",
        body: AS_APPLICATION.to_owned() + &body,
    }
    .sql()
}

/// The kinds (places in `map.tables`) that go along with rows of this kind, parents first, itself included; `None` if
/// more is to be done of them than to remove them.
fn only_removed(map: &BoundMap<'_>, order: &Order, kind: usize) -> Option<Vec<usize>> {
    let below = order.below(kind);
    let is_changed = map.references.iter().any(|reference| {
        reference.rule.action != Action::Delete
            && below.iter().any(|kind| points_at(map, reference, *kind))
    });
    let needs_row_by_row =
        |kind: &usize| map.tables[*kind].is_root || order.is_circle(*kind, *kind);
    (!is_changed && !below.iter().any(needs_row_by_row)).then_some(below)
}

fn branch_of_type(map: &BoundMap<'_>, root: usize, below: &[usize]) -> String {
    let table = map.tables[root].table;
    let row = has_key(table, "c", "n.id");
    let mut text = format!(
        "    if remove_entities.of_type = {} then\n{}",
        type_literal(map, root),
        found(
            root,
            &format!(
                "select c.tableoid as part, c.ctid as place, n.task from unnest(remove_entities.tasks, remove_entities.ids) n (task, id)\n            \
                 join {} c on {row} for update of c skip locked",
                table.sql
            )
        )
    );
    for kind in below.iter().copied() {
        for reference in &map.references {
            let Parent::Row(parent) = reference.parent else {
                continue;
            };
            if reference.child != kind
                || reference.rule.action != Action::Delete
                || !below.contains(&parent)
            {
                continue;
            }
            text += &found(
                kind,
                &format!(
                    "select c.tableoid as part, c.ctid as place, d.task from unnest(lethe.p{parent}, lethe.c{parent}, lethe.t{parent}) d (part, place, task)\n            \
                     join {} p on p.tableoid = d.part and p.ctid = d.place\n            join {} c on {}\n            \
                     limit remove_entities.max_rows for update of c skip locked",
                    map.tables[parent].table.sql,
                    map.tables[kind].table.sql,
                    of_row(reference, "p", "c")
                ),
            );
        }
    }
    text += &below
        .iter()
        .rev()
        .map(|kind| delete(map, *kind))
        .collect::<String>();
    text + &format!(
        "        return query select x.task, jsonb_object_agg(x.type, x.ids) filter (where x.type is not null), bool_and(x.is_gone)\n        \
         from (\n            \
         select g.task, g.type, jsonb_agg(g.id) as ids, true as is_gone\n            \
         from unnest(lethe.gone_tasks, lethe.gone_types, lethe.gone_ids) g (task, type, id) group by g.task, g.type\n            \
         union all\n            \
         select n.task, null, null, not exists (select from {} c where {row})\n            \
         from unnest(remove_entities.tasks, remove_entities.ids) n (task, id)) x\n        group by x.task;\n    end if;\n",
        table.sql
    )
}

/// Adds rows to those of a kind, each with its task.
fn found(kind: usize, rows: &str) -> String {
    format!(
        "        select array_agg(x.part), array_agg(x.place), array_agg(x.task) into lethe.np, lethe.nc, lethe.nt from (\n            \
         {rows}) x;\n        \
         lethe.p{kind} := lethe.p{kind} || coalesce(lethe.np, '{{}}');\n        \
         lethe.c{kind} := lethe.c{kind} || coalesce(lethe.nc, '{{}}');\n        \
         lethe.t{kind} := lethe.t{kind} || coalesce(lethe.nt, '{{}}');\n"
    )
}

/// Removes the rows of one kind whose objects are all among the keys of their task, and that no row references.
fn delete(map: &BoundMap<'_>, kind: usize) -> String {
    let table = &map.tables[kind];
    format!(
        "        with gone as (\n            \
         delete from {} c using unnest(lethe.p{kind}, lethe.c{kind}, lethe.t{kind}) d (part, place, task)\n            \
         join lethe.cleanup_tasks of_task on of_task.id = d.task\n            \
         where c.tableoid = d.part and c.ctid = d.place{}{}\n            returning d.task, {} as id\n        )\n        \
         select array_agg(g.task), array_agg(g.id) into lethe.nt, lethe.ni from gone g;\n        \
         if lethe.nt is not null then\n            \
         lethe.gone_tasks := lethe.gone_tasks || lethe.nt;\n            \
         lethe.gone_types := lethe.gone_types || array_fill({}::text, array[cardinality(lethe.nt)]);\n            \
         lethe.gone_ids := lethe.gone_ids || lethe.ni;\n        end if;\n",
        table.table.sql,
        // Rows that name an object outside of what the map allows have a part of their own, so they are not among these.
        is_answered_within(table, "of_task.object_keys"),
        no_child(map, kind, "c"),
        id_text(table.table),
        type_literal(map, kind)
    )
}

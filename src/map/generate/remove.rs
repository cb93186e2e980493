//! `remove_rows`: anonymises and detaches what stays, and removes what goes, children before their parents.

use super::conditions::{count, id_text, key_text, no_child, of_row, of_user, type_literal};
use super::frame::{
    AS_APPLICATION, Function, find_user, is_among, place_variables, user_variables,
};
use super::keys::{is_answered, is_answered_of_kept};
use super::order::Order;
use super::quote::{constant, literal};
use super::rows::{emptied, not_emptied};
use super::{SCHEMA, circle};
use crate::map::bind::{BoundChanges, BoundMap, BoundTable, BoundUser, Parent, Reference};
use crate::map::catalog::{Column, Table};
use crate::map::format::{Action, Constant};

/// `remove_rows(of_user, user_key, of_type, of_id, answered, max_rows)`: one bounded step of an erasure. It returns the
/// removed rows by type, the rows that stay for a reason, and how many rows were changed in any way.
pub(super) fn remove_rows(map: &BoundMap<'_>, order: &Order) -> String {
    let mut body = AS_APPLICATION.to_owned()
        + &find_user(map, "remove_rows")
        + "    remove_rows.removed := '{}';\n    remove_rows.kept := '[]';\n    remove_rows.changed := 0;\n"
        + &chosen(map);
    for reference in &map.references {
        if reference.rule.action == Action::Delete {
            continue;
        }
        if map.tables[reference.child].is_root && map.kept_user().is_some() {
            // The user's own row is among those that were chosen, and stays.
            body += &change(map, reference, Rows::All);
            continue;
        }
        body += &change(map, reference, Rows::Staying);
        let parent = super::order::parent_kind(map, reference);
        // A row that goes later than what it points at, or with it, must let go of it first.
        let lets_go = parent.is_some_and(|parent| {
            parent == reference.child || order.goes_after(reference.child, parent)
        });
        if lets_go {
            body += &change(map, reference, Rows::Going);
        }
    }
    let mut done = vec![false; map.tables.len()];
    for kind in order.downwards.iter().copied().rev() {
        if done[kind] {
            continue;
        }
        let members = order.circle(kind);
        for member in &members {
            done[*member] = true;
        }
        // What hangs on a circle was removed before.
        body += &match order.is_circle(kind, kind) {
            true => circle::delete(map, &members),
            false => delete(map, kind),
        };
    }
    body += &root(map);
    Function {
        signature: "remove_rows(of_user text, user_key text, of_type text, of_id text, answered text[], max_rows int,\n    \
                    out removed jsonb, out kept jsonb, out changed int)"
            .to_owned(),
        returns: "",
        volatility: "volatile",
        variables: user_variables(map, "remove_rows")
            + &place_variables(map)
            + "    ids jsonb;\n    gone jsonb;\n    n int;\n    found int;\n    is_pending boolean := false;\n",
        body,
    }
    .sql()
}

/// Fills the arrays of all kinds.
fn chosen(map: &BoundMap<'_>) -> String {
    let kinds = 0..map.tables.len();
    let columns: Vec<String> = kinds
        .clone()
        .map(|kind| format!("coalesce(array_agg(x.part) filter (where x.kind = {kind}), '{{}}'), coalesce(array_agg(x.place) filter (where x.kind = {kind}), '{{}}')"))
        .collect();
    let into: Vec<String> = kinds
        .map(|kind| format!("lethe.p{kind}, lethe.c{kind}"))
        .collect();
    match columns.is_empty() {
        true => String::new(),
        false => format!(
            "    select {}\n    into {}\n    from {SCHEMA}.choose(remove_rows.of_user, remove_rows.user_key, remove_rows.of_type, remove_rows.of_id, remove_rows.max_rows) x;\n",
            columns.join(",\n        "),
            into.join(", ")
        ),
    }
}

/// Which rows of a rule are changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// Those that stay.
    Staying,
    /// Those that go: they only let go of what the reference points at, because others may point at their other columns.
    Going,
    All,
}

/// What a rule writes into the rows that it changes.
struct Change {
    /// The assignments. Without any there is nothing to do.
    set: Vec<String>,
    /// Conditions, of which one holds for a row that does not have these values yet.
    differs: Vec<String>,
    /// The condition that the store has answered for the row's objects, or nothing.
    answered: String,
}

impl Change {
    fn of(map: &BoundMap<'_>, reference: &Reference<'_>, rows: Rows) -> Self {
        let table = &map.tables[reference.child];
        let lets_go = |column: &Column| {
            rows != Rows::Going
                || reference
                    .columns
                    .iter()
                    .any(|one| one.number == column.number)
        };
        let (mut set, mut differs) = assignments(table.table, &reference.changes, lets_go);
        if is_detach(reference) {
            for column in reference.columns.iter().filter(|column| !column.not_null) {
                set.push(format!("{} = null", column.sql));
            }
            differs.clear();
        }
        let mut answered = String::new();
        // Of users, only the one who is erased gives up objects.
        if !is_detach(reference) && rows != Rows::Going && !table.is_root {
            let emptied = emptied(table);
            if !emptied.is_empty() {
                answered = is_answered_of_kept(map, table, "remove_rows.answered");
                set.extend(emptied);
                differs.extend(not_emptied(table));
            }
        }
        Self {
            set,
            differs,
            answered,
        }
    }
}

fn is_detach(reference: &Reference<'_>) -> bool {
    reference.rule.action == Action::Detach
}

/// How the rows are found that a rule changes.
struct Place {
    /// What stands behind `from`.
    from: String,
    condition: String,
    /// The condition on the call without which there are no such rows.
    only: String,
}

impl Place {
    /// None if the erased user does not lead to these rows.
    fn of(map: &BoundMap<'_>, reference: &Reference<'_>) -> Option<Self> {
        let sql = &map.tables[reference.child].table.sql;
        if let Parent::Row(parent) = &reference.parent {
            return Some(Self {
                from: format!(
                    "unnest(lethe.p{parent}, lethe.c{parent}) d (part, place) join {} p on p.tableoid = d.part and p.ctid = d.place \
                     join {sql} c on {}",
                    map.tables[*parent].table.sql,
                    of_row(reference, "p", "c")
                ),
                condition: "true".to_owned(),
                only: format!("cardinality(lethe.c{parent}) > 0"),
            });
        }
        Some(Self {
            from: format!("{sql} c"),
            condition: of_user(map, reference, "c")?,
            only: "remove_rows.of_type is null".to_owned(),
        })
    }
}

/// The statement that adds changed rows to what the receipt says is kept.
fn count_kept(map: &BoundMap<'_>, reference: &Reference<'_>) -> String {
    format!(
        "        remove_rows.kept := remove_rows.kept || jsonb_build_array(jsonb_build_object('type', {}, 'rows', lethe.n, 'why', {}));\n",
        type_literal(map, reference.child),
        literal(reference.rule.why.as_deref().unwrap_or_default())
    )
}

/// Detaches or anonymises rows of one rule.
fn change(map: &BoundMap<'_>, reference: &Reference<'_>, rows: Rows) -> String {
    let kind = reference.child;
    let sql = &map.tables[kind].table.sql;
    let Change {
        set,
        differs,
        answered,
    } = Change::of(map, reference, rows);
    let place = Place::of(map, reference).filter(|_| !set.is_empty());
    let Some(Place {
        from,
        condition,
        only,
    }) = place
    else {
        return String::new();
    };
    let going = match rows {
        Rows::Staying => format!(" and not ({})", is_among(kind, "c")),
        Rows::Going => format!(" and {}", is_among(kind, "c")),
        Rows::All => String::new(),
    };
    let differs = match differs.is_empty() {
        true => String::new(),
        false => format!(" and ({})", differs.join(" or ")),
    };
    // A row that its reference still finds is counted at the end.
    let is_counted_later =
        is_detach(reference) || rows == Rows::Going || is_found_again(map, reference);
    let counted = match is_counted_later {
        false => count_kept(map, reference),
        true => String::new(),
    };
    // Rows that were chosen have another place now.
    let chosen = match rows {
        Rows::Staying => String::new(),
        Rows::Going | Rows::All => chosen(map),
    };
    // The user's row that stays is made anonymous when no row is left to be changed, because some are found by it.
    let (find, compare) = match map.kept_user() {
        Some(_) => (
            format!(
                "        select count(*) into lethe.found from (\n            select from {from} where {condition}{going}{differs} limit remove_rows.max_rows + 1) x;\n"
            ),
            "        lethe.is_pending := lethe.is_pending or lethe.n < lethe.found;\n",
        ),
        None => (String::new(), ""),
    };
    format!(
        "    if {only} then\n{find}        with hit as materialized (\n            select c.tableoid as part, c.ctid as place from {from}\n            \
         where {condition}{going}{differs}{answered}\n            limit remove_rows.max_rows for update of c skip locked)\n        \
         update {sql} c set {} from hit d where c.tableoid = d.part and c.ctid = d.place;\n        \
         get diagnostics lethe.n = row_count;\n{compare}        if lethe.n > 0 then\n        \
         remove_rows.changed := remove_rows.changed + lethe.n;\n{counted}{chosen}        end if;\n    end if;\n",
        set.join(", ")
    )
}

/// Whether a kept row still names its user when it was made anonymous, because the user's row stays.
pub(super) fn is_found_again(map: &BoundMap<'_>, reference: &Reference<'_>) -> bool {
    let mut columns = reference.columns.iter();
    map.parent_stays(reference) && !columns.any(|column| reference.changes.changes(column))
}

/// What the columns of a row become, as far as `of` takes them, and conditions that the row `c` still has something else.
fn assignments(
    table: &Table,
    changes: &BoundChanges<'_>,
    of: impl Fn(&Column) -> bool,
) -> (Vec<String>, Vec<String>) {
    let (mut set, mut differs) = (Vec::new(), Vec::new());
    for (column, value) in changes.set.iter().filter(|(column, _)| of(column)) {
        let value = value_of(table, column, value);
        differs.push(format!(
            "c.{}::text is distinct from ({value})::text",
            column.sql
        ));
        set.push(format!("{} = {value}", column.sql));
    }
    for column in changes.clear.iter().filter(|column| of(column)) {
        differs.push(format!("c.{} is not null", column.sql));
        set.push(format!("{} = null", column.sql));
    }
    (set, differs)
}

fn value_of(table: &Table, column: &Column, value: &Constant) -> String {
    match (value, key_text(table, "c")) {
        (Constant::Text(text), Some(key)) if text.contains("{pk}") => {
            format!(
                "replace({}, '{{pk}}', {key})::{}",
                literal(text),
                column.type_sql
            )
        }
        _ => constant(value, column),
    }
}

/// Removes the chosen rows of one kind on which nothing hangs.
fn delete(map: &BoundMap<'_>, kind: usize) -> String {
    let table = &map.tables[kind];
    if table.is_root && map.kept_user().is_some() {
        return String::new();
    }
    format!(
        "    if cardinality(lethe.c{kind}) > 0 then\n    with gone as (\n        {}\n    )\n    \
         select jsonb_agg(g.id) into lethe.ids from gone g;\n{}    end if;\n",
        delete_from(map, table, kind, &no_child(map, kind, "c")),
        count(map, kind)
    )
}

fn delete_from(map: &BoundMap<'_>, table: &BoundTable<'_>, kind: usize, also: &str) -> String {
    format!(
        "delete from {} c using unnest(lethe.p{kind}, lethe.c{kind}) d (part, place)\n        \
         where c.tableoid = d.part and c.ctid = d.place{}{also}\n        returning {} as id",
        table.table.sql,
        is_answered(map, table, "remove_rows.answered"),
        id_text(table.table)
    )
}

/// The user's own row, if it stays: it is made anonymous when nothing else is left.
fn root(map: &BoundMap<'_>) -> String {
    let (Some(keep), Some(table), BoundUser::Rows { .. }) =
        (&map.map.user.keep, map.tables.first(), map.user)
    else {
        return String::new();
    };
    let columns = |names: &[String]| -> Vec<&Column> {
        names
            .iter()
            .filter_map(|name| table.table.column(name))
            .collect()
    };
    let changes = BoundChanges {
        set: keep
            .changes
            .set
            .iter()
            .filter_map(|(name, value)| Some((table.table.column(name)?, value)))
            .collect(),
        clear: columns(&keep.changes.clear),
        leave: Vec::new(),
    };
    let (mut set, mut differs) = assignments(table.table, &changes, |_| true);
    differs.extend(not_emptied(table));
    let emptied = emptied(table);
    let answered = is_answered_of_kept(map, table, "remove_rows.answered");
    set.extend(emptied);
    if set.is_empty() || differs.is_empty() {
        return String::new();
    }
    format!(
        "    if remove_rows.of_type is null and cardinality(lethe.c0) > 0 and not lethe.is_pending and not exists (\n        \
         select from {SCHEMA}.choose(remove_rows.of_user, remove_rows.user_key, null, null, 1) x where x.kind <> 0) then\n        \
         update {} c set {} from unnest(lethe.p0, lethe.c0) d (part, place)\n        \
         where c.tableoid = d.part and c.ctid = d.place and ({}){answered};\n        \
         get diagnostics lethe.n = row_count;\n        if lethe.n > 0 then\n            \
         remove_rows.changed := remove_rows.changed + lethe.n;\n            \
         remove_rows.kept := remove_rows.kept || jsonb_build_array(jsonb_build_object('type', {}, 'rows', lethe.n, 'why', {}));\n        \
         end if;\n    end if;\n",
        table.table.sql,
        set.join(", "),
        differs.join(" or "),
        type_literal(map, 0),
        literal(&keep.why)
    )
}

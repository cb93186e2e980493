//! Conditions on rows. `c` is a row of the child's table, `p` one of the parent's; the ids of the user are the variables
//! `lethe.id` and `lethe.clerk_id`.

use super::order::Order;
use super::quote::{constant, literal};
use crate::map::bind::{BoundMap, BoundTable, BoundUser, Parent, Reference, equal};
use crate::map::catalog::{Column, OnDelete, Table};
use crate::map::format::Action;

/// The text of a parameter, as if it were a column.
pub(super) fn text_column() -> Column {
    super::closure::text_column()
}

/// The text that identifies a row: its key; of a composite key the JSON array of its parts. `None` without a key.
pub(super) fn key_text(table: &Table, alias: &str) -> Option<String> {
    let columns = key_columns(table);
    match columns.as_slice() {
        [] => None,
        [column] => Some(format!("{alias}.{}::text", column.sql)),
        columns => {
            let parts = columns.iter();
            let parts: Vec<String> = parts
                .map(|column| format!("{alias}.{}::text", column.sql))
                .collect();
            Some(format!("jsonb_build_array({})::text", parts.join(", ")))
        }
    }
}

/// The key of a table, if its text is the same under all settings.
pub(super) fn key_columns(table: &Table) -> Vec<&Column> {
    let key = table.key();
    match key.iter().all(|column| column.family.is_stable()) {
        true => key,
        false => Vec::new(),
    }
}

/// That a row has this key. `id` is an expression of type text.
pub(super) fn has_key(table: &Table, alias: &str, id: &str) -> String {
    let columns = key_columns(table);
    if let [column] = columns.as_slice() {
        return format!(
            "{alias}.{} {} {}",
            column.sql,
            column.equals,
            cast(id, column)
        );
    }
    let parts = columns.iter().enumerate().map(|(place, column)| {
        let part = cast(&format!("(({id})::jsonb ->> {place})"), column);
        format!("{alias}.{} {} {part}", column.sql, column.equals)
    });
    let parts: Vec<String> = parts.collect();
    match parts.is_empty() {
        true => "false".to_owned(),
        false => parts.join(" and "),
    }
}

fn cast(text: &str, column: &Column) -> String {
    format!("({text})::{}", column.base_sql)
}

/// That `c` references the user by the value of an id. `None` for a reference to a row.
pub(super) fn of_user(map: &BoundMap<'_>, reference: &Reference<'_>, c: &str) -> Option<String> {
    let text = text_column();
    let (variable, of_user) = match (&reference.parent, map.user) {
        (Parent::Row(_), _) => return None,
        (Parent::UserId, BoundUser::Rows { id, .. }) => ("lethe.id", id),
        (_, BoundUser::Rows { clerk_id, .. }) => ("lethe.clerk_id", clerk_id),
        _ => ("lethe.clerk_id", &text),
    };
    let columns = reference.columns.iter();
    let conditions = columns.map(|column| {
        equal(
            (&format!("{c}.{}", column.sql), column),
            (variable, of_user),
        )
    });
    Some(all(conditions.chain(discriminator(reference, c))))
}

/// That `c` references the row `p`; of a reference by value the user's row.
pub(super) fn of_row(reference: &Reference<'_>, p: &str, c: &str) -> String {
    let pairs = reference.parent_columns.iter().zip(&reference.columns);
    let conditions = pairs.enumerate().map(|(at, (parent, child))| {
        let (left, right) = (format!("{p}.{}", parent.sql), format!("{c}.{}", child.sql));
        let of_key = reference.foreign_key.as_ref();
        match of_key.and_then(|edge| edge.key.equals.get(at)) {
            Some(equals) => format!("{left} {equals} {right}"),
            None => equal((&left, parent), (&right, child)),
        }
    });
    all(conditions.chain(discriminator(reference, c)))
}

fn all(conditions: impl Iterator<Item = String>) -> String {
    let conditions: Vec<String> = conditions.collect();
    match conditions.is_empty() {
        true => "false".to_owned(),
        false => conditions.join(" and "),
    }
}

fn discriminator<'r>(
    reference: &'r Reference<'_>,
    c: &'r str,
) -> impl Iterator<Item = String> + 'r {
    reference.discriminator.iter().map(move |(column, value)| {
        let value = constant(value, column);
        format!("{c}.{} {} {value}", column.sql, column.equals)
    })
}

/// Rows `x` that reference a row: their table, and the condition.
pub(super) struct Children<'m> {
    /// The place of the table in the map. Rows of no rule, which the database itself would delete or change, have none.
    pub(super) kind: Option<usize>,
    sql: &'m str,
    condition: String,
}

impl Children<'_> {
    /// That there is such a row, of which `also` is true.
    pub(super) fn exist(&self, also: &str) -> String {
        format!(
            "exists (select from {} x where {}{also})",
            self.sql, self.condition
        )
    }
}

/// Whatever references the row `c` of the `kind`: the children of all rules, whatever their action, and the rows that the
/// database itself would delete or change.
pub(super) fn children<'m>(map: &'m BoundMap<'_>, kind: usize, c: &str) -> Vec<Children<'m>> {
    let references = map
        .references
        .iter()
        .filter(|one| points_at(map, one, kind));
    let mut children: Vec<Children<'m>> = references
        .map(|reference| {
            let mut condition = of_row(reference, c, "x");
            if reference.child == kind {
                // A row that references itself is no child of its own.
                condition += &format!(" and (x.tableoid, x.ctid) <> ({c}.tableoid, {c}.ctid)");
            }
            Children {
                kind: Some(reference.child),
                sql: &map.tables[reference.child].table.sql,
                condition,
            }
        })
        .collect();
    let table = map.tables[kind].table;
    for edge in map.edges.iter().filter(|edge| edge.parent.id == table.id) {
        let acts = matches!(
            edge.key.on_delete,
            OnDelete::Cascade | OnDelete::SetNull | OnDelete::SetDefault
        );
        let is_ruled = map.references.iter().any(|reference| {
            let of_key = reference.foreign_key.as_ref();
            of_key.is_some_and(|known| {
                known.child.id == edge.child.id && known.key.columns == edge.key.columns
            })
        });
        if acts && !is_ruled {
            let pairs = edge.parent_columns.iter().zip(&edge.columns).enumerate();
            let pairs = pairs.map(|(at, (parent, child))| {
                let equals = edge.key.equals.get(at).unwrap_or(&parent.equals);
                format!("{c}.{} {equals} x.{}", parent.sql, child.sql)
            });
            children.push(Children {
                kind: None,
                sql: &edge.child.sql,
                condition: all(pairs),
            });
        }
    }
    children
}

/// Conditions that nothing references the row `c` of the `kind`.
pub(super) fn no_child(map: &BoundMap<'_>, kind: usize, c: &str) -> String {
    let children = children(map, kind, c).into_iter();
    children
        .map(|one| format!("\n          and not {}", one.exist("")))
        .collect()
}

/// Whether `c` has a child that a `delete` rule takes along. Rows that can hang on each other in a circle are not asked:
/// none of them would be without a child.
pub(super) fn has_doomed_child(map: &BoundMap<'_>, order: &Order, kind: usize, c: &str) -> String {
    let references = map.references.iter().filter(|reference| {
        reference.rule.action == Action::Delete
            && points_at(map, reference, kind)
            && !order.is_circle(reference.child, kind)
    });
    let tests: Vec<String> = references
        .map(|reference| {
            let child = &map.tables[reference.child].table.sql;
            let condition = of_row(reference, c, "x");
            format!("exists (select from {child} x where {condition})")
        })
        .collect();
    match tests.is_empty() {
        true => "false".to_owned(),
        false => format!("({})", tests.join(" or ")),
    }
}

/// Whether a reference leads to rows of this kind.
pub(super) fn points_at(map: &BoundMap<'_>, reference: &Reference<'_>, kind: usize) -> bool {
    match reference.parent {
        Parent::Row(place) => place == kind,
        Parent::UserId | Parent::ClerkId => {
            map.tables[kind].is_root && !reference.parent_columns.is_empty()
        }
    }
}

/// That a row is soft-deleted; `None` without a column that says so.
pub(super) fn is_soft_deleted(table: &BoundTable<'_>, alias: &str) -> Option<String> {
    match (table.deleted_at, table.flag) {
        (Some(at), _) => Some(format!(
            "coalesce({alias}.{}::timestamptz <= now(), false)",
            at.sql
        )),
        (None, Some(flag)) => Some(format!("coalesce({alias}.{}, false)", flag.sql)),
        (None, None) => None,
    }
}

/// The name of a kind as a literal.
pub(super) fn type_literal(map: &BoundMap<'_>, kind: usize) -> String {
    literal(&map.tables[kind].mapped.type_name)
}

/// The text of the key of the row `c`; of a table without a key, a sign that stands for each row.
pub(super) fn id_text(table: &Table) -> String {
    key_text(table, "c").unwrap_or_else(|| "'-'".to_owned())
}

/// Counts the removed rows of a kind, whose ids are in `lethe.ids`, in the results of `remove_rows`.
pub(super) fn count(map: &BoundMap<'_>, kind: usize) -> String {
    let name = type_literal(map, kind);
    format!(
        "    if lethe.ids is not null then\n        \
         remove_rows.removed := remove_rows.removed || jsonb_build_object({name}, coalesce(remove_rows.removed -> {name}, '[]') || lethe.ids);\n        \
         remove_rows.changed := remove_rows.changed + jsonb_array_length(lethe.ids);\n    end if;\n"
    )
}

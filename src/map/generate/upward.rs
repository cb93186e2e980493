//! Functions that look from a row upwards, along the `delete` rules: whether an erasure that has begun takes it,
//! whether a deletion that can still be taken back would, and whose row it is.
//!
//! A function calls those of its parents, of which there are as many as the map has tables at most. Rows of a circle of
//! rules can hang on each other in chains and rings of any length, so each of them is looked at once there.

use super::SCHEMA;
use super::conditions::{key_text, of_row, type_literal};
use super::frame::Function;
use super::order::Order;
use crate::map::bind::{BoundMap, BoundUser, Parent, Reference};
use crate::map::format::Action;

/// `goes_K(row, its partition, its place)` and `rests_K(…)` of each kind.
pub(super) fn states(map: &BoundMap<'_>, order: &Order) -> String {
    let mut text = String::new();
    for state in [GOES, RESTS] {
        // The functions call each other, so all of them must be there before the first is compiled; PL/pgSQL looks a
        // function up when it runs.
        for kind in 0..map.tables.len() {
            text += &state.function(map, order, kind);
        }
    }
    text
}

/// A pair of functions of schema `lethe` that say something of a user and of a row that is deleted alone.
struct State {
    name: &'static str,
    entity: &'static str,
    user: &'static str,
}

const GOES: State = State {
    name: "goes",
    entity: "is_going_entity",
    user: "is_going_user",
};
const RESTS: State = State {
    name: "rests",
    entity: "is_resting_entity",
    user: "is_resting_user",
};

/// That an erasure takes a row by what it names itself, or by a parent that stands in no circle with it.
pub(super) fn goes_itself(map: &BoundMap<'_>, order: &Order, kind: usize, row: &str) -> String {
    let tests = GOES.tests(map, order, kind, row);
    match tests.is_empty() {
        true => "false".to_owned(),
        false => format!("({})", tests.join(" or ")),
    }
}

impl State {
    fn function(&self, map: &BoundMap<'_>, order: &Order, kind: usize) -> String {
        let function = format!("{}_{kind}", self.name);
        let tests = self.tests(map, order, kind, &format!("{function}.c"));
        let tests = match tests.is_empty() {
            true => "false".to_owned(),
            false => tests.join("\n        or "),
        };
        let body = match ring(map, order, kind, &function) {
            None => format!("    return {tests};\n"),
            Some(ring) => {
                let kinds = order.circle(kind).into_iter();
                let selects = kinds.filter_map(|of| {
                    let tests = self.tests(map, order, of, "r");
                    let condition = format!("({})", tests.join(" or "));
                    (!tests.is_empty()).then(|| of_ring(map, of, "1", &condition))
                });
                let selects: Vec<String> = selects.collect();
                match selects.is_empty() {
                    true => "    return false;\n".to_owned(),
                    false => format!(
                        "    if {tests} then\n        return true;\n    end if;\n    return exists (\n        {ring}\n        \
                         select from up u cross join lateral (\n            {}) x);\n",
                        selects.join("\n            union all\n            ")
                    ),
                }
            }
        };
        upward_function(map, kind, &function, "returns boolean", body)
    }

    /// Conditions of the row itself, and of its parents that stand in no circle with it.
    fn tests(&self, map: &BoundMap<'_>, order: &Order, kind: usize, row: &str) -> Vec<String> {
        let table = &map.tables[kind];
        let mut tests = Vec::new();
        if let (true, Some(key)) = (table.mapped.is_api, key_text(table.table, row)) {
            let name = type_literal(map, kind);
            tests.push(format!("lethe.{}({name}, {key})", self.entity));
        }
        if let (true, BoundUser::Rows { clerk_id, .. }) = (table.is_root, map.user) {
            tests.push(format!(
                "lethe.{}({row}.{}::text, null)",
                self.user, clerk_id.sql
            ));
        }
        for reference in upward(map, kind) {
            let discriminator = discriminator(reference, row);
            tests.push(match (&reference.parent, map.user) {
                (Parent::Row(parent), _) if order.is_circle(*parent, kind) => continue,
                (Parent::Row(parent), _) => format!(
                    "exists (select from {} p where {} and {})",
                    map.tables[*parent].table.sql,
                    of_row(reference, "p", row),
                    call(self.name, *parent, "p")
                ),
                (Parent::UserId, BoundUser::Rows { id, clerk_id })
                    if id.number != clerk_id.number =>
                {
                    let value = value(reference, row);
                    format!("(lethe.{}(null, {value}){discriminator})", self.user)
                }
                _ => format!(
                    "(lethe.{}({}, null){discriminator})",
                    self.user,
                    value(reference, row)
                ),
            });
        }
        tests
    }
}

/// `up (kind, part, place)`: the row and those of its circle that it hangs on, as the beginning of a statement; `None`
/// for a kind that stands in no circle.
fn ring(map: &BoundMap<'_>, order: &Order, kind: usize, function: &str) -> Option<String> {
    let steps = ring_parents(map, order, kind);
    (!steps.is_empty()).then(|| {
        format!(
            "with recursive up (kind, part, place) as (\n            \
             select {kind}, {function}.part, {function}.place\n            union\n            \
             select x.kind, x.part, x.place from up u cross join lateral (\n                {}) x (kind, part, place)\n        )",
            steps.join("\n                union all\n                ")
        )
    })
}

/// The parents in the circle of a kind of one row `u`, as selects of kind, part and place.
pub(super) fn ring_parents(map: &BoundMap<'_>, order: &Order, kind: usize) -> Vec<String> {
    ring_steps(map, order, kind, |child, parent, joined| {
        format!(
            "select {parent}, p.tableoid, p.ctid from {joined} where u.kind = {child} and r.tableoid = u.part and r.ctid = u.place"
        )
    })
}

/// The same of the children of a row `g`.
pub(super) fn ring_children(map: &BoundMap<'_>, order: &Order, kind: usize) -> Vec<String> {
    ring_steps(map, order, kind, |child, parent, joined| {
        format!(
            "select {child}, r.tableoid, r.ctid from {joined} where g.kind = {parent} and p.tableoid = g.part and p.ctid = g.place"
        )
    })
}

/// What `step` makes of each `delete` rule within the circle of a kind: of the kinds of child and parent, and of the
/// child's rows `r` joined with the parent's rows `p`.
fn ring_steps(
    map: &BoundMap<'_>,
    order: &Order,
    kind: usize,
    step: impl Fn(usize, usize, &str) -> String,
) -> Vec<String> {
    let mut steps = Vec::new();
    for child in order.circle(kind) {
        for reference in upward(map, child) {
            if let Parent::Row(parent) = reference.parent
                && order.is_circle(parent, child)
            {
                let joined = format!(
                    "{} r join {} p on {}",
                    map.tables[child].table.sql,
                    map.tables[parent].table.sql,
                    of_row(reference, "p", "r")
                );
                steps.push(step(child, parent, &joined));
            }
        }
    }
    steps
}

/// What `select` gives of the rows `r` of one kind among the rows `u` of a circle.
fn of_ring(map: &BoundMap<'_>, kind: usize, select: &str, condition: &str) -> String {
    format!(
        "select {select} from {} r where u.kind = {kind} and r.tableoid = u.part and r.ctid = u.place and {condition}",
        map.tables[kind].table.sql
    )
}

/// A function of a row and of its place, of which a row's value knows nothing.
fn upward_function(
    map: &BoundMap<'_>,
    kind: usize,
    name: &str,
    returns: &'static str,
    body: String,
) -> String {
    Function {
        signature: format!(
            "{name}(c {}, part oid, place tid)",
            map.tables[kind].table.sql
        ),
        returns,
        volatility: "stable",
        variables: String::new(),
        body,
    }
    .sql()
}

/// The value of a reference to a user.
fn value(reference: &Reference<'_>, row: &str) -> String {
    let mut columns = reference.columns.iter();
    columns.next().map_or("null".to_owned(), |column| {
        format!("{row}.{}::text", column.sql)
    })
}

fn discriminator(reference: &Reference<'_>, row: &str) -> String {
    let values = reference.discriminator.iter();
    values
        .map(|(column, value)| {
            let value = super::quote::constant(value, column);
            format!(" and {row}.{} {} {value}", column.sql, column.equals)
        })
        .collect()
}

/// The `delete` rules of a kind.
fn upward<'m, 'c>(map: &'m BoundMap<'c>, kind: usize) -> impl Iterator<Item = &'m Reference<'c>> {
    let references = map.references.iter();
    references.filter(move |one| one.child == kind && one.rule.action == Action::Delete)
}

/// `owner_K(row, its partition, its place)`: the Clerk id of the user whose row it is, by the first rule that leads to
/// one; null for nobody's.
pub(super) fn owners(map: &BoundMap<'_>, order: &Order) -> String {
    let kinds = 0..map.tables.len();
    kinds.map(|kind| owner(map, order, kind)).collect()
}

fn owner(map: &BoundMap<'_>, order: &Order, kind: usize) -> String {
    let function = format!("owner_{kind}");
    let owner = first_owner(map, order, kind, &format!("{function}.c"));
    let body = match ring(map, order, kind, &function) {
        None => format!("    return {owner};\n"),
        Some(ring) => {
            let selects = order
                .circle(kind)
                .into_iter()
                .map(|of| of_ring(map, of, &first_owner(map, order, of, "r"), "true"));
            let selects: Vec<String> = selects.collect();
            // The rows of a circle come in the order in which they were reached: the nearest owner is the first.
            format!(
                "    return coalesce({owner}, (\n        {ring}\n        \
                 select x.owner from (select w.*, row_number() over () as number from up w) u cross join lateral (\n            {}) x (owner)\n        \
                 where x.owner is not null order by u.number limit 1));\n",
                selects.join("\n            union all\n            ")
            )
        }
    };
    upward_function(map, kind, &function, "returns text", body)
}

/// The owner that a row names, or that a parent has which stands in no circle with it.
fn first_owner(map: &BoundMap<'_>, order: &Order, kind: usize, row: &str) -> String {
    let table = &map.tables[kind];
    let mut owners = Vec::new();
    if let (true, BoundUser::Rows { clerk_id, .. }) = (table.is_root, map.user) {
        owners.push(format!("{row}.{}::text", clerk_id.sql));
    }
    // A user that the row names itself comes before one that it hangs on by others.
    let (direct, by_row): (Vec<_>, Vec<_>) =
        upward(map, kind).partition(|reference| !matches!(reference.parent, Parent::Row(_)));
    for reference in direct.into_iter().chain(by_row) {
        let discriminator = discriminator(reference, row);
        owners.push(match (&reference.parent, map.user) {
            (Parent::Row(parent), _) if order.is_circle(*parent, kind) => continue,
            (Parent::Row(parent), _) => format!(
                "(select {} from {} p where {} limit 1)",
                call("owner", *parent, "p"),
                map.tables[*parent].table.sql,
                of_row(reference, "p", row)
            ),
            (Parent::UserId, BoundUser::Rows { id, clerk_id }) if id.number != clerk_id.number => {
                format!(
                    "(select u.{}::text from {} u where {}{discriminator} limit 1)",
                    clerk_id.sql,
                    map.tables[0].table.sql,
                    of_row(reference, "u", row)
                )
            }
            _ => format!(
                "(select {} where true{discriminator})",
                value(reference, row)
            ),
        });
    }
    match owners.is_empty() {
        true => "null::text".to_owned(),
        false => format!("coalesce({})", owners.join(",\n        ")),
    }
}

/// The call of `goes_K`, `rests_K` or `owner_K` on the row `alias`.
pub(super) fn call(name: &str, kind: usize, alias: &str) -> String {
    format!("{SCHEMA}.{name}_{kind}({alias}.*, {alias}.tableoid, {alias}.ctid)")
}

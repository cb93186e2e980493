//! How rows are removed that can hang on each other in a circle: trees, chains and rings of any size, in one table or
//! several, in one statement. A row stays if something hangs on it that stays, and with it whatever it hangs on itself.

use super::conditions::{children, count, id_text, of_row, points_at, type_literal};
use super::frame::is_among;
use super::keys::is_answered;
use crate::map::bind::BoundMap;

/// Removes the chosen rows of the kinds of one circle.
pub(super) fn delete(map: &BoundMap<'_>, members: &[usize]) -> String {
    let (mut blocked, mut upwards, mut deletes, mut ids, mut counts) = (
        Vec::new(),
        Vec::new(),
        Vec::new(),
        Vec::new(),
        String::new(),
    );
    for kind in members.iter().copied() {
        let table = &map.tables[kind];
        let sql = &table.table.sql;
        let chosen = format!("unnest(lethe.p{kind}, lethe.c{kind}) d (part, place)");
        blocked.push(format!(
            "select {kind}, c.tableoid, c.ctid from {chosen} join {sql} c on c.tableoid = d.part and c.ctid = d.place where {}",
            stays(map, members, kind)
        ));
        let references = map.references.iter();
        let references =
            references.filter(|one| members.contains(&one.child) && points_at(map, one, kind));
        upwards.extend(references.map(|reference| {
            format!(
                "select {kind}, p.tableoid, p.ctid from {} x join {sql} p on {} \
                 where s.kind = {} and x.tableoid = s.part and x.ctid = s.place",
                map.tables[reference.child].table.sql,
                of_row(reference, "p", "x"),
                reference.child
            )
        }));
        if table.is_root && map.kept_user().is_some() {
            continue;
        }
        deletes.push(format!(
            "g{kind} as (\n            delete from {sql} c using {chosen} where c.tableoid = d.part and c.ctid = d.place\n              \
             and (c.tableoid, c.ctid) not in (select s.part, s.place from stays s where s.kind = {kind}) returning {} as id)",
            id_text(table.table)
        ));
        let name = type_literal(map, kind);
        ids.push(format!("{name}, (select jsonb_agg(g.id) from g{kind} g)"));
        counts += &format!(
            "        lethe.ids := nullif(lethe.gone -> {name}, 'null');\n{}",
            count(map, kind)
        );
    }
    if deletes.is_empty() {
        return String::new();
    }
    let any = members
        .iter()
        .map(|kind| format!("cardinality(lethe.c{kind})"));
    let any: Vec<String> = any.collect();
    format!(
        "    if {} > 0 then\n        with recursive stays (kind, part, place) as (\n            {}\n            union\n            \
         select y.kind, y.part, y.place from stays s cross join lateral (\n                {}) y (kind, part, place)\n        \
         ), {}\n        select jsonb_build_object({}) into lethe.gone;\n{counts}    end if;\n",
        any.join(" + "),
        blocked.join("\n            union all\n            "),
        upwards.join("\n                union all\n                "),
        deletes.join(", "),
        ids.join(", ")
    )
}

/// That the chosen row `c` must stay: something hangs on it that is not among the chosen, or an object of it was not
/// answered for.
fn stays(map: &BoundMap<'_>, members: &[usize], kind: usize) -> String {
    let table = &map.tables[kind];
    if table.is_root && map.kept_user().is_some() {
        return "true".to_owned();
    }
    let mut tests: Vec<String> = children(map, kind, "c")
        .iter()
        .map(
            |one| match one.kind.filter(|child| members.contains(child)) {
                Some(child) => one.exist(&format!(" and not ({})", is_among(child, "x"))),
                None => one.exist(""),
            },
        )
        .collect();
    let answered = is_answered(map, table, "remove_rows.answered");
    if !answered.is_empty() {
        tests.push(format!("not (true{answered})"));
    }
    match tests.is_empty() {
        true => "false".to_owned(),
        false => tests.join(" or "),
    }
}

//! The functions that only read: the plan of an erasure, and what is left of a user.

use super::objects::KeyReader;
use super::quote::{dollar_quoted, literal};
use super::{closure, objects};
use crate::map::bind::{BoundMap, BoundUser};

/// Most keys outside of their prefix that a plan names.
const MAX_OUTSIDE: u32 = 1_000;
/// Both functions find rows one by one through indexes: with hash joins and sequential scans, statistics that are out
/// of date could make them read whole tables.
const SETTINGS: &str = "set search_path = pg_catalog, pg_temp set row_security = off set jit = off\n\
                        set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off";

/// `plan(user_id)`: what an erasure would remove, keep and leave, as JSON.
pub(super) fn plan(map: &BoundMap<'_>, schema: &str) -> String {
    let block = plan_block(map, KeyReader::Function(schema), "return lethe.answer;");
    let body = dollar_quoted(&format!("{block}\n"));
    format!(
        "create or replace function {schema}.plan(user_id text) returns jsonb\nlanguage plpgsql stable {SETTINGS} as {body};\n"
    )
}

/// The block that makes the plan of the user `plan.user_id`, puts it into `lethe.answer`, and ends with `last`.
pub(super) fn plan_block(map: &BoundMap<'_>, keys: KeyReader<'_>, last: &str) -> String {
    let kept_root = match &map.map.user.keep {
        Some(keep) => format!(
            "\n        union all\n        select d.kind, d.part, d.place, 'keep', {} from doomed d where d.kind = 0",
            literal(&keep.why)
        ),
        None => String::new(),
    };
    format!(
        "<<lethe>>\ndeclare\n{}    answer jsonb;\nbegin\n{}    with {},\n    {},\n    \
type (kind, name) as ({}),\n    rule (number, action, why, must_go) as ({}),\n    \
touched (kind, part, place, action, why) as (\n        \
select g.kind, g.part, g.place, 'delete', null from gone g\n        union all\n        \
select distinct c.kind, c.part, c.place, r.action, r.why from changed c join rule r on r.number = c.rule{kept_root}\n    ),\n    \
counted (type, action, rows, keys) as (\n        \
select t.name, x.action, count(distinct (x.part, x.place)), (select count(distinct (n.bucket, n.key)) from named n\n            \
where n.kind = x.kind and n.action = x.action and not n.is_foreign)\n        \
from touched x join type t on t.kind = x.kind group by t.name, x.kind, x.action\n    ),\n    \
kept (type, rows, why) as (\n        \
select t.name, count(distinct (x.part, x.place)), x.why from touched x join type t on t.kind = x.kind\n        \
where x.action = 'keep' group by t.name, x.why\n    )\n    \
select jsonb_build_object(\n        \
'rows', coalesce((select jsonb_agg(jsonb_build_object('type', c.type, 'action', c.action, 'rows', c.rows, 'keys', c.keys)\n            \
order by c.type, c.action) from counted c), '[]'),\n        \
'kept', coalesce((select jsonb_agg(jsonb_build_object('type', k.type, 'rows', k.rows, 'why', k.why)\n            \
order by k.type, k.why) from kept k), '[]'),\n        \
'objects', jsonb_build_object(\n            \
'delete', (select count(*) from wanted w where not w.is_foreign and not w.is_outside and not w.is_shared),\n            \
'shared', (select count(*) from wanted w where w.is_shared),\n            \
'foreign', (select count(*) from wanted w where w.is_foreign),\n            \
'outside', coalesce((select jsonb_agg(o.key order by o.key) from (select distinct w.key from wanted w\n                \
where not w.is_foreign and w.is_outside and not w.is_shared order by w.key limit {MAX_OUTSIDE}) o), '[]')))\n    \
into lethe.answer;\n    {last}\nend",
        closure::variables(map, "plan"),
        closure::find_user(map),
        closure::ctes(map),
        objects::ctes(map, keys),
        closure::types(map),
        closure::rules(map),
    )
}

/// `leftovers(user_id, user_key)`: the rows that an erasure should have removed, detached or made anonymous.
/// `user_key` is the text of the user's id, for a user whose row is gone.
pub(super) fn leftovers(map: &BoundMap<'_>, schema: &str) -> String {
    let known_key = match map.user {
        BoundUser::Rows { .. } => "    lethe.id := coalesce(lethe.id::text, leftovers.user_key);\n",
        _ => "",
    };
    let body = format!(
        "<<lethe>>\ndeclare\n{}begin\n{}{known_key}    return query with {},\n    \
type (kind, name) as ({}),\n    rule (number, action, why, must_go) as ({})\n    \
select x.name, x.action, count(*) from (\n        \
select t.name, 'delete'::text, g.part, g.place from gone g join type t on t.kind = g.kind\n        union\n        \
select t.name, r.action, c.part, c.place from changed c join rule r on r.number = c.rule and r.must_go\n            \
join type t on t.kind = c.kind{}\n    ) x (name, action, part, place)\n    \
group by x.name, x.action order by x.name, x.action;\nend\n",
        closure::variables(map, "leftovers"),
        closure::find_user(map),
        closure::ctes(map),
        closure::types(map),
        closure::rules(map),
        kept_user_is_left(map),
    );
    format!(
        "create or replace function {schema}.leftovers(user_id text, user_key text default null)\n\
         returns table (type text, action text, rows bigint)\nlanguage plpgsql stable {SETTINGS} as {};\n",
        dollar_quoted(&body)
    )
}

/// A user's row that stays has lost its Clerk id, if the map says so. Where the id can still find it, it was not made
/// anonymous.
fn kept_user_is_left(map: &BoundMap<'_>) -> String {
    match (map.kept_user(), map.user) {
        (Some(changes), BoundUser::Rows { clerk_id, .. }) if changes.changes(&clerk_id.name) => {
            "\n        union\n        select t.name, 'keep', d.part, d.place from doomed d join type t on t.kind = d.kind \
             where d.kind = 0"
                .to_owned()
        }
        _ => String::new(),
    }
}

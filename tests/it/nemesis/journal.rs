//! What PostgreSQL itself saw happen to tasks and rows, committed with it.

use std::collections::{BTreeMap, HashSet};
use std::time::SystemTime;

use chrono::{DateTime, Utc};

use crate::support::world::World;

const JOURNAL: [&str; 8] = [
    "create table public.journal_claims (
        id bigint generated always as identity, task_id bigint, was text, became text,
        was_token bigint, became_token bigint, was_owner text)",
    "create function public.journal_claim() returns trigger language plpgsql as $$ begin
        insert into public.journal_claims (task_id, was, became, was_token, became_token, was_owner)
        values (new.id, old.status, new.status, old.lease_token, new.lease_token, old.lease_owner);
        return null;
     end $$",
    "create trigger journal_claim after update on lethe.cleanup_tasks for each row
     when (old.status <> new.status or old.lease_token <> new.lease_token
           or old.lease_owner is distinct from new.lease_owner)
     execute function public.journal_claim()",
    "create function public.journal_end() returns trigger language plpgsql as $$ begin
        insert into public.journal_claims (task_id, was, became, was_token, became_token, was_owner)
        values (old.id, old.status, case old.status when 'running' then 'completed' else 'cancelled' end,
                old.lease_token, old.lease_token, old.lease_owner);
        return null;
     end $$",
    "create trigger journal_end after delete on lethe.cleanup_tasks for each row execute function public.journal_end()",
    "create table public.journal_images (object_key text, at timestamptz, lived boolean)",
    "create function public.journal_image() returns trigger language plpgsql as $$ begin
        insert into public.journal_images values (old.object_key, clock_timestamp(), old.deleted_at is null
            and exists (select from samples where id = old.sample_id and deleted_at is null));
        return null;
     end $$",
    "create trigger journal_image after delete on public.sample_images for each row execute function public.journal_image()",
];

pub async fn keep(world: &World) {
    for statement in JOURNAL {
        world.execute(statement).await;
    }
}

/// A task has at most one owner, each claim a token of its own, and only its owner ends it.
pub async fn judge_claims(world: &World) {
    for (what, sql) in [
        (
            "a running task was claimed by another",
            "journal_claims where became = 'running' and (was = 'running' or was_owner is not null)",
        ),
        (
            "a claim's token is not the next",
            "journal_claims where became_token - was_token <> (became = 'running')::int",
        ),
        (
            "a task that had ended was changed",
            "journal_claims where was = 'completed'",
        ),
        (
            "a task was completed by a worker that did not hold it",
            "lethe.audit a join journal_claims j using (task_id)
             where a.event = 'task-completed' and j.became = 'completed' and a.worker is distinct from j.was_owner",
        ),
        (
            "a task was completed without its audit",
            "journal_claims j where became = 'completed' and not exists (
                select from lethe.audit a where a.task_id = j.task_id and a.event in ('task-completed', 'user-erased'))",
        ),
    ] {
        let wrong = history(world, sql).await;
        assert!(wrong.is_empty(), "{what}: {wrong:#?}");
    }
}

/// All that the journal has of the first task that a query finds.
async fn history(world: &World, sql: &str) -> Vec<String> {
    let first = format!("select min(found.task_id) from (select task_id from {sql}) found");
    let query = format!(
        "select j::text from public.journal_claims j where task_id = ({first}) order by id"
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(query))
        .fetch_all(&world.pool)
        .await
        .unwrap()
}

/// An image's row went after its object, unless a live image needs the object; and never one that lived.
/// Returns how many rows went.
pub async fn judge_rows(world: &World, gone: &BTreeMap<String, SystemTime>) -> usize {
    let kept: Vec<String> =
        sqlx::query_scalar("select distinct unnest(kept_keys) from lethe.audit")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    let kept: HashSet<String> = kept.into_iter().collect();
    let rows: Vec<(String, DateTime<Utc>, bool)> =
        sqlx::query_as("select object_key, at, lived from journal_images")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    for (key, at, lived) in &rows {
        assert!(!lived, "the row of {key} was removed while it lived");
        let first = gone
            .get(key)
            .is_some_and(|gone| DateTime::<Utc>::from(*gone) <= *at);
        assert!(
            first || kept.contains(key),
            "the row of {key} was removed before its object"
        );
    }
    rows.len()
}

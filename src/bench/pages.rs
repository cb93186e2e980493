//! How long the data of each page of the admin panel take, beside very many tasks.

use std::time::Instant;

use anyhow::Context as _;
use chrono::{TimeDelta, Utc};
use futures::future::try_join_all;
use sqlx::AssertSqlSafe;

use super::Bars;
use super::api::Api;
use super::report::{Figure, quantile};
use super::rig::{BenchDatabase, Rig};

/// How often each page is asked for.
const ROUNDS: usize = 20;

/// What there is to be shown, for `$1` finished tasks: a tenth as many open ones, entries of the audit trail and rows that
/// are deleted and wait, and a hundredth as many erasures. Some are incomplete. All of it is spread over seven days, and
/// was written in the order of time.
const SEED: [&str; 7] = [
    // Workers made the partitions of these days.
    "do $$ declare d timestamp; name text; begin
         for d in select generate_series(date_trunc('day', now() at time zone 'utc') - interval '8 days',
                                         date_trunc('day', now() at time zone 'utc') - interval '1 day', '1 day') loop
             name := 'finished_tasks_' || to_char(d, 'YYYYMMDD');
             execute format('create table lethe.%I (like lethe.finished_tasks including defaults including constraints)', name);
             execute format('alter table lethe.finished_tasks attach partition lethe.%I for values from (%L) to (%L)', name,
                 d at time zone 'utc', (d + interval '1 day') at time zone 'utc');
         end loop; end $$",
    "insert into lethe.user_tombstones (user_id, deleted_at, deleted_by)
     select 'user_' || n, now() - ($1 / 100 - n) * interval '7 days' / ($1 / 100), 'clerk:user.deleted' from generate_series(1, $1 / 100) n",
    "insert into lethe.finished_tasks (id, kind, entity_type, entity_id, user_id, status, attempts, scheduled_at, created_at,
         finished_at, worker, object_keys, kept_keys, row_type, row_ids)
     select 1000000000000 + n, case when is_root then 'user-delete' else 'sample-delete' end,
         case when is_root then 'user' else 'sample' end, case when is_root then 'user_' || n / 100 else md5(n::text)::uuid::text end,
         'user_' || case when is_root then n / 100 else 1 + n % ($1 / 100) end, 'completed', 1, at, at, at, 'bench',
         array['bench/' || n], '{}', 'sample-image', array[md5('i' || n)::uuid::text]
     from (select n, now() - ($1 - n) * interval '7 days' / $1 as at, n % 100 = 0 and n > 4000 as is_root from generate_series(1, $1) n) n",
    "insert into lethe.receipts (user_id, task_id, requested_at, requested_by, completed_at, objects_deleted, objects_kept, rows_deleted)
     select f.user_id, f.id, f.created_at, 'clerk:user.deleted', f.finished_at, 100, 0, '{\"sample\": 100, \"sample-image\": 100}'
     from lethe.finished_tasks f where f.kind = 'user-delete'",
    "insert into lethe.cleanup_audit (at, event, actor, task_id, kind, entity_type, entity_id, user_id)
     select now() - ($1 / 10 - n) * interval '7 days' / ($1 / 10), 'sample-deletion-requested', 'user:user_' || (1 + n % ($1 / 100)),
         1000000000000 + n, 'sample-delete', 'sample', md5(n::text)::uuid::text, 'user_' || (1 + n % ($1 / 100))
     from generate_series(1, $1 / 10) n",
    "with u as (insert into public.users (id) select 'user_live_' || n from generate_series(1, 1000) n returning id),
          s as (
              insert into public.samples (id, user_id, deleted_at, deleted_by)
              select md5('s' || n)::uuid, 'user_live_' || (1 + n % 1000), now() - ($1 / 10 - n) * interval '7 days' / ($1 / 10), 'app'
              from generate_series(1, $1 / 10) n where (select count(*) from u) > 0 returning id, user_id, deleted_at)
     insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id, object_keys, created_at, scheduled_at)
     select 'sample-delete', 'sample', id, user_id, array['bench/s' || id], deleted_at, now() + interval '1 day' from s",
    // Requested long ago, so that the overview asks for the oldest ones too.
    "insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id, phase, status, attempts, error_class, last_error, created_at)
     select 'user-delete', 'user', 'user_' || n, 'user_' || n, 'rows', 'dead', 20, 'permanent', 'AccessDenied',
            now() - interval '25 days' + n * interval '1 minute'
     from generate_series(1, 40) n",
];

type Calls = &'static [&'static str];
/// Calls that a page makes at the same time.
type Stage = &'static [Calls];

/// The pages, each with the stages of its calls (panel/app/pages): the next one begins when the one before is answered.
const PAGES: [(&str, &[Stage]); 14] = [
    (
        "overview, 1 hour",
        &[
            &[&["/admin/stats?window=1h", WORKERS, SETTINGS], UNFINISHED],
            &[PROGRESS],
            &[OLDEST],
            &[PROGRESS],
        ],
    ),
    (
        "overview, 24 hours",
        &[
            &[&["/admin/stats?window=24h", WORKERS, SETTINGS], UNFINISHED],
            &[PROGRESS],
            &[OLDEST],
            &[PROGRESS],
        ],
    ),
    (
        "overview, 7 days",
        &[
            &[&["/admin/stats?window=7d", WORKERS, SETTINGS], UNFINISHED],
            &[PROGRESS],
            &[OLDEST],
            &[PROGRESS],
        ],
    ),
    (
        "erasures",
        &[&[&["/admin/erasures"], UNFINISHED], &[PROGRESS]],
    ),
    (
        "erasures, complete",
        &[&[&["/admin/erasures?status=complete"]]],
    ),
    (
        "erasure of a user",
        &[&[&[
            "/admin/users/user_77/erasure",
            "/admin/cleanup-tasks?userId=user_77&limit=50",
            "/admin/cleanup-tasks?userId=user_77&status=dead&limit=100",
            "/admin/audit?userId=user_77&limit=50",
        ]]],
    ),
    (
        "erase a user",
        &[&[&[
            "/admin/users/user_live_7",
            "/admin/deleted?userId=user_live_7&limit=1",
            "/admin/users/user_live_7/plan",
        ]]],
    ),
    ("tasks", &[&[&["/admin/cleanup-tasks", STATS]]]),
    (
        "tasks, completed",
        &[&[&["/admin/cleanup-tasks?status=completed", STATS]]],
    ),
    (
        "tasks, dead",
        &[&[&["/admin/cleanup-tasks?status=dead", STATS]]],
    ),
    ("task", &[&[&["/admin/cleanup-tasks/1000000000077"]]]),
    ("deleted", &[&[&["/admin/deleted"]]]),
    ("audit", &[&[&["/admin/audit"]]]),
    (
        "system",
        &[&[&["/health/ready", STATS, WORKERS, SETTINGS, "/admin/map"]]],
    ),
];

const STATS: &str = "/admin/stats";
const WORKERS: &str = "/admin/workers";
const SETTINGS: &str = "/admin/settings";
/// What is unfinished stands first on two pages.
const UNFINISHED: Calls = &[
    "/admin/erasures?status=incomplete&limit=20",
    "/admin/erasures?status=held&limit=20",
    "/admin/erasures?status=in-progress&limit=20",
];
/// The progress of ten of these.
const PROGRESS: Calls = &[
    "/admin/users/user_40/erasure",
    "/admin/users/user_39/erasure",
    "/admin/users/user_38/erasure",
    "/admin/users/user_37/erasure",
    "/admin/users/user_36/erasure",
    "/admin/users/user_35/erasure",
    "/admin/users/user_34/erasure",
    "/admin/users/user_33/erasure",
    "/admin/users/user_32/erasure",
    "/admin/users/user_31/erasure",
];
/// The oldest of what is unfinished. `$TIME` is twenty days ago.
const OLDEST: Calls = &[
    "/admin/erasures?status=incomplete&limit=20&requestedBefore=$TIME",
    "/admin/erasures?status=held&limit=20&requestedBefore=$TIME",
    "/admin/erasures?status=in-progress&limit=20&requestedBefore=$TIME",
];
/// The median time of each page's data, with the longest beside it.
pub async fn pages(rig: &Rig, bars: &Bars, finished: u64) -> anyhow::Result<Vec<Figure>> {
    let database = rig.database("pages").await?;
    seed(&database, bars, finished).await?;
    let api = Api::start(rig, &database).await?;
    let mut figures = Vec::new();
    let long_ago = (Utc::now() - TimeDelta::days(20))
        .format("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    for (page, stages) in PAGES {
        let bar = bars.add(&format!("pages: {page}"));
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            for stage in stages {
                let calls = stage.iter().copied().flatten();
                let answers = calls.map(|call| api.get(call.replace("$TIME", &long_ago)));
                try_join_all(answers)
                    .await
                    .with_context(|| format!("the page {page}"))?;
            }
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        bar.finish();
        let first = times[0];
        times.sort_by(f64::total_cmp);
        let variant = format!("{page}, {finished} finished tasks");
        figures.push(
            Figure::new("pages", variant, "ms", quantile(&times, 0.5))
                .with("first", first)
                .with("longest", quantile(&times, 1.0)),
        );
    }
    api.stop().await?;
    rig.drop_database(database).await?;
    Ok(figures)
}

async fn seed(database: &BenchDatabase, bars: &Bars, finished: u64) -> anyhow::Result<()> {
    let bar = bars.add(&format!("pages: writing {finished} finished tasks"));
    bar.set_length(SEED.len() as u64);
    for statement in SEED {
        let statement = statement.replace("$1", &finished.to_string());
        sqlx::query(AssertSqlSafe(statement))
            .execute(&database.pool)
            .await?;
        bar.inc(1);
    }
    database.settle_down().await?;
    bar.finish();
    Ok(())
}

//! Tasks without keys: what claim and settle cost, and whether they stay as fast as the work grows.

use std::time::Duration;

use sqlx::PgPool;

use super::report::Figure;
use super::rig::{Fleet, Rig};
use super::{Bars, floor, watch};

const SETTLED: &str = "lethe_tasks_settled_total";

/// `count` tasks, written in one go; then a fleet drains them.
pub async fn drain(rig: &Rig, bars: &Bars, count: u64, workers: u32) -> anyhow::Result<Figure> {
    let database = rig.database("queue").await?;
    let bar = bars.add(&format!("queue: {count} tasks, floor"));
    write_tasks(&database.pool, count, Duration::ZERO).await?;
    database.settle_down().await?;
    let floor = floor::queue(&database.pool).await?;
    bar.finish();
    rig.drop_database(database).await?;

    let database = rig.database("queue").await?;
    write_tasks(&database.pool, count, Duration::ZERO).await?;
    database.settle_down().await?;
    let bar = bars.add(&format!("queue: {count} tasks, {workers} workers"));
    let fleet = Fleet::start(rig, &database, workers, &[]).await?;
    let watched = watch::until(&fleet, SETTLED, count, &bar).await?;
    bar.finish();
    let usage = fleet.usage()?;
    fleet.stop().await?;
    rig.drop_database(database).await?;
    let mut figure = Figure::new(
        "queue",
        format!("{count} tasks, {workers} workers"),
        "tasks/s",
        watched.per_second,
    )
    .floor(floor, "the claim's and settle's statements in a bare loop");
    figure.worker_peak_rss = Some(usage.peak_rss);
    figure.series = watched.series;
    Ok(figure)
}

/// Throughput while a transaction elsewhere holds a snapshot open, so that no dead row can be removed.
pub async fn held_snapshot(rig: &Rig, bars: &Bars, count: u64) -> anyhow::Result<Figure> {
    let database = rig.database("snapshot").await?;
    write_tasks(&database.pool, count, Duration::ZERO).await?;
    database.settle_down().await?;
    let mut holder = database.pool.begin().await?;
    sqlx::query("set transaction isolation level repeatable read")
        .execute(&mut *holder)
        .await?;
    sqlx::query("select count(*) from lethe.cleanup_workers")
        .execute(&mut *holder)
        .await?;
    let bar = bars.add(&format!("held snapshot: {count} tasks"));
    let fleet = Fleet::start(rig, &database, 2, &[]).await?;
    let watched = watch::until(&fleet, SETTLED, count, &bar).await?;
    bar.finish();
    let usage = fleet.usage()?;
    fleet.stop().await?;
    holder.rollback().await?;
    rig.drop_database(database).await?;
    Ok(over_time(
        "held snapshot",
        format!("{count} tasks"),
        watched,
        usage.peak_rss,
    ))
}

/// Throughput beside `waiting` tasks that are due tomorrow and `waiting` that are finished.
pub async fn backlog(
    rig: &Rig,
    bars: &Bars,
    waiting: u64,
    count: u64,
) -> anyhow::Result<Vec<Figure>> {
    let database = rig.database("backlog").await?;
    let bar = bars.add(&format!("backlog: writing 2 x {waiting} tasks"));
    write_tasks(&database.pool, waiting, Duration::from_secs(24 * 3600)).await?;
    write_finished(&database.pool, waiting).await?;
    database.settle_down().await?;
    bar.finish();
    let mut figures = Vec::new();
    for workers in [1, 2, 4, 8, 16] {
        let bar = bars.add(&format!("backlog: {count} due tasks, {workers} workers"));
        let fleet = Fleet::start(rig, &database, workers, &[]).await?;
        // Committed at once, with all workers there.
        write_tasks(&database.pool, count, Duration::ZERO).await?;
        let watched = watch::until(&fleet, SETTLED, count, &bar).await?;
        bar.finish();
        let usage = fleet.usage()?;
        fleet.stop().await?;
        let variant = format!("{waiting} later + {waiting} finished, {workers} workers");
        figures.push(over_time("backlog", variant, watched, usage.peak_rss));
    }
    rig.drop_database(database).await?;
    Ok(figures)
}

fn over_time(case: &'static str, variant: String, watched: watch::Watched, rss: u64) -> Figure {
    let (first, last) = watched.ends();
    let mut figure = Figure::new(case, variant, "tasks/s", watched.per_second)
        .with("first tenth", first)
        .with("last tenth", last);
    figure.worker_peak_rss = Some(rss);
    figure.series = watched.series;
    figure
}

async fn write_tasks(pool: &PgPool, count: u64, later: Duration) -> anyhow::Result<()> {
    sqlx::query(
        "insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id, scheduled_at)
         select 'user-delete-part', 'user', 'user_bench', 'user_bench',
             clock_timestamp() + make_interval(secs => $2)
         from generate_series(1, $1)",
    )
    .bind(i64::try_from(count)?)
    .bind(later.as_secs_f64())
    .execute(pool)
    .await?;
    Ok(())
}

async fn write_finished(pool: &PgPool, count: u64) -> anyhow::Result<()> {
    sqlx::query(
        "insert into lethe.finished_tasks (id, kind, entity_type, entity_id, user_id, status, attempts, scheduled_at,
             created_at, object_keys, kept_keys, row_ids)
         select -n, 'user-delete-part', 'user', 'user_bench', 'user_bench', 'completed', 1, now(), now(), '{}', '{}', '{}'
         from generate_series(1, $1) n",
    )
    .bind(i64::try_from(count)?)
    .execute(pool)
    .await?;
    Ok(())
}

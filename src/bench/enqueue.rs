//! What enqueueing costs the application: commits of one task each, with and without Lethe's triggers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::PgPool;

use super::Bars;
use super::report::Figure;
use super::rig::{Fleet, Rig};

/// How long each rate is measured, with and without triggers alternately.
const SLICE: Duration = Duration::from_secs(3);
const ROUNDS: u32 = 3;

/// Commits per second of 1, 8 and 32 writers, workers idle (nothing but these tasks) and busy.
pub async fn enqueue(rig: &Rig, bars: &Bars, workers: u32) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (state, fleet_size, backlog) in [
        ("no workers", 0, 0),
        ("idle workers", workers, 0),
        ("busy workers", workers, 3_000_000_i64),
    ] {
        let database = rig.database("enqueue").await?;
        let pool = &database.pool;
        sqlx::query(
            "insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id)
             select 'user-delete-part', 'user', 'user_bench', 'user_bench' from generate_series(1, $1)",
        )
        .bind(backlog)
        .execute(pool)
        .await?;
        database.settle_down().await?;
        let fleet = Fleet::start(rig, &database, fleet_size, &[]).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        for writers in [1, 8, 32] {
            let bar = bars.add(&format!("enqueue: {writers} writers, {state}"));
            let (mut with, mut without) = (0.0, 0.0);
            for _ in 0..ROUNDS {
                set_triggers(pool, false).await?;
                without += commits(pool, writers).await?;
                set_triggers(pool, true).await?;
                with += commits(pool, writers).await?;
            }
            bar.finish();
            let rounds = f64::from(ROUNDS);
            figures.push(
                Figure::new(
                    "enqueue",
                    format!("{writers} writers, {state}"),
                    "commits/s",
                    with / rounds,
                )
                .floor(without / rounds, "the same inserts without triggers"),
            );
        }
        fleet.stop().await?;
        rig.drop_database(database).await?;
    }
    Ok(figures)
}

async fn set_triggers(pool: &PgPool, on: bool) -> anyhow::Result<()> {
    let statement = if on {
        "alter table lethe.cleanup_tasks enable trigger user"
    } else {
        "alter table lethe.cleanup_tasks disable trigger user"
    };
    sqlx::query(statement).execute(pool).await?;
    Ok(())
}

async fn commits(pool: &PgPool, writers: u32) -> anyhow::Result<f64> {
    let (count, stop) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let begun = Instant::now();
    let loops: Vec<_> = (0..writers)
        .map(|_| {
            let (pool, count, stop) = (pool.clone(), count.clone(), stop.clone());
            tokio::spawn(async move {
                let mut connection = pool.acquire().await?;
                while !stop.load(Ordering::Relaxed) {
                    sqlx::query(
                        "insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id)
                         values ('user-delete-part', 'user', 'user_bench', 'user_bench')",
                    )
                    .execute(&mut *connection)
                    .await?;
                    count.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, sqlx::Error>(())
            })
        })
        .collect();
    tokio::time::sleep(SLICE).await;
    stop.store(true, Ordering::Relaxed);
    for result in futures::future::join_all(loops).await {
        result??;
    }
    Ok(count.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
}

//! How soon a committed task is claimed on an idle system, and what idleness costs.

use std::time::Duration;

use sqlx::postgres::PgListener;
use sqlx::{Connection, PgConnection, PgPool};
use uuid::Uuid;

use super::Bars;
use super::report::{Figure, quantile};
use super::rig::{BenchDatabase, Fleet, Rig};

/// The pause between two tasks, after which the worker is idle again.
const GAP: Duration = Duration::from_millis(40);
const PATIENCE: Duration = Duration::from_secs(20);
/// How long an idle worker is watched.
const IDLE: Duration = Duration::from_secs(30);
/// The pause between two polls of its connections.
const IDLE_POLL: Duration = Duration::from_millis(25);
/// The default of `CLEANUP_POLL_INTERVAL_MS`.
const POLL_INTERVAL_SECONDS: f64 = 5.0;

/// From the commit of a task to its claim, beside a bare listener that receives a NOTIFY and then sends one
/// statement. Both times are read from the database's clock.
pub async fn wake(rig: &Rig, bars: &Bars, samples: usize) -> anyhow::Result<Vec<Figure>> {
    let database = rig.database("wake").await?;
    let bar = bars.add("wake-up: bare NOTIFY, LISTEN");
    let bare = bare(&database.pool, samples, &bar).await?;
    bar.finish();
    let bar = bars.add("wake-up: commit to claim");
    // The moment of a claim, written down by a trigger that only this database has.
    sqlx::raw_sql(
        "create table bench_claims (id bigint, at timestamptz);
         create function bench_claimed() returns trigger language plpgsql as $$
         begin insert into bench_claims values (new.id, clock_timestamp()); return null; end $$;
         create trigger bench_claimed after update of status on lethe.cleanup_tasks for each row
         when (new.status = 'running') execute function bench_claimed()",
    )
    .execute(&database.pool)
    .await?;
    let fleet = Fleet::start(rig, &database, 1, &[]).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut waits = Vec::new();
    bar.set_length(samples as u64);
    let mut connection = database.pool.acquire().await?;
    for _ in 0..samples {
        let (id, committed): (i64, f64) = commit_task(&mut connection).await?;
        waits.push(claimed_at(&database.pool, id).await? - committed);
        bar.inc(1);
        tokio::time::sleep(GAP).await;
    }
    drop(connection);
    bar.finish();
    let idle = idle(bars, &database, &fleet).await?;
    fleet.stop().await?;
    rig.drop_database(database).await?;
    let mut figures = Vec::new();
    let (lethe, bare) = (sorted_ms(waits), sorted_ms(bare));
    for (name, part) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
        figures.push(
            Figure::new("wake-up", name, "ms", quantile(&lethe, part)).floor(
                quantile(&bare, part),
                "NOTIFY to a listener's next statement",
            ),
        );
    }
    figures.extend(idle);
    Ok(figures)
}

async fn commit_task(connection: &mut PgConnection) -> anyhow::Result<(i64, f64)> {
    let mut tx = connection.begin().await?;
    let id: i64 = sqlx::query_scalar(
        "insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id)
         values ('user-delete-part', 'user', 'user_bench', 'user_bench') returning id",
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok((id, now(connection).await?))
}

async fn now(connection: &mut PgConnection) -> Result<f64, sqlx::Error> {
    sqlx::query_scalar("select extract(epoch from clock_timestamp())::float8")
        .fetch_one(connection)
        .await
}

async fn claimed_at(pool: &PgPool, id: i64) -> anyhow::Result<f64> {
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < PATIENCE {
        let at: Option<f64> = sqlx::query_scalar(
            "select extract(epoch from at)::float8 from bench_claims where id = $1",
        )
        .bind(id)
        .fetch_optional(pool)
        .await?;
        if let Some(at) = at {
            return Ok(at);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    anyhow::bail!("task {id} is not claimed")
}

async fn bare(
    pool: &PgPool,
    samples: usize,
    bar: &indicatif::ProgressBar,
) -> anyhow::Result<Vec<f64>> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen("bench").await?;
    let (received, mut receiving) = tokio::sync::mpsc::channel::<f64>(1);
    let mut second = pool.acquire().await?;
    let receiver = tokio::spawn(async move {
        while listener.recv().await.is_ok() {
            let Ok(at) = now(&mut second).await else {
                break;
            };
            if received.send(at).await.is_err() {
                break;
            }
        }
    });
    let mut connection = pool.acquire().await?;
    let mut waits = Vec::new();
    bar.set_length(samples as u64);
    for _ in 0..samples {
        let mut tx = connection.begin().await?;
        // The same row as in the other half.
        sqlx::query("insert into lethe.webhook_events (svix_id, body_sha256) values ($1, '')")
            .bind(Uuid::new_v4().to_string())
            .execute(&mut *tx)
            .await?;
        sqlx::query("select pg_notify('bench', '')")
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        let committed = now(&mut connection).await?;
        let at = tokio::time::timeout(PATIENCE, receiving.recv()).await?;
        waits.push(at.unwrap_or(f64::NAN) - committed);
        bar.inc(1);
        tokio::time::sleep(GAP).await;
    }
    receiver.abort();
    Ok(waits)
}

fn sorted_ms(seconds: Vec<f64>) -> Vec<f64> {
    let mut ms: Vec<f64> = seconds.into_iter().map(|s| s * 1e3).collect();
    ms.sort_by(f64::total_cmp);
    ms
}

/// What one idle worker costs: CPU, and statements in the database. The heartbeat is part of it.
async fn idle(bars: &Bars, database: &BenchDatabase, fleet: &Fleet) -> anyhow::Result<Vec<Figure>> {
    let bar = bars.add(&format!("idle: watching a worker for {} s", IDLE.as_secs()));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut seen = std::collections::HashSet::new();
    let cpu = fleet.usage()?.cpu_seconds;
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < IDLE {
        // Statements are told apart by when they began; the worker sends them seconds apart.
        let statements: Vec<(i32, chrono::DateTime<chrono::Utc>)> = sqlx::query_as(
            "select pid, query_start from pg_stat_activity
             where application_name = 'lethe' and datname = current_database() and query_start is not null",
        )
        .fetch_all(&database.pool)
        .await?;
        seen.extend(statements);
        tokio::time::sleep(IDLE_POLL).await;
    }
    let cpu = fleet.usage()?.cpu_seconds - cpu;
    bar.finish();
    let per_connection = seen
        .iter()
        .map(|(pid, _)| pid)
        .collect::<std::collections::HashSet<_>>()
        .len();
    let intervals = IDLE.as_secs_f64() / POLL_INTERVAL_SECONDS;
    Ok(vec![
        Figure::new(
            "idle worker",
            "of one core",
            "%",
            100.0 * cpu / IDLE.as_secs_f64(),
        ),
        Figure::new(
            "idle worker",
            "statements",
            "per poll interval",
            // The first of each connection was there before.
            (seen.len() - per_connection) as f64 / intervals,
        ),
    ])
}

//! One user of N images, in every shape: few large samples, many small ones, samples without images, collections.

use std::time::{Duration, Instant};

use anyhow::ensure;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::api::Api;
use super::erasure::{USER, longest_transaction, nothing_left, seed};
use super::report::{Figure, quantile};
use super::rig::{BenchDatabase, Fleet, Rig};
use super::{Bars, bare, floor};

const PATIENCE: Duration = Duration::from_secs(1_800);
const POLL: Duration = Duration::from_millis(20);
/// A trigger that writes down how long each transaction took that ended a step of the root.
const STEPS: &str = "
    create table public.bench_steps (id bigint generated always as identity, transaction xid8, took float8);
    create function public.bench_step() returns trigger language plpgsql as $$ begin
        insert into public.bench_steps (transaction, took)
        values (pg_current_xact_id(), extract(epoch from clock_timestamp() - transaction_timestamp()));
        return null;
    end $$;
    create trigger bench_step_updated after update on lethe.cleanup_tasks for each row
        when (old.kind = 'user-delete' and old.status = 'running') execute function public.bench_step();
    create trigger bench_step_deleted after delete on lethe.cleanup_tasks for each row
        when (old.kind = 'user-delete' and old.status = 'running') execute function public.bench_step();";

/// How the rows of the user are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Samples, and images of each.
    Samples(u64, u64),
    Collections(u64),
}

impl Shape {
    /// All of `rows` rows, which is a multiple of 100.
    const fn all(rows: u64) -> [Self; 5] {
        [
            Self::Samples(10, rows / 10),
            Self::Samples(rows / 100, 100),
            Self::Samples(rows, 1),
            Self::Samples(rows, 0),
            Self::Collections(rows),
        ]
    }

    fn name(self) -> String {
        match self {
            Self::Samples(samples, 0) => format!("{samples} samples without images"),
            Self::Samples(samples, images) => {
                format!("{} images in {samples} samples", samples * images)
            }
            Self::Collections(collections) => format!("{collections} collections"),
        }
    }

    const fn images(self) -> u64 {
        match self {
            Self::Samples(samples, images) => samples * images,
            Self::Collections(_) => 0,
        }
    }

    /// The rows by which its speed is counted.
    const fn rows(self) -> u64 {
        match self {
            Self::Samples(samples, 0) => samples,
            Self::Samples(samples, images) => samples * images,
            Self::Collections(collections) => collections,
        }
    }

    async fn seed(self, rig: &mut Rig, database: &BenchDatabase) -> anyhow::Result<()> {
        match self {
            Self::Samples(samples, images) => seed(rig, database, USER, samples, images).await?,
            Self::Collections(collections) => {
                seed(rig, database, USER, 0, 0).await?;
                sqlx::query(
                    "insert into public.collections (user_id) select $1 from generate_series(1, $2)",
                )
                .bind(USER)
                .bind(i64::try_from(collections)?)
                .execute(&database.pool)
                .await?;
            }
        }
        database.settle_down().await
    }
}

/// Erases a user of each shape by a webhook.
pub async fn shapes(
    rig: &mut Rig,
    bars: &Bars,
    rows: u64,
    workers: u32,
) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for shape in Shape::all(rows) {
        let (floor, what) = floor_of(rig, bars, shape).await?;
        figures.push(erase(rig, bars, shape, workers).await?.floor(floor, what));
    }
    Ok(figures)
}

/// With images: the product's own statements in a bare loop. Without: bare deletes by id.
async fn floor_of(rig: &mut Rig, bars: &Bars, shape: Shape) -> anyhow::Result<(f64, &'static str)> {
    let bar = bars.add(&format!("{}: floor", shape.name()));
    let database = rig.database("floor").await?;
    shape.seed(rig, &database).await?;
    let pool = &database.pool;
    let floor = if shape.images() > 0 {
        let root = sqlx::query_scalar("select lethe.delete_user($1, 'bench')").bind(USER);
        let root: i64 = root.fetch_one(pool).await?;
        let rate = floor::same_statements(rig, pool, Some(root), shape.images()).await?;
        (rate, "the same statements and bare DeleteObjects in a loop")
    } else {
        let table = match shape {
            Shape::Samples(..) => "public.samples",
            Shape::Collections(_) => "public.collections",
        };
        let rate = bare::table(pool, table, USER).await?;
        (rate, "bare deletes by id, 1,000 in a transaction")
    };
    rig.drop_database(database).await?;
    bar.finish();
    Ok(floor)
}

async fn erase(rig: &mut Rig, bars: &Bars, shape: Shape, workers: u32) -> anyhow::Result<Figure> {
    let bar = bars.add(&format!("{}, {workers} workers", shape.name()));
    let database = rig.database("shapes").await?;
    shape.seed(rig, &database).await?;
    sqlx::raw_sql(STEPS).execute(&database.pool).await?;
    let api = Api::start(rig, &database).await?;
    let fleet = Fleet::start(rig, &database, workers, &[]).await?;
    // The workers are idle before the clock starts.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stop = CancellationToken::new();
    let longest = tokio::spawn(longest_transaction(database.pool.clone(), stop.clone()));
    let begun = Instant::now();
    api.user_deleted(USER).await?;
    let webhook_ms = begun.elapsed().as_secs_f64() * 1e3;
    until_gone(&database.pool, begun).await?;
    let seconds = begun.elapsed().as_secs_f64();
    stop.cancel();
    let longest_ms = longest.await??;
    bar.finish();
    let usage = fleet.usage()?;
    fleet.stop().await?;
    api.stop().await?;
    nothing_left(rig, &database.pool).await?;
    let steps = steps(&database.pool).await?;
    rig.drop_database(database).await?;
    let mut figure = Figure::new(
        "shapes",
        format!("{}, {workers} workers", shape.name()),
        "rows/s",
        shape.rows() as f64 / seconds,
    )
    .with("seconds", seconds)
    .with("webhook ms", webhook_ms)
    .with("longest transaction ms", longest_ms)
    .with("steps", steps.count as f64)
    .with("first tenth of steps ms", steps.first_ms)
    .with("last tenth of steps ms", steps.last_ms)
    .with("longest step ms", steps.longest_ms);
    figure.worker_peak_rss = Some(usage.peak_rss);
    Ok(figure)
}

async fn until_gone(pool: &PgPool, begun: Instant) -> anyhow::Result<()> {
    while sqlx::query_scalar("select exists (select from public.users where id = $1)")
        .bind(USER)
        .fetch_one(pool)
        .await?
    {
        ensure!(begun.elapsed() < PATIENCE, "the user is not erased");
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// The steps of the root, in their order.
struct Steps {
    count: usize,
    first_ms: f64,
    last_ms: f64,
    longest_ms: f64,
}

async fn steps(pool: &PgPool) -> anyhow::Result<Steps> {
    let took: Vec<f64> = sqlx::query_scalar(
        "select max(took) * 1000 from public.bench_steps group by transaction order by min(id)",
    )
    .fetch_all(pool)
    .await?;
    let tenth = took.len().div_ceil(10);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len().max(1) as f64;
    let mut sorted = took.clone();
    sorted.sort_by(f64::total_cmp);
    Ok(Steps {
        count: took.len(),
        first_ms: mean(&took[..tenth]),
        last_ms: mean(&took[took.len() - tenth..]),
        longest_ms: quantile(&sorted, 1.0),
    })
}

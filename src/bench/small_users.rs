//! Many small users, the most common load there is: five samples and ten images each, from `lethe.delete_user` to the
//! end of the last row.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use indicatif::ProgressBar;
use sqlx::{AssertSqlSafe, PgPool};

use super::Bars;
use super::bare::{self, Objects, User};
use super::report::{Figure, quantile};
use super::rig::{BenchDatabase, Fleet, Rig};

const SAMPLES: u64 = 5;
const IMAGES: u64 = 10;
/// Connections of the application that call `lethe.delete_user`.
const CALLERS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(1_200);
const POLL: Duration = Duration::from_millis(100);
/// The tables of which nobody gathers statistics.
const TABLES: [&str; 4] = ["users", "collections", "samples", "sample_images"];
const FLOOR: &str =
    "one DeleteObjects request and one statement of the same deletes for each user, 8 loops";

/// What the planner knows of the application's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistics {
    /// Nothing: they were never analyzed.
    None,
    /// What `analyze` found after the last insert.
    Fresh,
    /// What `analyze` found before the rows were inserted.
    Stale,
}

impl Statistics {
    const fn name(self) -> &'static str {
        match self {
            Self::None => "fresh tables",
            Self::Fresh => "after analyze",
            Self::Stale => "stale statistics",
        }
    }
}

/// When the users are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// The clock starts with the first call of `lethe.delete_user`, while workers wait.
    Timed,
    /// All calls are made in a pause, and the clock starts with its end, as other queues are measured.
    Before,
}

/// What differs between runs.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    pub statistics: Statistics,
    pub calls: Calls,
}

/// Fresh tables first, then the same after `analyze`, then the workers alone.
pub async fn small_users(
    rig: &mut Rig,
    bars: &Bars,
    count: u64,
    workers: u32,
) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let runs = [
        (Statistics::None, &[Calls::Timed][..]),
        (Statistics::Fresh, &[Calls::Timed, Calls::Before]),
    ];
    for (statistics, calls) in runs {
        let (floor, rows_only) = floors(rig, bars, count, statistics).await?;
        for &calls in calls {
            let bar = bars.add(&format!(
                "small users: {count}, {}, writing",
                statistics.name()
            ));
            let database = rig.database("small_users").await?;
            seed(rig, &database, 0..count, statistics).await?;
            bar.finish();
            let figure = erase(
                rig,
                bars,
                &database,
                "small users",
                Variant { statistics, calls },
                0..count,
                workers,
            )
            .await?;
            rig.drop_database(database).await?;
            figures.push(
                figure
                    .floor(floor, FLOOR)
                    .with("bare rows alone", rows_only),
            );
        }
    }
    Ok(figures)
}

/// Users per second of the bare loop, with the objects and without.
async fn floors(
    rig: &mut Rig,
    bars: &Bars,
    count: u64,
    statistics: Statistics,
) -> anyhow::Result<(f64, f64)> {
    let mut rates = Vec::new();
    for objects in [Objects::Left, Objects::Deleted] {
        let bar = bars.add(&format!(
            "small users: {count}, {}, floor",
            statistics.name()
        ));
        let database = rig.database("floor").await?;
        seed(rig, &database, 0..count, statistics).await?;
        rates.push(bare::users(rig, &database.pool, users(0..count), objects).await?);
        rig.drop_database(database).await?;
        bar.finish();
    }
    Ok((rates[1], rates[0]))
}

/// The same users as `seed` writes.
pub fn users(numbers: Range<u64>) -> Vec<User> {
    let first = numbers.start;
    let user = |n: u64| User {
        id: format!("user_{n}"),
        keys: ((n - first) * IMAGES..(n - first + 1) * IMAGES)
            .map(|image| format!("users/{first}/{image}"))
            .collect(),
    };
    numbers.map(user).collect()
}

/// Users `user_<number>`, each with a collection, samples, images and objects.
pub async fn seed(
    rig: &mut Rig,
    database: &BenchDatabase,
    numbers: Range<u64>,
    statistics: Statistics,
) -> anyhow::Result<()> {
    let pool = &database.pool;
    for table in TABLES {
        let statement = format!("alter table public.{table} set (autovacuum_enabled = off)");
        sqlx::query(AssertSqlSafe(statement)).execute(pool).await?;
    }
    let (first, count) = (numbers.start, numbers.end - numbers.start);
    let mut tx = pool.begin().await?;
    for statement in [
        "insert into public.users (id) select 'user_' || n from generate_series($1, $2 - 1) n",
        "insert into public.collections (id, user_id)
         select md5('c' || n)::uuid, 'user_' || n from generate_series($1, $2 - 1) n",
    ] {
        sqlx::query(statement)
            .bind(i64::try_from(first)?)
            .bind(i64::try_from(numbers.end)?)
            .execute(&mut *tx)
            .await?;
    }
    sqlx::query(
        "insert into public.samples (id, user_id, collection_id)
         select md5(n || '/' || s)::uuid, 'user_' || n, md5('c' || n)::uuid
         from generate_series($1, $2 - 1) n, generate_series(0, $3 - 1) s",
    )
    .bind(i64::try_from(first)?)
    .bind(i64::try_from(numbers.end)?)
    .bind(i64::try_from(SAMPLES)?)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "insert into public.sample_images (sample_id, object_key)
         select md5(n || '/' || i % $3)::uuid, 'users/' || $1 || '/' || (n - $1) * $4 + i
         from generate_series($1, $2 - 1) n, generate_series(0, $4 - 1) i",
    )
    .bind(i64::try_from(first)?)
    .bind(i64::try_from(numbers.end)?)
    .bind(i64::try_from(SAMPLES)?)
    .bind(i64::try_from(IMAGES)?)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    if statistics == Statistics::Fresh {
        sqlx::query("analyze").execute(pool).await?;
    }
    sqlx::query("checkpoint").execute(pool).await?;
    rig.fill(&format!("users/{first}/"), count * IMAGES).await
}

/// Erases these users, and checks that nothing of them is left.
pub async fn erase(
    rig: &Rig,
    bars: &Bars,
    database: &BenchDatabase,
    case: &'static str,
    variant: Variant,
    numbers: Range<u64>,
    workers: u32,
) -> anyhow::Result<Figure> {
    let count = numbers.end - numbers.start;
    let pool = &database.pool;
    let statistics = variant.statistics.name();
    let mut name = format!("{count} users, {statistics}, {workers} workers");
    if variant.calls == Calls::Before {
        name.push_str(", called before");
    }
    let bar = bars.add(&format!("{case}: {name}"));
    let wal = wal_bytes(pool).await?;
    let fleet = Fleet::start(rig, database, workers, &[]).await?;
    // The workers are idle before the clock starts.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (begun, called, series) = match variant.calls {
        Calls::Timed => {
            let begun = Instant::now();
            let (called, series) =
                tokio::try_join!(call(pool, numbers), until_gone(pool, count, begun, &bar))?;
            (begun, called, series)
        }
        Calls::Before => {
            sqlx::query("select lethe.pause('bench', null)")
                .execute(pool)
                .await?;
            let called = call(pool, numbers).await?;
            let begun = Instant::now();
            sqlx::query("select lethe.resume('bench', null, 0)")
                .execute(pool)
                .await?;
            let series = until_gone(pool, count, begun, &bar).await?;
            (begun, called, series)
        }
    };
    let seconds = begun.elapsed().as_secs_f64();
    bar.finish();
    let wal = wal_bytes(pool).await? - wal;
    nothing_left(rig, pool).await?;
    let usage = fleet.usage()?;
    fleet.stop().await?;
    let mut figure = Figure::new(case, name, "users/s", count as f64 / seconds)
        .with("calls/s", count as f64 / called.seconds)
        .with("call p99 ms", quantile(&called.waits_ms, 0.99))
        .with("WAL bytes a user", wal / count as f64);
    figure.worker_peak_rss = Some(usage.peak_rss);
    figure.series = series;
    Ok(figure)
}

/// How the calls of `lethe.delete_user` went.
struct Called {
    seconds: f64,
    /// Sorted.
    waits_ms: Vec<f64>,
}

async fn call(pool: &PgPool, numbers: Range<u64>) -> anyhow::Result<Called> {
    let next = AtomicU64::new(numbers.start);
    let begun = Instant::now();
    let callers = (0..CALLERS).map(|_| async {
        let mut connection = pool.acquire().await?;
        let mut waits = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= numbers.end {
                return anyhow::Ok(waits);
            }
            let sent = Instant::now();
            sqlx::query("select lethe.delete_user($1, 'bench')")
                .bind(format!("user_{n}"))
                .execute(&mut *connection)
                .await?;
            waits.push(sent.elapsed().as_secs_f64() * 1e3);
        }
    });
    let waits = futures::future::try_join_all(callers).await?;
    let mut waits_ms: Vec<f64> = waits.into_iter().flatten().collect();
    waits_ms.sort_by(f64::total_cmp);
    Ok(Called {
        seconds: begun.elapsed().as_secs_f64(),
        waits_ms,
    })
}

/// Polls until no such user has a row. Returns seconds since the start and the users erased per second.
async fn until_gone(
    pool: &PgPool,
    count: u64,
    begun: Instant,
    bar: &ProgressBar,
) -> anyhow::Result<Vec<(f64, f64)>> {
    bar.set_length(count);
    let (mut series, mut last) = (Vec::new(), (0.0, count as f64));
    loop {
        let left: i64 =
            sqlx::query_scalar("select count(*) from public.users where id like 'user\\_%'")
                .fetch_one(pool)
                .await?;
        let now = begun.elapsed().as_secs_f64();
        if (left as f64) < last.1 {
            series.push((now, (last.1 - left as f64) / (now - last.0)));
            last = (now, left as f64);
        }
        bar.set_position(count - left.unsigned_abs());
        if left == 0 {
            return Ok(series);
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "{left} of {count} users are left"
        );
        tokio::time::sleep(POLL).await;
    }
}

async fn nothing_left(rig: &Rig, pool: &PgPool) -> anyhow::Result<()> {
    let rows: i64 = sqlx::query_scalar(
        "select (select count(*) from public.samples where user_id like 'user\\_%')
              + (select count(*) from public.collections where user_id like 'user\\_%')
              + (select count(*) from public.sample_images where object_key like 'users/%')",
    )
    .fetch_one(pool)
    .await?;
    let objects = rig.objects_of("users/").await?;
    ensure!(
        rows == 0 && objects == 0,
        "{rows} rows and {objects} objects are left"
    );
    Ok(())
}

/// How much WAL this server has written.
async fn wal_bytes(pool: &PgPool) -> anyhow::Result<f64> {
    Ok(
        sqlx::query_scalar("select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8")
            .fetch_one(pool)
            .await?,
    )
}

//! Data and schemas of real applications: samples of many images, a key that many rows share, a foreign key without
//! an index, statistics of another day. What others wait for meanwhile is measured too.

use std::time::{Duration, Instant};

use anyhow::ensure;
use indicatif::ProgressBar;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::erasure::{USER, delete_one_by_one, seed, seed_single_samples};
use super::report::{Figure, quantile};
use super::rig::{BenchDatabase, Fleet, Rig};
use super::small_users::{self, Calls, Statistics, Variant};
use super::{Bars, bare};

const FLOOR: &str = "bare DeleteObjects, then bare deletes by id, 1,000 samples in a transaction";
const FLOOR_USERS: &str =
    "one DeleteObjects request and one statement of the same deletes for each user, 8 loops";
const PATIENCE: Duration = Duration::from_secs(1_800);
const POLL: Duration = Duration::from_millis(50);
/// Rows that name the placeholder and stay.
const PLACEHOLDER_ROWS: i64 = 50_000;
const PLACEHOLDER: &str = "placeholder.png";
/// The number of the first user who is erased before the statistics are gathered.
const WARM_UP: u64 = 1_000_000_000;
/// Samples of the user whose erasure is accepted beside stale statistics.
const STALE_SAMPLES: i64 = 5_000;

/// Samples of a hundred images, each sample a task.
pub async fn many_images(
    rig: &mut Rig,
    bars: &Bars,
    samples: u64,
    workers: u32,
) -> anyhow::Result<Vec<Figure>> {
    const IMAGES: u64 = 100;
    let mut measured = Vec::new();
    for fleet in [0, workers] {
        let bar = bars.add(&format!("many images: {samples} samples, {fleet} workers"));
        let database = rig.database("many_images").await?;
        seed(rig, &database, USER, samples, IMAGES).await?;
        database.settle_down().await?;
        let keys = (0..samples * IMAGES)
            .map(|n| format!("{USER}/{n}"))
            .collect();
        measured.push(drain(rig, &database, keys, samples, fleet, &bar).await?);
        rig.drop_database(database).await?;
        bar.finish();
    }
    let images = IMAGES as f64;
    let variant = format!("{samples} samples of {IMAGES} images, {workers} workers");
    let mut figure = Figure::new(
        "many images",
        variant,
        "images/s",
        measured[1].per_second * images,
    )
    .floor(measured[0].per_second * images, FLOOR);
    figure.worker_peak_rss = measured[1].peak_rss;
    Ok(vec![figure])
}

/// Samples that name a key of their own and one key that 50,000 live images name.
pub async fn placeholder(
    rig: &mut Rig,
    bars: &Bars,
    samples: u64,
    workers: u32,
) -> anyhow::Result<Vec<Figure>> {
    let mut measured = Vec::new();
    for fleet in [0, workers] {
        let bar = bars.add(&format!("placeholder: {samples} samples, {fleet} workers"));
        let database = rig.database("placeholder").await?;
        seed(rig, &database, USER, samples, 1).await?;
        sqlx::query("insert into public.users (id) values ('keep')")
            .execute(&database.pool)
            .await?;
        sqlx::query(
            "with s as (insert into public.samples (user_id) select 'keep' from generate_series(1, $1 / 100) returning id)
             insert into public.sample_images (sample_id, object_key) select id, $2 from s, generate_series(1, 100)",
        )
        .bind(PLACEHOLDER_ROWS)
        .bind(PLACEHOLDER)
        .execute(&database.pool)
        .await?;
        sqlx::query(
            "insert into public.sample_images (sample_id, object_key) select id, $2 from public.samples where user_id = $1",
        )
        .bind(USER)
        .bind(PLACEHOLDER)
        .execute(&database.pool)
        .await?;
        database.settle_down().await?;
        let keys = (0..samples).map(|n| format!("{USER}/{n}")).collect();
        measured.push(drain(rig, &database, keys, samples, fleet, &bar).await?);
        let kept: i64 =
            sqlx::query_scalar("select count(*) from public.sample_images where object_key = $1")
                .bind(PLACEHOLDER)
                .fetch_one(&database.pool)
                .await?;
        ensure!(
            kept == PLACEHOLDER_ROWS,
            "{kept} rows with the placeholder are left"
        );
        rig.drop_database(database).await?;
        bar.finish();
    }
    let variant =
        format!("{samples} samples beside {PLACEHOLDER_ROWS} rows of one key, {workers} workers");
    Ok(figures("placeholder", &variant, &measured))
}

/// Samples to which a table of the application refers by a foreign key without an index.
pub async fn no_index(
    rig: &mut Rig,
    bars: &Bars,
    samples: u64,
    comments: u64,
    workers: u32,
) -> anyhow::Result<Vec<Figure>> {
    let mut measured = Vec::new();
    for fleet in [0, workers] {
        let bar = bars.add(&format!("no index: {samples} samples, {fleet} workers"));
        let database = rig.database("no_index").await?;
        seed(rig, &database, USER, samples, 1).await?;
        sqlx::raw_sql(
            "insert into public.users (id) values ('keep'); insert into public.samples (user_id) values ('keep');
             create table public.comments (body text, sample_id uuid)",
        )
        .execute(&database.pool)
        .await?;
        sqlx::query(
            "insert into public.comments select 'a comment', id from public.samples, generate_series(1, $1) where user_id = 'keep'",
        )
        .bind(i64::try_from(comments)?)
        .execute(&database.pool)
        .await?;
        sqlx::query(
            "alter table public.comments add foreign key (sample_id) references public.samples",
        )
        .execute(&database.pool)
        .await?;
        database.settle_down().await?;
        let keys = (0..samples).map(|n| format!("{USER}/{n}")).collect();
        measured.push(drain(rig, &database, keys, samples, fleet, &bar).await?);
        rig.drop_database(database).await?;
        bar.finish();
    }
    let variant =
        format!("{samples} samples, {comments} comments without an index, {workers} workers");
    Ok(figures("no index", &variant, &measured))
}

/// An erasure and small users, with the statistics of a time at which the tables were almost empty. Since then others
/// got `rows` images, and deleted a twentieth of their samples, which can still be restored.
pub async fn stale(
    rig: &mut Rig,
    bars: &Bars,
    users: u64,
    rows: u64,
    workers: u32,
) -> anyhow::Result<Vec<Figure>> {
    let bar = bars.add("stale: floor");
    let database = rig.database("stale").await?;
    seed_stale(rig, &database, users, rows, workers).await?;
    let small = small_users::users(0..users);
    let floor = bare::users(rig, &database.pool, small, bare::Objects::Deleted).await?;
    rig.drop_database(database).await?;
    bar.finish();

    let bar = bars.add(&format!(
        "stale: {rows} rows since the last analyze, writing"
    ));
    let database = rig.database("stale").await?;
    seed_stale(rig, &database, users, rows, workers).await?;
    bar.finish();
    let figure = small_users::erase(
        rig,
        bars,
        &database,
        "stale",
        Variant {
            statistics: Statistics::Stale,
            calls: Calls::Timed,
        },
        0..users,
        workers,
    )
    .await?;
    let begun = Instant::now();
    sqlx::query("select lethe.delete_user('stale_user', 'bench')")
        .execute(&database.pool)
        .await?;
    let accepted_ms = begun.elapsed().as_secs_f64() * 1e3;
    rig.drop_database(database).await?;
    let accepted =
        format!("lethe.delete_user of {STALE_SAMPLES} samples, {rows} rows since analyze");
    Ok(vec![
        figure.floor(floor, FLOOR_USERS),
        Figure::new("stale", accepted, "ms", accepted_ms),
    ])
}

async fn seed_stale(
    rig: &mut Rig,
    database: &BenchDatabase,
    users: u64,
    rows: u64,
    workers: u32,
) -> anyhow::Result<()> {
    const IMAGES: u64 = 10;
    let pool = &database.pool;
    // Some work is done before, so that there are statistics of finished tasks and of no open one.
    let before = WARM_UP..WARM_UP + 500;
    small_users::seed(rig, database, before.clone(), Statistics::Fresh).await?;
    let bars = Bars::default();
    small_users::erase(
        rig,
        &bars,
        database,
        "stale",
        Variant {
            statistics: Statistics::Fresh,
            calls: Calls::Timed,
        },
        before,
        workers,
    )
    .await?;
    sqlx::raw_sql(
        "do $$ declare t regclass; begin
             for t in select oid from pg_class where relkind = 'r' and relnamespace = 'lethe'::regnamespace loop
                 execute format('alter table %s set (autovacuum_enabled = off)', t);
             end loop; end $$",
    )
    .execute(pool)
    .await?;
    sqlx::query("analyze").execute(pool).await?;
    sqlx::query("insert into public.users (id) values ('others'), ('stale_user')")
        .execute(pool)
        .await?;
    for (user, samples) in [
        ("others", i64::try_from(rows / IMAGES)?),
        ("stale_user", STALE_SAMPLES),
    ] {
        sqlx::query(
            "with s as (insert into public.samples (user_id) select $1 from generate_series(1, $2) returning id)
             insert into public.sample_images (sample_id, object_key)
             select id, 'stale/' || id || '/' || n from s, generate_series(1, $3) n",
        )
        .bind(user)
        .bind(samples)
        .bind(i64::try_from(IMAGES)?)
        .execute(pool)
        .await?;
    }
    sqlx::query(
        "select count(lethe.delete('sample', id::text, 'bench', '1 day'))
         from (select id from public.samples where user_id = 'others' order by id limit $1) s",
    )
    .bind(i64::try_from(rows / IMAGES / 2)?)
    .execute(pool)
    .await?;
    small_users::seed(rig, database, 0..users, Statistics::Stale).await
}

/// How one drain went.
struct Drained {
    per_second: f64,
    peak_rss: Option<u64>,
    /// How long single samples of somebody else waited meanwhile, sorted, in ms.
    waits_ms: Vec<f64>,
}

/// Deletes the samples of the user, each as a task: by a fleet, or with no workers by the bare loop. `keys` are the
/// objects that nobody else names.
async fn drain(
    rig: &Rig,
    database: &BenchDatabase,
    keys: Vec<String>,
    samples: u64,
    workers: u32,
    bar: &ProgressBar,
) -> anyhow::Result<Drained> {
    let pool = &database.pool;
    if workers == 0 {
        return Ok(Drained {
            per_second: bare::samples(rig, pool, USER, keys).await?,
            peak_rss: None,
            waits_ms: Vec::new(),
        });
    }
    let single_samples = seed_single_samples(pool).await?;
    sqlx::query(
        "select count(lethe.delete('sample', id::text, 'bench')) from public.samples where user_id = $1",
    )
    .bind(USER)
    .execute(pool)
    .await?;
    let begun = Instant::now();
    let fleet = Fleet::start(rig, database, workers, &[]).await?;
    let stop = CancellationToken::new();
    let singles = delete_one_by_one(pool.clone(), single_samples, stop.clone());
    let singles = tokio::spawn(singles);
    until_deleted(pool, samples, bar).await?;
    let seconds = begun.elapsed().as_secs_f64();
    stop.cancel();
    let mut waits_ms = singles.await??;
    waits_ms.sort_by(f64::total_cmp);
    let usage = fleet.usage()?;
    fleet.stop().await?;
    let left = rig.objects_of(USER).await?;
    ensure!(left == 0, "{left} objects are left");
    Ok(Drained {
        per_second: samples as f64 / seconds,
        peak_rss: Some(usage.peak_rss),
        waits_ms,
    })
}

async fn until_deleted(pool: &PgPool, samples: u64, bar: &ProgressBar) -> anyhow::Result<()> {
    bar.set_length(samples);
    let begun = Instant::now();
    loop {
        let left: i64 =
            sqlx::query_scalar("select count(*) from public.samples where user_id = $1")
                .bind(USER)
                .fetch_one(pool)
                .await?;
        bar.set_position(samples - left.unsigned_abs().min(samples));
        if left == 0 {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "{left} of {samples} samples are left"
        );
        tokio::time::sleep(POLL).await;
    }
}

/// The floor comes first.
fn figures(case: &'static str, variant: &str, measured: &[Drained]) -> Vec<Figure> {
    let (floor, lethe) = (&measured[0], &measured[1]);
    let mut figure =
        Figure::new(case, variant, "samples/s", lethe.per_second).floor(floor.per_second, FLOOR);
    figure.worker_peak_rss = lethe.peak_rss;
    let waits = &lethe.waits_ms;
    let ms = |what: &str, part| {
        Figure::new(
            case,
            format!("a single sample meanwhile, {what}"),
            "ms",
            quantile(waits, part),
        )
        .with("samples", waits.len() as f64)
    };
    vec![figure, ms("p50", 0.5), ms("max", 1.0)]
}

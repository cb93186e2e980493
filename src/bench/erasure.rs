//! Erasing: many samples as tasks of their own, and one giant user, with every object and row.

use std::time::{Duration, Instant};

use anyhow::ensure;
use indicatif::ProgressBar;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::api::Api;
use super::report::{Figure, quantile};
use super::rig::{BenchDatabase, Fleet, Rig};
use super::{Bars, floor, watch};

const FLOOR: &str = "the same statements and bare DeleteObjects in a loop";
/// The pause between two single samples that are deleted while the giant user is erased.
const SINGLE_SAMPLE_PAUSE: Duration = Duration::from_millis(300);
/// The pause between two polls of the erasure's transactions.
const TRANSACTIONS_POLL: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(600);
/// How long the last rows may stay after the last object is counted.
const LAST_ROWS: Duration = Duration::from_secs(10);
/// The user whose data are erased.
pub const USER: &str = "user_giant";

/// `count` samples of one image, each deleted as a task of its own.
pub async fn samples(
    rig: &mut Rig,
    bars: &Bars,
    count: u64,
    workers: u32,
) -> anyhow::Result<Figure> {
    let floors = floors_of(rig, bars, count, 1).await?;
    let bar = bars.add(&format!("samples: {count}, writing"));
    let database = rig.database("samples").await?;
    seed(rig, &database, USER, count, 1).await?;
    delete_samples(&database.pool).await?;
    database.settle_down().await?;
    bar.finish();
    let bar = bars.add(&format!("samples: {count}, {workers} workers"));
    let fleet = Fleet::start(rig, &database, workers, &[]).await?;
    let watched = watch::until(&fleet, "lethe_objects_deleted_total", count, &bar).await?;
    nothing_left(rig, &database.pool).await?;
    bar.finish();
    let usage = fleet.usage()?;
    fleet.stop().await?;
    rig.drop_database(database).await?;
    let mut figure = Figure::new(
        "single samples",
        format!("{count} tasks, {workers} workers"),
        "samples/s",
        watched.per_second,
    )
    .floor(floors.same_statements, FLOOR)
    .with("bare deletes", floors.bare_deletes);
    figure.worker_peak_rss = Some(usage.peak_rss);
    figure.series = watched.series;
    Ok(figure)
}

/// One user of `images` images, erased by a webhook, while single samples of another user are deleted.
pub async fn user(
    rig: &mut Rig,
    bars: &Bars,
    images: u64,
    workers: u32,
) -> anyhow::Result<Vec<Figure>> {
    const IMAGES_PER_SAMPLE: u64 = 10;
    let samples = images / IMAGES_PER_SAMPLE;
    let floors = floors_of(rig, bars, samples, IMAGES_PER_SAMPLE).await?;
    let bar = bars.add(&format!("one user: {images} images, writing"));
    let database = rig.database("user").await?;
    seed(rig, &database, USER, samples, IMAGES_PER_SAMPLE).await?;
    let single_samples = seed_single_samples(&database.pool).await?;
    database.settle_down().await?;
    bar.finish();

    let api = Api::start(rig, &database).await?;
    let fleet = Fleet::start(rig, &database, workers, &[]).await?;
    // The workers are idle before the clock starts.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let bar = bars.add(&format!("one user: {images} images, {workers} workers"));
    let erasure = erase_giant(&api, &fleet, &database.pool, images, single_samples, &bar).await?;
    bar.finish();
    let usage = fleet.usage()?;
    fleet.stop().await?;
    api.stop().await?;
    nothing_left(rig, &database.pool).await?;
    rig.drop_database(database).await?;
    let mut figure = Figure::new(
        "one user",
        format!("{images} images, {workers} workers"),
        "images/s",
        images as f64 / erasure.seconds,
    )
    .floor(floors.same_statements, FLOOR)
    .with("bare deletes", floors.bare_deletes)
    .with("seconds", erasure.seconds);
    figure.worker_peak_rss = Some(usage.peak_rss);
    figure.series = erasure.series;
    let waits = &erasure.single_waits_ms;
    let ms = |variant: &str, value| Figure::new("one user", variant, "ms", value);
    Ok(vec![
        figure,
        ms("longest transaction seen", erasure.longest_transaction_ms),
        ms("webhook answered", erasure.webhook_ms),
        ms("a single sample meanwhile, p50", quantile(waits, 0.5))
            .with("samples", waits.len() as f64),
        ms("a single sample meanwhile, p99", quantile(waits, 0.99)),
    ])
}

/// What was measured while the giant user was erased.
struct GiantErasure {
    /// From the webhook to the end of the user's row.
    seconds: f64,
    webhook_ms: f64,
    longest_transaction_ms: f64,
    /// Sorted.
    single_waits_ms: Vec<f64>,
    series: Vec<(f64, f64)>,
}

/// Erases the giant user by a webhook, and meanwhile deletes `single_samples` of another user one by one.
async fn erase_giant(
    api: &Api,
    fleet: &Fleet,
    pool: &PgPool,
    images: u64,
    single_samples: Vec<Uuid>,
    bar: &ProgressBar,
) -> anyhow::Result<GiantErasure> {
    let begun = Instant::now();
    api.user_deleted(USER).await?;
    let webhook_ms = begun.elapsed().as_secs_f64() * 1e3;
    let stop = CancellationToken::new();
    let longest = tokio::spawn(longest_transaction(pool.clone(), stop.clone()));
    let singles = tokio::spawn(delete_one_by_one(
        pool.clone(),
        single_samples,
        stop.clone(),
    ));
    let watched = watch::until(fleet, "lethe_objects_deleted_total", images, bar).await?;
    loop {
        let gone: bool =
            sqlx::query_scalar("select not exists (select from public.users where id = $1)")
                .bind(USER)
                .fetch_one(pool)
                .await?;
        if gone {
            break;
        }
        ensure!(begun.elapsed() < PATIENCE, "the user is not erased");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    stop.cancel();
    let mut single_waits_ms = singles.await??;
    single_waits_ms.sort_by(f64::total_cmp);
    Ok(GiantErasure {
        seconds,
        webhook_ms,
        longest_transaction_ms: longest.await??,
        single_waits_ms,
        series: watched.series,
    })
}

/// The rates of the same work in bare loops.
struct Floors {
    same_statements: f64,
    bare_deletes: f64,
}

async fn floors_of(
    rig: &mut Rig,
    bars: &Bars,
    samples: u64,
    images_per_sample: u64,
) -> anyhow::Result<Floors> {
    let images = samples * images_per_sample;
    let bar = bars.add(&format!("{images} images: bare deletes"));
    let database = rig.database("floor").await?;
    seed(rig, &database, USER, samples, images_per_sample).await?;
    database.settle_down().await?;
    let bare_deletes = floor::bare_deletes(rig, &database.pool, i64::try_from(images)?).await?;
    nothing_left(rig, &database.pool).await?;
    rig.drop_database(database).await?;
    bar.finish();

    let bar = bars.add(&format!("{images} images: the same statements in a loop"));
    let database = rig.database("floor").await?;
    seed(rig, &database, USER, samples, images_per_sample).await?;
    let as_one_user = images_per_sample > 1;
    if !as_one_user {
        delete_samples(&database.pool).await?;
    }
    database.settle_down().await?;
    let mut root = None;
    if as_one_user {
        let asked = sqlx::query_scalar("select lethe.delete_user($1, 'bench')").bind(USER);
        root = Some(asked.fetch_one(&database.pool).await?);
    }
    let same_statements = floor::same_statements(rig, &database.pool, root, images).await?;
    rig.drop_database(database).await?;
    bar.finish();
    Ok(Floors {
        same_statements,
        bare_deletes,
    })
}

async fn delete_samples(pool: &PgPool) -> anyhow::Result<()> {
    sqlx::query("select count(lethe.delete('sample', id::text, 'bench')) from public.samples")
        .execute(pool)
        .await?;
    Ok(())
}

/// A user with samples, images and objects.
pub async fn seed(
    rig: &mut Rig,
    database: &BenchDatabase,
    user: &str,
    samples: u64,
    images_per_sample: u64,
) -> anyhow::Result<()> {
    let mut tx = database.pool.begin().await?;
    sqlx::query("insert into public.users (id) values ($1)")
        .bind(user)
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "insert into public.samples (id, user_id)
         select md5($1 || '/' || n)::uuid, $1 from generate_series(1, $2) n",
    )
    .bind(user)
    .bind(i64::try_from(samples)?)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "insert into public.sample_images (sample_id, object_key)
         select md5($1 || '/' || (n / $3 + 1))::uuid, $1 || '/' || n from generate_series(0, $2 * $3 - 1) n",
    )
    .bind(user)
    .bind(i64::try_from(samples)?)
    .bind(i64::try_from(images_per_sample)?)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    rig.fill(&format!("{user}/"), samples * images_per_sample)
        .await
}

pub async fn seed_single_samples(pool: &PgPool) -> anyhow::Result<Vec<Uuid>> {
    sqlx::query("insert into public.users (id) values ('user_single')")
        .execute(pool)
        .await?;
    let samples: Vec<Uuid> = sqlx::query_scalar(
        "insert into public.samples (user_id) select 'user_single' from generate_series(1, 2000) returning id",
    )
    .fetch_all(pool)
    .await?;
    sqlx::query("insert into public.sample_images (sample_id, object_key) select s, 'single/' || s from unnest($1::uuid[]) s")
        .bind(&samples)
        .execute(pool)
        .await?;
    Ok(samples)
}

/// The age of the oldest transaction of Lethe's processes that was seen, in ms. Idle sessions are left out:
/// one that receives a notification seems to be in a transaction as old as its last statement.
pub async fn longest_transaction(pool: PgPool, stop: CancellationToken) -> anyhow::Result<f64> {
    let mut longest: f64 = 0.0;
    while !stop.is_cancelled() {
        let oldest: Option<(f64, String)> = sqlx::query_as(
            "select extract(epoch from clock_timestamp() - xact_start)::float8 * 1000, query
             from pg_stat_activity
             where application_name = 'lethe' and datname = current_database() and xact_start is not null
               and state <> 'idle'
             order by xact_start limit 1",
        )
        .fetch_optional(&pool)
        .await?;
        if let Some((age, query)) = oldest
            && age > longest
        {
            longest = age;
            tracing::debug!(age, query, "the longest transaction so far");
        }
        tokio::time::sleep(TRANSACTIONS_POLL).await;
    }
    Ok(longest)
}

/// Deletes one sample after the other. Returns how many milliseconds each took from its commit to the end of
/// its row.
pub async fn delete_one_by_one(
    pool: PgPool,
    samples: Vec<Uuid>,
    stop: CancellationToken,
) -> anyhow::Result<Vec<f64>> {
    let mut waits = Vec::new();
    for sample in samples {
        if stop.is_cancelled() {
            break;
        }
        sqlx::query("select lethe.delete('sample', $1::text, 'bench')")
            .bind(sample)
            .execute(&pool)
            .await?;
        let begun = Instant::now();
        while sqlx::query_scalar("select exists (select from public.samples where id = $1)")
            .bind(sample)
            .fetch_one(&pool)
            .await?
        {
            ensure!(begun.elapsed() < PATIENCE, "a single sample is not deleted");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        waits.push(begun.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(SINGLE_SAMPLE_PAUSE).await;
    }
    Ok(waits)
}

/// Checks that the benchmark erased what it measured.
pub async fn nothing_left(rig: &Rig, pool: &PgPool) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let rows: i64 = sqlx::query_scalar(
            "select (select count(*) from public.sample_images i join public.samples s on s.id = i.sample_id where s.user_id = $1)
                  + (select count(*) from public.samples where user_id = $1)",
        )
        .bind(USER)
        .fetch_one(pool)
        .await?;
        let objects = rig.objects().await?;
        if rows == 0 && objects == 0 {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < LAST_ROWS,
            "{rows} rows and {objects} objects are left"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

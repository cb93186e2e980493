//! The Rust port of Graphile Worker as a peer; ../../PROTOCOL.md says what each verb reads and writes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use graphile_worker::{
    BatchTaskHandler, IntoBatchTaskHandlerResult, IntoTaskHandlerResult, JobSpec, LocalQueueConfig, RawJobSpec,
    TaskHandler, Worker, WorkerContext, WorkerOptions, WorkerUtils,
};
use peer_protocol::{
    DELETE_ROWS, DELETE_ROWS_OF_BATCH, DELETE_USER, S3, SAMPLES, Sample, USERS, delete_each, delete_together, handled, lines, now, report,
    s3, say, variable,
};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

const SCHEMA: &str = "graphile_worker";
/// Jobs of one bulk insert.
const ENQUEUE_BATCH: usize = 5_000;
/// Samples of one batch job: the keys that one DeleteObjects takes.
const SAMPLES_PER_JOB: usize = 1_000;

/// What differs from case to case; the README says where the figures are from.
struct Settings {
    concurrency: usize,
    poll_interval: Duration,
    complete_job_batch_delay: Duration,
    local_queue: usize,
    connections: u32,
}

fn settings(case: &str) -> Settings {
    // The crate's own benchmark, benches/perf_test.rs.
    let queue = Settings {
        concurrency: 500,
        poll_interval: Duration::from_millis(5),
        complete_job_batch_delay: Duration::from_millis(5),
        local_queue: 5_000,
        connections: 100,
    };
    match case {
        // The wake-up must come from the notification, so the poll is the default.
        "wake" => Settings { concurrency: 10, poll_interval: Duration::from_secs(1), local_queue: 0, connections: 25, ..queue },
        // As many S3 requests in flight as every other peer has.
        "erasure" | "erasure-users" => Settings { concurrency: 64, local_queue: 500, connections: 64, ..queue },
        "erasure-batch" => Settings { concurrency: 4, local_queue: 0, connections: 25, ..queue },
        _ => queue,
    }
}

#[derive(Serialize, Deserialize)]
struct Noop {
    id: usize,
}

impl TaskHandler for Noop {
    const IDENTIFIER: &'static str = "noop";

    async fn run(self, _: WorkerContext) -> impl IntoTaskHandlerResult {
        handled(1);
    }
}

#[derive(Serialize, Deserialize)]
struct Wake {
    id: String,
}

impl TaskHandler for Wake {
    const IDENTIFIER: &'static str = "wake";

    async fn run(self, _: WorkerContext) -> impl IntoTaskHandlerResult {
        say(&format!("started {} {}", self.id, now()));
    }
}

/// What the erasures' handlers use.
#[derive(Clone, Debug)]
struct Stores {
    pool: PgPool,
    s3: S3,
}

#[derive(Serialize, Deserialize)]
struct Erase(Sample);

impl TaskHandler for Erase {
    const IDENTIFIER: &'static str = "erase";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let erased = async {
            let stores = context.get_ext::<Stores>().context("an erasure job in another case")?;
            delete_each(&stores.s3, &self.0).await?;
            sqlx::query(DELETE_ROWS).bind(&self.0.id).execute(&stores.pool).await?;
            handled(1);
            anyhow::Ok(())
        };
        erased.await.map_err(|error| format!("{error:#}"))
    }
}

#[derive(Serialize, Deserialize)]
struct EraseBatch(Sample);

impl BatchTaskHandler for EraseBatch {
    const IDENTIFIER: &'static str = "erase-batch";

    async fn run_batch(items: Vec<Self>, context: WorkerContext) -> impl IntoBatchTaskHandlerResult {
        let samples: Vec<Sample> = items.into_iter().map(|item| item.0).collect();
        let erased = async {
            let stores = context.get_ext::<Stores>().context("an erasure job in another case")?;
            delete_together(&stores.s3, &samples).await?;
            let ids: Vec<&str> = samples.iter().map(|sample| sample.id.as_str()).collect();
            sqlx::query(DELETE_ROWS_OF_BATCH).bind(ids).execute(&stores.pool).await?;
            handled(samples.len());
            anyhow::Ok(())
        };
        erased.await.map_err(|error| format!("{error:#}"))
    }
}

#[derive(Serialize, Deserialize)]
struct EraseUser(Sample);

impl TaskHandler for EraseUser {
    const IDENTIFIER: &'static str = "erase-user";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let erased = async {
            let stores = context.get_ext::<Stores>().context("an erasure job in another case")?;
            delete_together(&stores.s3, std::slice::from_ref(&self.0)).await?;
            sqlx::query(DELETE_USER).bind(&self.0.id).execute(&stores.pool).await?;
            handled(1);
            anyhow::Ok(())
        };
        erased.await.map_err(|error| format!("{error:#}"))
    }
}

async fn connect(connections: u32) -> Result<PgPool> {
    let url = variable("PEER_DATABASE_URL")?;
    Ok(PgPoolOptions::new().max_connections(connections).connect(&url).await?)
}

async fn worker(case: &str) -> Result<Worker> {
    let settings = settings(case);
    let pool = connect(settings.connections).await?;
    let mut options = WorkerOptions::default()
        .schema(SCHEMA)
        .pg_pool(pool.clone())
        .concurrency(settings.concurrency)
        .poll_interval(settings.poll_interval)
        .complete_job_batch_delay(settings.complete_job_batch_delay)
        .define_job::<Noop>()
        .define_job::<Wake>()
        .define_job::<Erase>()
        .define_job::<EraseUser>()
        .define_batch_job::<EraseBatch>();
    if settings.local_queue > 0 {
        options = options.local_queue(LocalQueueConfig::default().with_size(settings.local_queue));
    }
    if case.starts_with("erasure") {
        options = options.add_extension(Stores { pool, s3: s3().await? });
    }
    Ok(options.init().await?)
}

async fn work(case: &str) -> Result<()> {
    let worker = Arc::new(worker(case).await?);
    let mut commands = lines();
    report();
    say("ready");
    if commands.next_line().await?.is_some() {
        let running = tokio::spawn({
            let worker = worker.clone();
            async move { worker.run().await }
        });
        say("running");
        while commands.next_line().await?.is_some() {}
        worker.request_shutdown();
        running.await??;
    }
    Ok(())
}

async fn enqueue(jobs: Vec<RawJobSpec>) -> Result<()> {
    let utils = WorkerUtils::new(connect(1).await?, SCHEMA);
    for batch in jobs.chunks(ENQUEUE_BATCH) {
        utils.add_raw_jobs(batch).await?;
    }
    Ok(())
}

fn job(identifier: &str, payload: impl Serialize) -> Result<RawJobSpec> {
    Ok(RawJobSpec {
        identifier: identifier.into(),
        payload: serde_json::to_value(payload)?,
        spec: JobSpec::default(),
    })
}

async fn enqueue_samples(case: &str) -> Result<()> {
    let query = if case == "erasure-users" { USERS } else { SAMPLES };
    let rows: Vec<(String, Vec<String>)> = sqlx::query_as(query).fetch_all(&connect(1).await?).await?;
    let samples: Vec<Sample> = rows.into_iter().map(|(id, keys)| Sample { id, keys }).collect();
    let jobs = match case {
        "erasure-batch" => samples.chunks(SAMPLES_PER_JOB).map(|batch| job(EraseBatch::IDENTIFIER, batch)).collect(),
        "erasure-users" => samples.iter().map(|user| job(EraseUser::IDENTIFIER, user)).collect::<Result<_>>(),
        _ => samples.iter().map(|sample| job(Erase::IDENTIFIER, sample)).collect::<Result<_>>(),
    };
    enqueue(jobs?).await
}

async fn enqueue_wake() -> Result<()> {
    let pool = connect(1).await?;
    let utils = WorkerUtils::new(pool.clone(), SCHEMA);
    let mut ids = lines();
    say("ready");
    while let Some(id) = ids.next_line().await? {
        let mut transaction = pool.begin().await?;
        utils
            .clone()
            .with_executor(&mut transaction)
            .add_job(Wake { id: id.clone() }, JobSpec::default())
            .await?;
        let committed = now();
        transaction.commit().await?;
        say(&format!("committed {id} {committed}"));
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let verb = arguments.next().unwrap_or_default();
    let argument = arguments.next().unwrap_or_default();
    match verb.as_str() {
        "settings" => {
            let settings = settings(&argument);
            let shown = serde_json::json!({
                "concurrency": settings.concurrency,
                "poll_interval_ms": settings.poll_interval.as_millis() as u64,
                "complete_job_batch_delay_ms": settings.complete_job_batch_delay.as_millis() as u64,
                "local_queue": settings.local_queue,
                "pool_connections": settings.connections,
            });
            say(&shown.to_string());
            Ok(())
        }
        "migrate" => Ok(WorkerUtils::new(connect(1).await?, SCHEMA).migrate().await?),
        "enqueue" => {
            let jobs = (0..argument.parse()?).map(|id| job(Noop::IDENTIFIER, Noop { id })).collect::<Result<_>>()?;
            enqueue(jobs).await
        }
        "enqueue-samples" => enqueue_samples(&argument).await,
        "enqueue-wake" => enqueue_wake().await,
        "work" => work(&argument).await,
        _ => bail!("usage: peer-graphile-worker-rs settings|migrate|enqueue|enqueue-samples|enqueue-wake|work [argument]"),
    }
}

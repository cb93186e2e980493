//! apalis on PostgreSQL as a peer; ../../PROTOCOL.md says what each verb reads and writes.

use std::time::Duration;

use anyhow::{Result, bail};
use apalis::layers::WorkerBuilderExt;
use apalis::prelude::{BackendExt, ParallelizeExt};
use apalis::prelude::{BoxDynError, Data, Strategy, TaskBuilder, WorkerBuilder};
use apalis_postgres::{Config, PgTask, PostgresStorage, queries::push_tasks};
use peer_protocol::{
    DELETE_ROWS, S3, SAMPLES, Sample, delete_each, handled, lines, now, report, s3, say, variable,
};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

/// apalis has one queue for each type of task; each case needs one.
const QUEUE: &str = "peers";
/// Jobs of one bulk insert.
const ENQUEUE_BATCH: usize = 5_000;
const CONNECTIONS: u32 = 25;
const WORKER: &str = "peer";

/// What differs from case to case; the README says where the figures are from.
struct Settings {
    concurrency: usize,
    batch_size: usize,
    poll_interval: Duration,
    lock_tasks: bool,
}

fn settings(case: &str) -> Settings {
    let queue = Settings {
        concurrency: 1_000,
        batch_size: 1_000,
        poll_interval: Duration::from_millis(100),
        lock_tasks: false,
    };
    match case {
        // The wake-up must come from the notification; the poll only repairs a lost one.
        "wake" => Settings {
            concurrency: 10,
            batch_size: 10,
            poll_interval: Duration::from_secs(5),
            ..queue
        },
        // As many S3 requests in flight as every other peer has.
        "erasure" => Settings {
            concurrency: 64,
            ..queue
        },
        _ => queue,
    }
}

#[derive(Serialize, Deserialize)]
struct Noop {
    id: usize,
}

#[derive(Serialize, Deserialize)]
struct Wake {
    id: String,
}

/// What the erasure's handler uses.
#[derive(Clone)]
struct Stores {
    pool: PgPool,
    s3: S3,
}

async fn noop(_: Noop) -> Result<(), BoxDynError> {
    handled(1);
    Ok(())
}

async fn wake(task: Wake) -> Result<(), BoxDynError> {
    say(&format!("started {} {}", task.id, now()));
    Ok(())
}

async fn erase(sample: Sample, stores: Data<Stores>) -> Result<(), BoxDynError> {
    delete_each(&stores.s3, &sample).await?;
    sqlx::query(DELETE_ROWS)
        .bind(&sample.id)
        .execute(&stores.pool)
        .await?;
    handled(1);
    Ok(())
}

async fn connect(connections: u32) -> Result<PgPool> {
    let url = variable("PEER_DATABASE_URL")?;
    Ok(PgPoolOptions::new()
        .max_connections(connections)
        .connect(&url)
        .await?)
}

/// Says ready, and runs the worker between `go` and the end of standard input.
/// A macro, because a worker's type holds its handler's and apalis names no trait for all of them.
macro_rules! run {
    ($worker:expr) => {{
        let mut commands = lines();
        report();
        say("ready");
        if commands.next_line().await?.is_some() {
            say("running");
            let worker = $worker;
            worker
                .run_until(async move {
                    while commands.next_line().await?.is_some() {}
                    Ok::<(), std::io::Error>(())
                })
                .await?;
        }
    }};
}

async fn work(case: &str) -> Result<()> {
    let settings = settings(case);
    let pool = connect(CONNECTIONS).await?;
    let config = Config::default()
        .queue(QUEUE)
        .batch_size(settings.batch_size)
        .lock_tasks(settings.lock_tasks);
    macro_rules! builder {
        ($task:ty) => {
            WorkerBuilder::new(WORKER)
                .backend(
                    PostgresStorage::<$task>::new(&pool)
                        .with_config(config)
                        .with_pubsub()
                        .poll_with_strategy(Strategy::new().interval(settings.poll_interval)),
                )
                .concurrency(settings.concurrency)
                .parallelize(tokio::spawn)
        };
    }
    match case {
        "wake" => run!(builder!(Wake).build(wake)),
        "erasure" => {
            let stores = Stores {
                pool: pool.clone(),
                s3: s3().await?,
            };
            run!(builder!(Sample).data(stores).build(erase))
        }
        _ => run!(builder!(Noop).build(noop)),
    }
    Ok(())
}

fn task(payload: &impl Serialize) -> Result<PgTask> {
    Ok(TaskBuilder::new(serde_json::to_vec(payload)?).build())
}

async fn enqueue<T: Serialize>(payloads: &[T]) -> Result<()> {
    let pool = connect(1).await?;
    let mut connection = pool.acquire().await?;
    for batch in payloads.chunks(ENQUEUE_BATCH) {
        let tasks = batch.iter().map(task).collect::<Result<_>>()?;
        push_tasks(&mut *connection, QUEUE, tasks).await?;
    }
    Ok(())
}

async fn enqueue_samples() -> Result<()> {
    let rows: Vec<(String, Vec<String>)> = sqlx::query_as(SAMPLES)
        .fetch_all(&connect(1).await?)
        .await?;
    let samples: Vec<Sample> = rows
        .into_iter()
        .map(|(id, keys)| Sample { id, keys })
        .collect();
    enqueue(&samples).await
}

async fn enqueue_wake() -> Result<()> {
    let pool = connect(1).await?;
    let mut ids = lines();
    say("ready");
    while let Some(id) = ids.next_line().await? {
        let mut transaction = pool.begin().await?;
        push_tasks(
            &mut *transaction,
            QUEUE,
            vec![task(&Wake { id: id.clone() })?],
        )
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
                "batch_size": settings.batch_size,
                "poll_interval_ms": settings.poll_interval.as_millis() as u64,
                "lock_tasks": settings.lock_tasks,
                "pool_connections": CONNECTIONS,
            });
            say(&shown.to_string());
            Ok(())
        }
        "migrate" => Ok(PostgresStorage::setup(&connect(1).await?).await?),
        "enqueue" => {
            enqueue(
                &(0..argument.parse()?)
                    .map(|id| Noop { id })
                    .collect::<Vec<_>>(),
            )
            .await
        }
        "enqueue-samples" => enqueue_samples().await,
        "enqueue-wake" => enqueue_wake().await,
        "work" => work(&argument).await,
        _ => bail!(
            "usage: peer-apalis-postgres settings|migrate|enqueue|enqueue-samples|enqueue-wake|work [argument]"
        ),
    }
}

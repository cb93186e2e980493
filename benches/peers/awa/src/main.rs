//! awa as a peer; ../../PROTOCOL.md says what each verb reads and writes.

use std::time::Duration;

use anyhow::{Result, bail};
use awa::model::{QueueStorage, QueueStorageConfig, insert::params_with, migrations};
use awa::{
    Client, InsertOpts, InsertParams, JobArgs, JobError, JobResult, QueueConfig, insert_with,
};
use peer_protocol::{
    DELETE_ROWS, S3, SAMPLES, Sample, delete_each, handled, lines, now, report, s3, say, variable,
};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

const QUEUE: &str = "peers";
/// Jobs of one bulk insert.
const ENQUEUE_BATCH: usize = 5_000;
/// As in awa's own throughput benchmark.
const QUEUE_ROTATE: Duration = Duration::from_millis(1_000);
const LEASE_ROTATE: Duration = Duration::from_millis(50);
const CONNECTIONS: u32 = 20;
const SHUTDOWN: Duration = Duration::from_secs(5);

#[derive(Serialize, Deserialize, JobArgs)]
struct Noop {
    id: usize,
}

#[derive(Serialize, Deserialize, JobArgs)]
struct Wake {
    id: String,
}

#[derive(Serialize, Deserialize, JobArgs)]
struct Erase {
    sample: Sample,
}

/// `deadline_duration` zero (no deadline for each job), the poll of 50 ms and the default claim of 512 jobs
/// are those of awa's own benchmark; the README says how the number of workers was found.
fn settings(case: &str) -> QueueConfig {
    QueueConfig {
        max_workers: match case {
            "queue" => 2_000,
            "erasure" => 64,
            _ => 10,
        },
        poll_interval: Duration::from_millis(if case == "wake" { 200 } else { 50 }),
        deadline_duration: Duration::ZERO,
        ..QueueConfig::default()
    }
}

async fn connect(connections: u32) -> Result<PgPool> {
    let url = variable("PEER_DATABASE_URL")?;
    Ok(PgPoolOptions::new()
        .max_connections(connections)
        .connect(&url)
        .await?)
}

async fn erase(sample: Sample, pool: PgPool, s3: Option<S3>) -> Result<()> {
    let Some(s3) = s3 else {
        bail!("an erasure job in another case")
    };
    delete_each(&s3, &sample).await?;
    sqlx::query(DELETE_ROWS)
        .bind(&sample.id)
        .execute(&pool)
        .await?;
    handled(1);
    Ok(())
}

fn client(case: &str, pool: &PgPool, s3: Option<S3>) -> Result<Client> {
    let rows = pool.clone();
    let builder = Client::builder(pool.clone())
        .queue(QUEUE, settings(case))
        .queue_storage(QueueStorageConfig::default(), QUEUE_ROTATE, LEASE_ROTATE)
        .register::<Noop, _, _>(|_, _| async {
            handled(1);
            Ok(JobResult::Completed)
        })
        .register::<Wake, _, _>(|wake, _| async move {
            say(&format!("started {} {}", wake.id, now()));
            Ok(JobResult::Completed)
        })
        .register::<Erase, _, _>(move |job, _| {
            let (rows, s3) = (rows.clone(), s3.clone());
            async move {
                match erase(job.sample, rows, s3).await {
                    Ok(()) => Ok(JobResult::Completed),
                    Err(error) => Err(JobError::retryable_msg(format!("{error:#}"))),
                }
            }
        });
    Ok(builder.build()?)
}

async fn work(case: &str) -> Result<()> {
    let pool = connect(CONNECTIONS).await?;
    let s3 = if case == "erasure" {
        Some(s3().await?)
    } else {
        None
    };
    let client = client(case, &pool, s3)?;
    let mut commands = lines();
    report();
    say("ready");
    if commands.next_line().await?.is_some() {
        client.start().await?;
        say("running");
        while commands.next_line().await?.is_some() {}
        client.shutdown(SHUTDOWN).await;
    }
    Ok(())
}

/// A new database goes over to the queue storage when its first worker starts.
async fn migrate() -> Result<()> {
    let pool = connect(CONNECTIONS).await?;
    migrations::run(&pool).await?;
    let client = client("queue", &pool, None)?;
    client.start().await?;
    client.shutdown(SHUTDOWN).await;
    let engine: String =
        sqlx::query_scalar("select current_engine from awa.storage_transition_state")
            .fetch_one(&pool)
            .await?;
    if engine != "queue_storage" {
        bail!("awa runs on its engine {engine}, not on queue_storage");
    }
    Ok(())
}

fn options() -> InsertOpts {
    InsertOpts {
        queue: QUEUE.into(),
        ..Default::default()
    }
}

async fn enqueue(jobs: Vec<InsertParams>) -> Result<()> {
    let pool = connect(2).await?;
    let store = QueueStorage::new(QueueStorageConfig::default())?;
    for batch in jobs.chunks(ENQUEUE_BATCH) {
        store.enqueue_params_copy(&pool, batch).await?;
    }
    Ok(())
}

async fn enqueue_samples() -> Result<()> {
    let rows: Vec<(String, Vec<String>)> = sqlx::query_as(SAMPLES)
        .fetch_all(&connect(1).await?)
        .await?;
    let jobs = rows
        .into_iter()
        .map(|(id, keys)| {
            params_with(
                &Erase {
                    sample: Sample { id, keys },
                },
                options(),
            )
        })
        .collect::<Result<_, _>>()?;
    enqueue(jobs).await
}

async fn enqueue_wake() -> Result<()> {
    let pool = connect(1).await?;
    let mut ids = lines();
    say("ready");
    while let Some(id) = ids.next_line().await? {
        let mut transaction = pool.begin().await?;
        insert_with(&mut *transaction, &Wake { id: id.clone() }, options()).await?;
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
                "storage": "queue_storage",
                "max_workers": settings.max_workers,
                "claimers": settings.claimers,
                "claim_batch_size": settings.claim_batch_size,
                "poll_interval_ms": settings.poll_interval.as_millis() as u64,
                "pool_connections": CONNECTIONS,
            });
            say(&shown.to_string());
            Ok(())
        }
        "migrate" => migrate().await,
        "enqueue" => {
            let jobs = (0..argument.parse()?)
                .map(|id| params_with(&Noop { id }, options()))
                .collect::<Result<_, _>>()?;
            enqueue(jobs).await
        }
        "enqueue-samples" => enqueue_samples().await,
        "enqueue-wake" => enqueue_wake().await,
        "work" => work(&argument).await,
        _ => bail!(
            "usage: peer-awa settings|migrate|enqueue|enqueue-samples|enqueue-wake|work [argument]"
        ),
    }
}

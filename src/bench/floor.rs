//! The bare loops that the pipeline is measured against: the same statements and requests, nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use sqlx::PgPool;
use uuid::Uuid;

use super::rig::{BUCKET, Rig};
use crate::db::transaction;
use crate::deletion::protection::protected_keys;
use crate::deletion::remove::{HeldRows, TaskPairs, settle_tasks};
use crate::queue::claim::{Claim, ClaimRequest, claim};
use crate::queue::lease::Lease;
use crate::queue::settle::lock_claims;
use crate::vocabulary::WorkerId;

/// How many loops run at the same time: as many as there are requests in flight in one worker.
const LOOPS: usize = 8;
/// Tasks of one claim and one settle: the default of `CLEANUP_CLAIM_BATCH`.
const BATCH: u32 = 500;
/// Objects of one request, rows of one transaction: a multiple of the images of a sample.
const KEYS: i64 = 1_000;
/// A lease that outlives every run.
const LEASE: Duration = Duration::from_secs(24 * 3600);

/// Claims and settles every due task of the database, in a bare loop. Returns tasks per second.
pub async fn queue(pool: &PgPool) -> anyhow::Result<f64> {
    let lease = Lease::register(pool, "floor", LEASE).await?;
    let done = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let loops = (0..LOOPS).map(|_| {
        let (pool, worker, done) = (pool.clone(), lease.worker.clone(), done.clone());
        tokio::spawn(async move {
            let mut request = ClaimRequest {
                limits: [BATCH, 0, 0],
                watermarks: [DateTime::<Utc>::UNIX_EPOCH; 3],
            };
            loop {
                let claims = claim(&pool, &worker, &request).await?;
                let Some(last) = claims.last() else {
                    return Ok::<_, sqlx::Error>(());
                };
                request.watermarks[0] = last.scheduled_at;
                settle(&pool, &worker, &claims).await?;
                done.fetch_add(claims.len() as u64, Ordering::Relaxed);
            }
        })
    });
    for result in futures::future::join_all(loops).await {
        result??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    lease.leave(pool).await?;
    Ok(done.load(Ordering::Relaxed) as f64 / seconds)
}

async fn settle(pool: &PgPool, worker: &WorkerId, claims: &[Claim]) -> Result<(), sqlx::Error> {
    let mut tx = transaction::begin(pool).await?;
    let held = lock_claims(&mut tx, &claims.iter().collect::<Vec<_>>()).await?;
    settle_tasks(
        &mut tx,
        worker,
        &held,
        &TaskPairs::default(),
        HeldRows::Wait,
    )
    .await?;
    tx.commit().await
}

/// Erases everything that is due, and what the planning of `root` adds, in a bare loop of the same
/// statements and requests. Returns when every object of `images` is gone; objects per second.
pub async fn same_statements(
    rig: &Rig,
    pool: &PgPool,
    root: Option<i64>,
    images: u64,
) -> anyhow::Result<f64> {
    let lease = Lease::register(pool, "floor", LEASE).await?;
    let gone = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let plan = tokio::spawn(plan(pool.clone(), root));
    let loops = (0..LOOPS).map(|_| {
        let (pool, client) = (pool.clone(), rig.s3_client());
        let (worker, gone) = (lease.worker.clone(), gone.clone());
        // Parts of a user have a thousand keys each; samples are claimed by the request.
        let limits = if root.is_some() {
            [0, 1, 0]
        } else {
            [KEYS as u32, 0, 0]
        };
        tokio::spawn(async move {
            let mut request = ClaimRequest {
                limits,
                watermarks: [DateTime::<Utc>::UNIX_EPOCH; 3],
            };
            while gone.load(Ordering::Relaxed) < images {
                let mut claims = claim(&pool, &worker, &request).await?;
                let Some(last) = claims.last() else {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                };
                request.watermarks = [last.scheduled_at; 3];
                // The root is planned beside this loop.
                claims.retain(|claim| Some(claim.id.0) != root);
                if claims.is_empty() {
                    continue;
                }
                let keys: Vec<String> = claims
                    .iter()
                    .flat_map(|claim| claim.object_keys.clone())
                    .collect();
                let owners: Vec<String> = claims
                    .iter()
                    .flat_map(|claim| vec![claim.entity_id.clone(); claim.object_keys.len()])
                    .collect();
                protected_keys(&pool, &keys, &owners).await?;
                delete_objects(&client, &keys).await?;
                settle(&pool, &worker, &claims).await?;
                gone.fetch_add(keys.len() as u64, Ordering::Relaxed);
            }
            anyhow::Ok(())
        })
    });
    for result in futures::future::join_all(loops).await {
        result??;
    }
    plan.await??;
    Ok(images as f64 / begun.elapsed().as_secs_f64())
}

/// Plans the erasure of a user to its end.
async fn plan(pool: PgPool, root: Option<i64>) -> Result<(), sqlx::Error> {
    let Some(root) = root else { return Ok(()) };
    let mut is_open = true;
    while is_open {
        sqlx::query("select lethe_map.plan_user($1, 5000)")
            .bind(root)
            .execute(&pool)
            .await?;
        is_open =
            sqlx::query_scalar("select phase = 'plan' from lethe.cleanup_tasks where id = $1")
                .bind(root)
                .fetch_one(&pool)
                .await?;
    }
    Ok(())
}

/// Deletes all images and samples of the database and their objects: bare DeleteObjects calls, bare
/// deletes of rows by id, no queue, no audit. Returns objects per second.
pub async fn bare_deletes(rig: &Rig, pool: &PgPool, images: i64) -> anyhow::Result<f64> {
    let ids: Vec<(Uuid, Uuid, String)> = sqlx::query_as(
        "select id, sample_id, object_key from public.sample_images order by sample_id",
    )
    .fetch_all(pool)
    .await?;
    anyhow::ensure!(ids.len() as i64 == images, "the rows are not as seeded");
    let chunks: Vec<Vec<(Uuid, Uuid, String)>> = ids
        .chunks(usize::try_from(KEYS)?)
        .map(<[_]>::to_vec)
        .collect();
    let chunks = Arc::new(Mutex::new(chunks));
    let begun = Instant::now();
    let loops = (0..LOOPS).map(|_| {
        let (pool, client, chunks) = (pool.clone(), rig.s3_client(), chunks.clone());
        tokio::spawn(async move {
            loop {
                let next = chunks.lock().pop();
                let Some(chunk) = next else {
                    return anyhow::Ok(());
                };
                delete(&client, &pool, &chunk).await?;
            }
        })
    });
    for result in futures::future::join_all(loops).await {
        result??;
    }
    Ok(images as f64 / begun.elapsed().as_secs_f64())
}

/// One DeleteObjects request.
pub async fn delete_objects(client: &aws_sdk_s3::Client, keys: &[String]) -> anyhow::Result<()> {
    let keys = keys
        .iter()
        .map(|key| ObjectIdentifier::builder().key(key).build())
        .collect::<Result<Vec<_>, _>>()?;
    client
        .delete_objects()
        .bucket(BUCKET)
        .delete(Delete::builder().set_objects(Some(keys)).build()?)
        .send()
        .await?;
    Ok(())
}

async fn delete(
    client: &aws_sdk_s3::Client,
    pool: &PgPool,
    chunk: &[(Uuid, Uuid, String)],
) -> anyhow::Result<()> {
    let keys: Vec<String> = chunk.iter().map(|(_, _, key)| key.clone()).collect();
    delete_objects(client, &keys).await?;
    let images: Vec<Uuid> = chunk.iter().map(|(image, _, _)| *image).collect();
    let mut samples: Vec<Uuid> = chunk.iter().map(|(_, sample, _)| *sample).collect();
    samples.sort_unstable();
    samples.dedup();
    let mut tx = pool.begin().await?;
    sqlx::query("delete from public.sample_images where id = any ($1)")
        .bind(images)
        .execute(&mut *tx)
        .await?;
    // Images come in the order of their samples, of which a chunk holds whole ones: none waits for another.
    sqlx::query("delete from public.samples where id = any ($1)")
        .bind(samples)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

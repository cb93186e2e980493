//! Bare loops that know nothing of the queue: the objects and rows of a list of things, deleted by a few connections
//! at the same time. They are the floors of the unkind cases, because they meet the same foreign keys and statistics.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use super::floor::delete_objects;
use super::rig::Rig;

/// How many loops run at the same time: as many as there are requests in flight in one worker.
const LOOPS: usize = 8;
/// Rows of one transaction.
const ROWS: usize = 1_000;

/// One user with the keys of all images.
pub struct User {
    pub id: String,
    pub keys: Vec<String>,
}

/// Whether the objects of a user are deleted, or only the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objects {
    Deleted,
    Left,
}

/// Deletes users one by one, each in one statement after one request for the objects. Returns users per second.
pub async fn users(
    rig: &Rig,
    pool: &PgPool,
    users: Vec<User>,
    objects: Objects,
) -> anyhow::Result<f64> {
    let count = users.len();
    let begun = Instant::now();
    let users = Arc::new(Mutex::new(users));
    let loops = (0..LOOPS).map(|_| {
        let (pool, client, users) = (pool.clone(), rig.s3_client(), users.clone());
        tokio::spawn(async move {
            loop {
                let next = users.lock().pop();
                let Some(user) = next else {
                    return anyhow::Ok(());
                };
                if objects == Objects::Deleted {
                    delete_objects(&client, &user.keys).await?;
                }
                delete_user(&pool, &user.id).await?;
            }
        })
    });
    for result in futures::future::join_all(loops).await {
        result??;
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

async fn delete_user(pool: &PgPool, user: &str) -> anyhow::Result<()> {
    sqlx::query(
        "with images as (delete from public.sample_images
                         where sample_id in (select id from public.samples where user_id = $1)),
              their_samples as (delete from public.samples where user_id = $1),
              their_collections as (delete from public.collections where user_id = $1)
         delete from public.users where id = $1",
    )
    .bind(user)
    .execute(pool)
    .await?;
    Ok(())
}

/// The samples of one user: deletes the objects with `keys`, then their images and the samples themselves by id,
/// 1,000 in a transaction. Returns samples per second.
pub async fn samples(
    rig: &Rig,
    pool: &PgPool,
    user: &str,
    keys: Vec<String>,
) -> anyhow::Result<f64> {
    let ids: Vec<Uuid> =
        sqlx::query_scalar("select id from public.samples where user_id = $1 order by id")
            .bind(user)
            .fetch_all(pool)
            .await?;
    let begun = Instant::now();
    let client = rig.s3_client();
    for keys in keys.chunks(ROWS) {
        delete_objects(&client, keys).await?;
    }
    let statements = [
        "delete from public.sample_images where sample_id = any ($1)",
        "delete from public.samples where id = any ($1)",
    ];
    let count = ids.len();
    rows(pool, &ids, &statements).await?;
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

/// Deletes rows of one table by id, 1,000 in a transaction. Returns rows per second.
pub async fn table(pool: &PgPool, table: &str, user: &str) -> anyhow::Result<f64> {
    let select = format!("select id from {table} where user_id = $1 order by id");
    let ids: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(select))
        .bind(user)
        .fetch_all(pool)
        .await?;
    let begun = Instant::now();
    let delete = format!("delete from {table} where id = any ($1)");
    rows(pool, &ids, &[&delete]).await?;
    Ok(ids.len() as f64 / begun.elapsed().as_secs_f64())
}

async fn rows(pool: &PgPool, ids: &[Uuid], statements: &[&str]) -> anyhow::Result<()> {
    let chunks: Vec<Vec<Uuid>> = ids.chunks(ROWS).map(<[_]>::to_vec).collect();
    let chunks = Mutex::new(chunks);
    let loops = (0..LOOPS).map(|_| async {
        loop {
            let next = chunks.lock().pop();
            let Some(chunk) = next else {
                return anyhow::Ok(());
            };
            let mut tx = pool.begin().await?;
            for statement in statements {
                sqlx::query(AssertSqlSafe((*statement).to_owned()))
                    .bind(&chunk)
                    .execute(&mut *tx)
                    .await?;
            }
            tx.commit().await?;
        }
    });
    futures::future::try_join_all(loops).await?;
    Ok(())
}

//! Signed webhooks, many at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Bars;
use super::api::Api;
use super::report::{Figure, quantile};
use super::rig::Rig;

const CONNECTIONS: usize = 32;
const RUN: Duration = Duration::from_secs(8);

/// Requests per second and latency with 32 connections, beside the same SQL function called bare.
pub async fn webhook(rig: &Rig, bars: &Bars) -> anyhow::Result<Vec<Figure>> {
    let database = rig.database("webhook").await?;
    let bar = bars.add("webhook: bare SQL");
    let pool = &database.pool;
    let (bare, bare_waits) = run(|n| async move {
        sqlx::query("select lethe.delete_user($1, 'bench')")
            .bind(format!("user_bare_{n}"))
            .execute(pool)
            .await?;
        Ok(())
    })
    .await?;
    bar.finish();
    let bar = bars.add("webhook: 32 connections");
    let api = Api::start(rig, &database).await?;
    let (rate, waits) = {
        let api = &api;
        run(|n| async move { api.user_deleted(&format!("user_http_{n}")).await }).await?
    };
    bar.finish();
    api.stop().await?;
    rig.drop_database(database).await?;
    let ms = |waits: &[f64], part| quantile(waits, part) * 1e3;
    Ok(vec![
        Figure::new("webhook", "32 connections", "requests/s", rate)
            .floor(bare, "lethe.delete_user() called by 32 connections"),
        Figure::new("webhook", "p50", "ms", ms(&waits, 0.5))
            .floor(ms(&bare_waits, 0.5), "the same"),
        Figure::new("webhook", "p99", "ms", ms(&waits, 0.99))
            .floor(ms(&bare_waits, 0.99), "the same"),
    ])
}

async fn run<Done>(call: impl Fn(u64) -> Done) -> anyhow::Result<(f64, Vec<f64>)>
where
    Done: Future<Output = anyhow::Result<()>>,
{
    let next = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let loops = (0..CONNECTIONS).map(|_| async {
        let mut waits = Vec::new();
        while begun.elapsed() < RUN {
            let sent = Instant::now();
            call(next.fetch_add(1, Ordering::Relaxed)).await?;
            waits.push(sent.elapsed().as_secs_f64());
        }
        anyhow::Ok(waits)
    });
    let waits = futures::future::try_join_all(loops).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let mut waits: Vec<f64> = waits.into_iter().flatten().collect();
    waits.sort_by(f64::total_cmp);
    Ok((waits.len() as f64 / seconds, waits))
}

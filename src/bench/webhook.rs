//! Signed webhooks against `lethe serve`.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use svix::webhooks::Webhook;

use super::Bars;
use super::report::{Figure, quantile};
use super::rig::{BenchDatabase, Process, Rig};

const TOKEN: &str = "token-of-the-benchmark-and-nothing-else";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const CONNECTIONS: usize = 32;
const RUN: Duration = Duration::from_secs(8);

/// `lethe serve` as a process.
pub struct Api {
    process: Process,
    url: String,
    client: reqwest::Client,
}

impl Api {
    /// Starts it on a free port.
    pub async fn start(rig: &Rig, database: &BenchDatabase) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let mut process = rig.spawn(
            "serve",
            database,
            &[
                ("BIND_ADDR", address.as_str()),
                ("CLERK_WEBHOOK_SIGNING_SECRET", SECRET),
                (
                    "CLERK_JWKS_URL",
                    "https://clerk.invalid/.well-known/jwks.json",
                ),
                ("CLERK_ISSUER", "https://clerk.invalid"),
                ("ADMIN_API_TOKENS", format!("bench:{TOKEN}").as_str()),
            ],
        )?;
        process.ready().await?;
        Ok(Self {
            process,
            url: format!("http://{address}"),
            client: reqwest::Client::new(),
        })
    }

    /// Sends `user.deleted` as a new event.
    pub async fn user_deleted(&self, user: &str) -> anyhow::Result<()> {
        let body = format!(
            r#"{{"data":{{"deleted":true,"id":"{user}","object":"user"}},"object":"event","type":"user.deleted"}}"#
        );
        let id = format!("msg_{}", uuid::Uuid::new_v4().simple());
        let now = chrono::Utc::now().timestamp();
        let signature = Webhook::new(SECRET)?.sign(&id, now, body.as_bytes())?;
        let answer = self
            .client
            .post(format!("{}/webhooks/clerk", self.url))
            .header("svix-id", id)
            .header("svix-timestamp", now)
            .header("svix-signature", signature)
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(
            status.is_success(),
            "the webhook was answered {status}: {text}"
        );
        Ok(())
    }

    /// Reads the answer to a call as an admin.
    pub async fn get(&self, path: &str) -> anyhow::Result<()> {
        let answer = self
            .client
            .get(format!("{}{path}", self.url))
            .bearer_auth(TOKEN)
            .send()
            .await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{path} was answered {status}: {text}");
        Ok(())
    }

    /// Ends the process.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.process.stop().await
    }
}

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

//! `lethe serve`, and the calls that the cases make.

use std::net::TcpListener;

use anyhow::ensure;
use svix::webhooks::Webhook;

use super::rig::{BenchDatabase, Process, Rig};

const TOKEN: &str = "token-of-the-benchmark-and-nothing-else";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

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
    pub async fn get(&self, path: String) -> anyhow::Result<()> {
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

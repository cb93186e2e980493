//! `lethe serve` as a process, and requests to it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lethe::embedded::ClerkSigner;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::world::{Log, PATIENCE, World};

pub const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub const OLD_WEBHOOK_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
pub const ADMIN_TOKEN: &str = "admin-token-of-the-tests";
pub const ISSUER: &str = "https://clerk.test";

pub struct Service {
    process: tokio::process::Child,
    pub url: String,
    pub client: Client,
    signer: ClerkSigner,
}

impl Service {
    pub async fn start(world: &World) -> Self {
        Self::start_with(world, &[]).await
    }

    pub async fn start_with(world: &World, more: &[(&str, &str)]) -> Self {
        Self::spawn(more, |environment| world.process(&["serve"], environment)).await
    }

    /// The same, and everything it says goes to `log`.
    pub async fn start_logged(world: &World, more: &[(&str, &str)], log: &Log) -> Self {
        Self::spawn(more, |environment| {
            world.logged(&["serve"], environment, log)
        })
        .await
    }

    async fn spawn(
        more: &[(&str, &str)],
        process: impl FnOnce(&[(&str, &str)]) -> tokio::process::Child,
    ) -> Self {
        let signer = signer();
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let address = format!("127.0.0.1:{port}");
        let secrets = format!("{WEBHOOK_SECRET},{OLD_WEBHOOK_SECRET}");
        let tokens = format!("ops:{ADMIN_TOKEN}");
        let mut environment = vec![
            ("BIND_ADDR", address.as_str()),
            ("CLERK_WEBHOOK_SIGNING_SECRET", secrets.as_str()),
            ("CLERK_JWT_KEY", signer.public_key()),
            ("CLERK_ISSUER", ISSUER),
            ("ADMIN_API_TOKENS", tokens.as_str()),
        ];
        environment.extend(more);
        let process = process(&environment);
        let service = Self {
            process,
            url: format!("http://{address}"),
            client: Client::builder()
                .timeout(Duration::from_secs(30))
                .build()
                .unwrap(),
            signer,
        };
        let started = std::time::Instant::now();
        loop {
            let live = service
                .client
                .get(format!("{}/health/live", service.url))
                .send()
                .await;
            if live.is_ok_and(|live| live.status().is_success()) {
                return service;
            }
            assert!(started.elapsed() < PATIENCE, "lethe serve does not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.process.id().unwrap()).unwrap()
    }

    /// Sends SIGHUP.
    pub fn hang_up(&self) {
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(self.pid()),
            nix::sys::signal::Signal::SIGHUP,
        )
        .unwrap();
    }

    pub fn session(&self, user: &str) -> String {
        self.signer
            .session_token(user, Duration::from_secs(60))
            .unwrap()
    }

    pub fn request(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(token)
    }

    pub async fn admin(&self, method: Method, path: &str) -> (StatusCode, Value) {
        answer(self.request(method, path, ADMIN_TOKEN)).await
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.admin(Method::GET, path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Clerk's signed `user.deleted`.
    pub fn user_deleted(&self, svix_id: &str, user: &str) -> RequestBuilder {
        let body = json!({
            "data": {"deleted": true, "id": user, "object": "user"},
            "object": "event", "type": "user.deleted", "timestamp": 1_716_200_000, "instance_id": "ins_1",
        });
        self.webhook(
            svix_id,
            body.to_string().into_bytes(),
            WEBHOOK_SECRET,
            now(),
        )
    }

    pub fn webhook(&self, svix_id: &str, body: Vec<u8>, secret: &str, at: i64) -> RequestBuilder {
        let webhook = svix::webhooks::Webhook::new(secret).unwrap();
        let signature = webhook.sign(svix_id, at, &body).unwrap();
        self.client
            .post(format!("{}/webhooks/clerk", self.url))
            .header("svix-id", svix_id)
            .header("svix-timestamp", at.to_string())
            .header("svix-signature", signature)
            .header("content-type", "application/json")
            .body(body)
    }
}

pub fn signer() -> ClerkSigner {
    let pem = include_str!("../fixtures/session-key.pem");
    ClerkSigner::new(pem, ISSUER.to_owned(), None).unwrap()
}

pub fn now() -> i64 {
    i64::try_from(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs(),
    )
    .unwrap()
}

pub async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

//! `/metrics` and `/health/*` on an address of their own, for a process of any role.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use http::StatusCode;
use poem::endpoint::make;
use poem::{IntoResponse, Response, Route, get};
use serde_json::json;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::http::server;
use crate::schema;
use crate::telemetry::gauges::Gauges;
use crate::worker::Status;

/// A probe is answered within this time, well inside the time-outs of orchestrators.
const PROBE_TIMEOUT: Duration = Duration::from_secs(4);
/// A scrape under way at the end may take so long.
const GOODBYE: Duration = Duration::from_secs(2);
/// The media type of Prometheus's text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What it shows.
#[derive(Clone)]
pub struct Shown {
    /// The database whose reachability counts.
    pub pool: PgPool,
    /// The metrics of this process.
    pub gauges: Arc<Gauges>,
    /// Of the worker, in a process that runs one.
    pub worker: Option<Arc<Status>>,
}

/// Listens on `address`, logs where, and serves until `shutdown`.
///
/// # Errors
/// When the address cannot be taken.
pub async fn start(
    address: SocketAddr,
    shown: Shown,
    shutdown: CancellationToken,
) -> anyhow::Result<(SocketAddr, JoinHandle<()>)> {
    let (listener, address) = bind(address, "METRICS_ADDR").await?;
    tracing::info!(%address, "serving /metrics and /health");
    let task = tokio::spawn(server::serve(listener, routes(shown), shutdown, GOODBYE));
    Ok((address, task))
}

/// Takes an address; `variable` is named if that fails.
///
/// # Errors
/// When the address cannot be taken.
pub async fn bind(
    address: SocketAddr,
    variable: &str,
) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; choose another {variable}"))?;
    let address = listener.local_addr().context("the socket has no address")?;
    Ok((listener, address))
}

fn routes(shown: Shown) -> Route {
    let gauges = Arc::clone(&shown.gauges);
    Route::new()
        .at("/health/live", get(make(async |_| health(&[]))))
        .at(
            "/health/ready",
            get(make(move |_| {
                let shown = shown.clone();
                async move { health(&problems(&shown).await) }
            })),
        )
        .at(
            "/metrics",
            get(make(move |_| {
                let gauges = Arc::clone(&gauges);
                async move { metrics(&gauges).await }
            })),
        )
}

async fn metrics(gauges: &Gauges) -> Response {
    match gauges.scrape().await {
        Ok(text) => text.with_content_type(METRICS_TYPE).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Why the process is not ready; nothing when it is.
async fn problems(shown: &Shown) -> Vec<String> {
    let database = match tokio::time::timeout(PROBE_TIMEOUT, schema::is_migrated(&shown.pool)).await
    {
        Ok(Ok(true)) => None,
        Ok(Ok(false)) => Some("the database is not migrated; run `lethe migrate`".to_owned()),
        Ok(Err(error)) => {
            tracing::debug!(%error, "the database cannot be reached");
            Some("the database cannot be reached".to_owned())
        }
        Err(_) => Some("the database does not answer in time".to_owned()),
    };
    let worker = shown.worker.as_ref().and_then(|status| status.problem());
    database.into_iter().chain(worker).collect()
}

fn health(problems: &[String]) -> Response {
    let (status, word) = if problems.is_empty() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    };
    let body = if problems.is_empty() {
        json!({ "status": word })
    } else {
        json!({ "status": word, "problems": problems })
    };
    Response::builder()
        .status(status)
        .content_type("application/json")
        .header("cache-control", "no-store")
        .body(body.to_string())
}

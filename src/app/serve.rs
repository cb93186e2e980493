//! `lethe serve`: the API.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::safety::{self, Recorded};
use super::worker::host_and_pid;
use super::{migrated, pool, side_server};
use crate::config::Serve;
use crate::http::api::health::ReadyCheck;
use crate::http::api::{self, ApiState};
use crate::http::credentials::Authenticator;
use crate::http::server;
use crate::http::session::SessionVerifier;
use crate::http::webhook_signature::WebhookVerifier;
use crate::telemetry::metrics::Metrics;
use crate::vocabulary::ProcessRole;

/// Serves the API until `shutdown`, then answers the requests under way.
///
/// # Errors
/// When an address cannot be listened on.
pub async fn run(config: Serve, shutdown: CancellationToken) -> anyhow::Result<()> {
    let metrics = Metrics::new().context("the metrics cannot be set up")?;
    let pool = pool::lazy(&config.database);
    let (listener, address) = side_server::bind(config.bind_addr, "BIND_ADDR").await?;
    let recorded = Arc::new(Recorded::default());
    let side = side(&config, &pool, &metrics, &recorded, &shutdown).await?;
    tracing::info!(%address, "serving the API");
    serve(listener, &config, pool.clone(), metrics, recorded, shutdown).await?;
    if let Some((_, task)) = side {
        task.await
            .context("the server of /metrics and /health panicked")?;
    }
    pool::close(&pool).await;
    tracing::info!("stopped");
    Ok(())
}

/// The metrics on an address of their own, if one is configured.
async fn side(
    config: &Serve,
    pool: &PgPool,
    metrics: &Arc<Metrics>,
    recorded: &Arc<Recorded>,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<(SocketAddr, tokio::task::JoinHandle<()>)>> {
    let Some(address) = config.metrics_addr else {
        return Ok(None);
    };
    let ready = ready(pool, recorded);
    let shown = api::observability(pool.clone(), Arc::clone(metrics), ready);
    Ok(Some(
        side_server::start(address, shown, shutdown.clone()).await?,
    ))
}

fn ready(pool: &PgPool, recorded: &Arc<Recorded>) -> ReadyCheck {
    let migrated = migrated::ready(pool.clone());
    safety::noted(migrated, pool.clone(), Arc::clone(recorded))
}

/// Serves the API on a socket that is open already.
///
/// # Errors
/// When the HTTP client for the JWKS cannot be made.
pub async fn serve(
    listener: TcpListener,
    config: &Serve,
    pool: PgPool,
    metrics: Arc<Metrics>,
    recorded: Arc<Recorded>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let ready = ready(&pool, &recorded);
    safety::start(
        pool.clone(),
        (ProcessRole::Serve, host_and_pid()),
        config.safety,
        recorded,
        shutdown.clone(),
    );
    let routes = api::routes(state(config, pool, metrics, ready), authenticator(config)?);
    server::serve(listener, routes, shutdown, config.shutdown_timeout).await;
    Ok(())
}

fn state(config: &Serve, pool: PgPool, metrics: Arc<Metrics>, ready: ReadyCheck) -> ApiState {
    ApiState {
        webhook: WebhookVerifier::new(config.clerk.webhook_secrets.clone()),
        grace: config.grace_period,
        metrics,
        ready,
        show_metrics: config.metrics_addr.is_none(),
        pool,
    }
}

fn authenticator(config: &Serve) -> anyhow::Result<Authenticator> {
    let sessions = SessionVerifier::new(config.clerk.sessions.clone());
    Ok(Authenticator {
        sessions: sessions.context("the HTTP client for the JWKS cannot be made")?,
        admins: config.admin_tokens.clone(),
    })
}

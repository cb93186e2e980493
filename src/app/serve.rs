//! `lethe serve`: the API.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{migrated, pool, side_server};
use crate::config::{Clerk, JwtKeys, Secret, Serve};
use crate::http::admin_tokens::AdminTokens;
use crate::http::api::{self, ApiState};
use crate::http::credentials::Authenticator;
use crate::http::server;
use crate::http::session::{SessionConfig, SessionKeys, SessionVerifier};
use crate::http::webhook_signature::WebhookVerifier;
use crate::telemetry::metrics::Metrics;

/// Serves the API until `shutdown`, then answers the requests under way.
///
/// # Errors
/// When an address cannot be listened on.
pub async fn run(config: Serve, shutdown: CancellationToken) -> anyhow::Result<()> {
    let metrics = Metrics::new().context("the metrics cannot be set up")?;
    let pool = pool::lazy(&config.database)?;
    let (listener, address) = side_server::bind(config.bind_addr, "BIND_ADDR").await?;
    let side = side(&config, &pool, &metrics, &shutdown).await?;
    tracing::info!(%address, "serving the API");
    serve(listener, &config, pool.clone(), metrics, shutdown).await?;
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
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<(SocketAddr, tokio::task::JoinHandle<()>)>> {
    let Some(address) = config.metrics_addr else {
        return Ok(None);
    };
    let ready = migrated::ready(pool.clone());
    let shown = api::observability(pool.clone(), Arc::clone(metrics), ready);
    Ok(Some(
        side_server::start(address, shown, shutdown.clone()).await?,
    ))
}

/// Serves the API on a socket that is open already.
///
/// # Errors
/// When the keys cannot be used, which the configuration has ruled out.
pub async fn serve(
    listener: TcpListener,
    config: &Serve,
    pool: PgPool,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let routes = api::routes(state(config, pool, metrics)?, authenticator(config)?);
    server::serve(listener, routes, shutdown, config.shutdown_timeout).await;
    Ok(())
}

fn state(config: &Serve, pool: PgPool, metrics: Arc<Metrics>) -> anyhow::Result<ApiState> {
    Ok(ApiState {
        webhook: webhooks(&config.clerk.webhook_secrets)?,
        grace: config.grace_period,
        metrics,
        ready: migrated::ready(pool.clone()),
        show_metrics: config.metrics_addr.is_none(),
        pool,
    })
}

fn authenticator(config: &Serve) -> anyhow::Result<Authenticator> {
    let admins = config
        .admin_tokens
        .iter()
        .map(|admin| (admin.name.clone(), admin.token.expose().to_owned()));
    Ok(Authenticator {
        sessions: sessions(&config.clerk)?,
        admins: AdminTokens::new(admins.collect()),
    })
}

fn sessions(clerk: &Clerk) -> anyhow::Result<SessionVerifier> {
    let keys = match &clerk.jwt {
        JwtKeys::Pem(pem) => SessionKeys::Pem(pem.clone()),
        JwtKeys::Jwks(url) => SessionKeys::Jwks(url.clone()),
    };
    Ok(SessionVerifier::new(SessionConfig {
        keys,
        issuer: clerk.issuer.clone(),
        authorized_parties: clerk.authorized_parties.clone(),
    })?)
}

fn webhooks(secrets: &[Secret]) -> anyhow::Result<WebhookVerifier> {
    let secrets = secrets.iter().map(|secret| secret.expose().to_owned());
    Ok(WebhookVerifier::new(secrets.collect())?)
}

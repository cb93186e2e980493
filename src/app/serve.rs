//! `lethe serve`: the API.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

use super::safety::{self, Recorded};
use super::worker::host_and_pid;
use super::{drift, migrated, pool, side_server, signals};
use crate::config::{ConfigError, Serve};
use crate::http::admin_tokens::AdminTokens;
use crate::http::api::health::ReadyCheck;
use crate::http::api::{self, ApiState};
use crate::http::credentials::Authenticator;
use crate::http::limits::Limits;
use crate::http::server::{self, ServerOptions};
use crate::http::session::SessionVerifier;
use crate::http::webhook_signature::WebhookVerifier;
use crate::map::drift::{DriftState, Records};
use crate::telemetry::metrics::Metrics;
use crate::vocabulary::ProcessRole;

/// What an API process finds out beside its work, and readiness asks for.
#[derive(Debug, Default, Clone)]
pub struct Watched {
    recorded: Arc<Recorded>,
    /// Whether the database still fits the erasure map.
    pub drift: Arc<DriftState>,
}

/// Serves the API until `shutdown`, then answers the requests under way. At each SIGHUP it takes the admins from
/// `reread`.
///
/// # Errors
/// When an address cannot be listened on.
pub async fn run(
    config: Serve,
    reread: impl Fn() -> Result<AdminTokens, ConfigError> + Send + 'static,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let metrics = Metrics::new().context("the metrics cannot be set up")?;
    let pool = pool::lazy(&config.database);
    let authenticator = authenticator(&config, &metrics)?;
    let hangups = signals::hangups().context("SIGHUP cannot be handled")?;
    tokio::spawn(reload_admins(
        Arc::clone(&authenticator),
        hangups,
        reread,
        shutdown.clone(),
    ));
    let (listener, address) = side_server::bind(config.bind_addr, "BIND_ADDR").await?;
    let watched = Watched::default();
    let side = side(&config, &pool, &metrics, &watched, &shutdown).await?;
    tokio::spawn(watch_drift(
        pool.clone(),
        Arc::clone(&watched.drift),
        shutdown.clone(),
    ));
    tracing::info!(%address, "serving the API");
    warn_of_exposure(&config);
    serve(
        listener,
        &config,
        pool.clone(),
        metrics,
        authenticator,
        watched,
        shutdown,
    )
    .await;
    if let Some((_, task)) = side {
        task.await
            .context("the server of /metrics and /health panicked")?;
    }
    pool::close(&pool).await;
    tracing::info!("stopped");
    Ok(())
}

/// Says at the start what everybody who reaches `BIND_ADDR` can do that they probably should not.
fn warn_of_exposure(config: &Serve) {
    if config.bind_addr.ip().to_canonical().is_loopback() {
        return;
    }
    if config.metrics_addr.is_none() {
        tracing::warn!(
            "/metrics is shown to everybody who reaches BIND_ADDR; set METRICS_ADDR to serve it elsewhere"
        );
    }
    let sessions = &config.clerk.sessions;
    if sessions.issuer.is_none() || sessions.authorized_parties.is_empty() {
        tracing::warn!(
            "session tokens are accepted from every issuer or for every party that Clerk's key signs for; \
             set CLERK_ISSUER and CLERK_AUTHORIZED_PARTIES"
        );
    }
}

/// Lets tokens be replaced and revoked without a restart.
async fn reload_admins(
    authenticator: Arc<Authenticator>,
    mut hangups: Signal,
    reread: impl Fn() -> Result<AdminTokens, ConfigError>,
    shutdown: CancellationToken,
) {
    while let Some(Some(())) = shutdown.run_until_cancelled(hangups.recv()).await {
        match reread() {
            Ok(admins) => {
                let names = admins.names().collect::<Vec<_>>().join(", ");
                tracing::info!(names, "SIGHUP: the admins' tokens were read again");
                authenticator.replace_admins(admins);
            }
            Err(error) => tracing::error!(
                %error,
                "SIGHUP: the admins' tokens cannot be read; the ones from before stay valid"
            ),
        }
    }
}

async fn watch_drift(pool: PgPool, drift: Arc<DriftState>, shutdown: CancellationToken) {
    drift.look_and_record(&pool, Records::No).await;
    drift.watch(&pool, Records::No, &shutdown).await;
}

/// The metrics on an address of their own, if one is configured.
async fn side(
    config: &Serve,
    pool: &PgPool,
    metrics: &Arc<Metrics>,
    watched: &Watched,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<(SocketAddr, tokio::task::JoinHandle<()>)>> {
    let Some(address) = config.metrics_addr else {
        return Ok(None);
    };
    let ready = ready(pool, config.map.digest(), watched);
    let shown = api::observability(pool.clone(), Arc::clone(metrics), ready);
    Ok(Some(
        side_server::start(address, shown, shutdown.clone()).await?,
    ))
}

fn ready(pool: &PgPool, map: Option<String>, watched: &Watched) -> ReadyCheck {
    let migrated = migrated::ready(pool.clone(), map, &[ProcessRole::Serve]);
    let recorded = safety::noted(migrated, pool.clone(), Arc::clone(&watched.recorded));
    drift::checked(recorded, Arc::clone(&watched.drift))
}

/// Serves the API on a socket that is open already.
pub async fn serve(
    listener: TcpListener,
    config: &Serve,
    pool: PgPool,
    metrics: Arc<Metrics>,
    authenticator: Arc<Authenticator>,
    watched: Watched,
    shutdown: CancellationToken,
) {
    let ready = ready(&pool, config.map.digest(), &watched);
    safety::start(
        pool.clone(),
        (ProcessRole::Serve, host_and_pid()),
        config.safety,
        watched.recorded,
        shutdown.clone(),
    );
    let options = ServerOptions {
        limits: Limits::default(),
        trusted_proxies: config.trusted_proxies.clone(),
        metrics: Some(Arc::clone(&metrics)),
    };
    let routes = api::routes(state(config, pool, metrics, ready), authenticator);
    server::serve(listener, routes, shutdown, config.shutdown_timeout, options).await;
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

/// The admins and the verifier of sessions.
///
/// # Errors
/// When the HTTP client for the JWKS cannot be made.
pub fn authenticator(config: &Serve, metrics: &Arc<Metrics>) -> anyhow::Result<Arc<Authenticator>> {
    let sessions = SessionVerifier::new(config.clerk.sessions.clone())
        .context("the HTTP client for the JWKS cannot be made")?;
    let admins = config.admin_tokens.clone();
    let authenticator = Authenticator::new(sessions, admins, Arc::clone(metrics));
    Ok(Arc::new(authenticator))
}

//! `/metrics` and `/health/*` on an address of their own, for a process of any role.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use poem::Endpoint;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::http::server::{self, ServerOptions};

/// How long a scrape under way may take at the end.
const END_LIMIT: Duration = Duration::from_secs(2);

/// Listens on `address`, logs it, and serves `routes` until `shutdown`.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn start(
    address: SocketAddr,
    routes: impl Endpoint + 'static,
    shutdown: CancellationToken,
) -> anyhow::Result<(SocketAddr, JoinHandle<()>)> {
    let (listener, address) = bind(address, "METRICS_ADDR").await?;
    tracing::info!(%address, "serving /metrics and /health");
    let task = tokio::spawn(server::serve(
        listener,
        routes,
        shutdown,
        END_LIMIT,
        ServerOptions::default(),
    ));
    Ok((address, task))
}

/// Listens on an address. `variable` is the one that the error names.
///
/// # Errors
/// When the address cannot be listened on.
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

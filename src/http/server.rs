//! The server: accepts connections and ends them all. poem's own server has no time-out for request heads;
//! here no connection and no request lasts longer than its limit, whatever the peer does.

use std::{io, sync::Arc, time::Duration};

use poem::{Endpoint, EndpointExt};
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    answer::AnswerBudget,
    budget::RequestBudgets,
    client::TrustedProxies,
    connection::{Connection, Shared},
    connections::Connections,
    limits::Limits,
    refusals::{Refusal, RefusalLog},
    usage::Usage,
};
use crate::{pauses::Pauses, telemetry::metrics::Metrics};

/// The first and the longest pause after a failed accept (mostly because there are no file descriptors left).
const MIN_ACCEPT_PAUSE: Duration = Duration::from_millis(10);
const MAX_ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// How a server treats its peers.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    pub limits: Limits,
    /// The proxies whose word about the client's address is believed.
    pub trusted_proxies: TrustedProxies,
    /// Counts the requests that are refused before they come to the endpoint.
    pub metrics: Option<Arc<Metrics>>,
}

impl From<Limits> for ServerOptions {
    fn from(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }
}

/// Serves `endpoint` until `shutdown` is cancelled. Then it accepts no more connections and returns when all
/// requests are answered, or after `limit`. Connections that are still open then are cut.
pub async fn serve(
    listener: TcpListener,
    endpoint: impl Endpoint + 'static,
    shutdown: CancellationToken,
    limit: Duration,
    options: ServerOptions,
) {
    let limits = options.limits;
    let shared = Arc::new(Shared {
        endpoint: endpoint.map_to_response().boxed(),
        limits,
        trusted_proxies: options.trusted_proxies,
        shutdown: shutdown.clone(),
        cut: CancellationToken::new(),
        tasks: TaskTracker::new(),
        requests: RequestBudgets::new(limits.requests),
        bodies: Arc::new(Semaphore::new(limits.all_bodies_bytes)),
        answers: AnswerBudget::new(limits.answer_bytes),
        refusals: Arc::new(RefusalLog::default()),
        metrics: options.metrics,
    });
    shutdown
        .run_until_cancelled(accept_loop(&shared, &listener))
        .await;
    drop(listener);
    shared.tasks.close();
    if timeout(limit, shared.tasks.wait()).await.is_err() {
        let left = shared.tasks.len();
        tracing::warn!(
            left,
            "the shutdown took too long: the connections and requests that are left are cut"
        );
    }
    shared.cut.cancel();
}

async fn accept_loop(shared: &Arc<Shared>, listener: &TcpListener) {
    let limits = &shared.limits;
    let connections = Connections::new(limits.connections, limits.connections_of_client);
    let mut pauses = Pauses::new(MIN_ACCEPT_PAUSE, MAX_ACCEPT_PAUSE);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                pauses.reset();
                let usage = Usage::new(shared.limits);
                let is_proxy = shared.trusted_proxies.trusts(peer.ip());
                let (place, closed_another) =
                    connections.enter(peer.ip(), is_proxy, Arc::clone(&usage));
                if closed_another {
                    shared.refusals.note(Refusal::Connections, peer.ip());
                }
                let connection = Connection::new(Arc::clone(shared), peer, usage);
                shared
                    .tasks
                    .spawn(async move { connection.run(stream, &place).await });
            }
            Err(error) if concerns_one_peer(&error) => {
                tracing::debug!(%error, "a connection ended before it was accepted");
            }
            Err(error) => {
                let pause = pauses.next_pause();
                tracing::warn!(
                    %error,
                    pause_ms = pause.as_millis(),
                    "cannot accept connections; closing one and trying again after a pause"
                );
                connections.make_room();
                sleep(pause).await;
            }
        }
    }
}

fn concerns_one_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

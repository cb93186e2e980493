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
    connection::{Connection, Shared},
    limits::Limits,
};
use crate::pauses::Pauses;

/// The first and the longest pause after a failed accept (mostly because there are no file descriptors left).
const MIN_ACCEPT_PAUSE: Duration = Duration::from_millis(10);
const MAX_ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Serves `endpoint` until `shutdown` is cancelled. Then it accepts no more connections and returns when all
/// requests are answered, or after `limit`. Connections that are still open then are cut.
pub async fn serve(
    listener: TcpListener,
    endpoint: impl Endpoint + 'static,
    shutdown: CancellationToken,
    limit: Duration,
) {
    serve_with(listener, endpoint, shutdown, limit, Limits::default()).await;
}

/// Like [`serve`], with other limits.
pub async fn serve_with(
    listener: TcpListener,
    endpoint: impl Endpoint + 'static,
    shutdown: CancellationToken,
    limit: Duration,
    limits: Limits,
) {
    let shared = Arc::new(Shared {
        endpoint: endpoint.map_to_response().boxed(),
        limits,
        shutdown: shutdown.clone(),
        cut: CancellationToken::new(),
        tasks: TaskTracker::new(),
        requests: Arc::new(Semaphore::new(limits.requests)),
        answers: AnswerBudget::new(limits.answer_bytes),
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
    let places = Arc::new(Semaphore::new(shared.limits.connections));
    let mut pauses = Pauses::new(MIN_ACCEPT_PAUSE, MAX_ACCEPT_PAUSE);
    loop {
        // This never returns an error, because the semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                pauses.reset();
                let connection = Connection::new(Arc::clone(shared), peer);
                shared.tasks.spawn(async move {
                    connection.run(stream).await;
                    drop(place);
                });
            }
            Err(error) if concerns_one_peer(&error) => {
                tracing::debug!(%error, "a connection ended before it was accepted");
            }
            Err(error) => {
                let pause = pauses.next_pause();
                tracing::warn!(
                    %error,
                    pause_ms = pause.as_millis(),
                    "cannot accept connections; trying again after a pause"
                );
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

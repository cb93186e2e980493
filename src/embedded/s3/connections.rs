//! Serves an S3 service over HTTP: the embedded store of `lethe dev` and the store of `lethe bench`.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use s3s::service::S3Service;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Connections served at the same time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 1_024;
/// A client that has connected must send the head of its request within this time.
const HEADER_LIMIT: Duration = Duration::from_secs(30);
/// Requests in flight get this long to end when the server stops.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// The pause after a failed accept: without file descriptors the next one would fail at once, too.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers requests until `stop`, then waits for those in flight, five seconds at most.
pub async fn serve(listener: TcpListener, service: S3Service, stop: CancellationToken) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let accept = async {
        loop {
            // The semaphore is never closed, so a permit always comes.
            let Ok(permit) = Arc::clone(&connections).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let connection = graceful.watch(connection(stream, &service));
                    tokio::spawn(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!(%error, "a connection to the embedded S3 server broke");
                        }
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the embedded S3 server cannot accept; trying again");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    stop.run_until_cancelled(accept).await;
    drop(listener);
    if timeout(STOP_LIMIT, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests to the embedded S3 server were cut off");
    }
}

fn connection(
    stream: TcpStream,
    service: &S3Service,
) -> http1::Connection<TokioIo<TcpStream>, S3Service> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT)
        .serve_connection(TokioIo::new(stream), service.clone())
}

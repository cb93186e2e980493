//! An S3 server over a folder, for `lethe dev`.
//!
//! No versions, no locks: what it cannot do is not what production relies on.

mod store;

use std::fs::{self, DirBuilder};
use std::io;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::store::Store;

/// Connections served at the same time; more wait to be accepted.
const CONNECTIONS: usize = 1_024;
/// A client that has connected has to send its request's head within this time.
const HEADER_LIMIT: Duration = Duration::from_secs(30);
/// Requests in flight get this long to end when the server stops.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// Without file descriptors, say, accepting again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How to run an embedded S3 server.
#[derive(Clone)]
pub struct Options {
    /// The folder of all buckets; created when missing.
    pub root: PathBuf,
    /// The bucket that is there from the start.
    pub bucket: String,
    /// The port on 127.0.0.1; `None` takes a free one.
    pub port: Option<u16>,
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
}

/// Why there is no S3 server.
#[derive(Debug, thiserror::Error)]
pub enum S3Error {
    /// The folder cannot be used.
    #[error("cannot keep objects in {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// s3s-fs refuses the folder.
    #[error("cannot serve objects from {}: {reason}", path.display())]
    Serve {
        /// The folder.
        path: PathBuf,
        /// What s3s-fs said.
        reason: String,
    },
    /// The port is taken.
    #[error("the S3 server cannot listen on 127.0.0.1")]
    Listen(#[source] io::Error),
}

/// A running S3 server. Dropping it stops it.
#[derive(Debug)]
pub struct EmbeddedS3 {
    port: u16,
    stop: DropGuard,
    server: JoinHandle<()>,
}

impl EmbeddedS3 {
    /// Starts the server; it answers from now on.
    ///
    /// # Errors
    /// When the folder cannot be used or the port is taken.
    pub async fn start(options: Options) -> Result<Self, S3Error> {
        let path = options.root.join(&options.bucket);
        let mut folder = DirBuilder::new();
        folder
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|source| S3Error::Folder {
                path: path.clone(),
                source,
            })?;
        let root = fs::canonicalize(&options.root).map_err(|source| S3Error::Folder {
            path: options.root.clone(),
            source,
        })?;
        let store = Store::new(root).map_err(|error| S3Error::Serve {
            path: options.root.clone(),
            reason: format!("{error:?}"),
        })?;
        let mut service = S3ServiceBuilder::new(store);
        service.set_auth(SimpleAuth::from_single(
            options.access_key,
            options.secret_key,
        ));

        let address = (Ipv4Addr::LOCALHOST, options.port.unwrap_or(0));
        let listener = TcpListener::bind(address).await.map_err(S3Error::Listen)?;
        let port = listener.local_addr().map_err(S3Error::Listen)?.port();
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(listener, service.build(), stop.clone()));
        Ok(Self {
            port,
            stop: stop.drop_guard(),
            server,
        })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The endpoint URL; buckets are in the path.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Stops accepting and waits for the requests in flight, five seconds at most.
    pub async fn stop(self) {
        let Self { stop, server, .. } = self;
        drop(stop);
        if let Err(error) = server.await {
            tracing::warn!(%error, "the embedded S3 server broke off");
        }
    }
}

/// `wanted` if that port on 127.0.0.1 is free, else none, which means any.
pub(super) fn free_port(wanted: Option<u16>) -> Option<u16> {
    wanted.filter(|port| StdListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
}

async fn serve(listener: TcpListener, service: S3Service, stop: CancellationToken) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
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
                    tracing::warn!(%error, "the embedded S3 server cannot accept");
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

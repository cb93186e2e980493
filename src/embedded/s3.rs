//! An S3 server over a folder, for `lethe dev`.
//!
//! It has no versions and no locks: `lethe dev` needs neither.

mod connections;
mod store;
mod uploads;

use std::fs::{self, DirBuilder};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::connections::serve;
use self::store::FileStore;

/// How to run an embedded S3 server.
#[derive(Clone)]
pub struct S3Options {
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
    pub async fn start(options: S3Options) -> Result<Self, S3Error> {
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
        let store = FileStore::new(root).map_err(|error| S3Error::Serve {
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

    /// Stops accepting and waits for the requests in flight.
    pub async fn stop(self) {
        let Self { stop, server, .. } = self;
        drop(stop);
        if let Err(error) = server.await {
            tracing::warn!(%error, "the embedded S3 server ended with an error");
        }
    }
}

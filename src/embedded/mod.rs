//! For `lethe dev`: starts on this machine what the environment lacks.
//!
//! It makes values for environment variables; the rest of Lethe runs on them as it does in production.
//!
//! In the data directory (`./.lethe`) stand `state.json` (secrets, mode 0600), `postgres` (the
//! private server, possibly a link) and `objects` (the S3 server's files, a folder a bucket).

mod clerk;
mod lock;
mod postgres;
mod random;
mod s3;
pub mod seed;
mod state;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

pub use self::clerk::{ClerkSigner, SignerError};
pub use self::lock::{DirectoryLock, LockError};
pub use self::postgres::{PostgresError, PostgresOptions, PrivatePostgres};
pub use self::s3::{EmbeddedS3, S3Error, S3Options, serve as serve_s3};
pub use self::state::{DevState, Ports, Secrets, StateError};

/// The database in the private server.
pub const DATABASE: &str = "lethe";
/// The bucket in the embedded S3 server.
pub const BUCKET: &str = "lethe";
/// The issuer of session tokens, unless `CLERK_ISSUER` names another.
pub const ISSUER: &str = "https://clerk.lethe.localhost";
/// The name under which the generated admin token stands in the audit trail.
pub const ADMIN_NAME: &str = "dev";
/// The embedded server does not care, but the SDK wants one.
const REGION: &str = "us-east-1";

/// What to embed.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// Where everything is kept between runs.
    pub data_dir: PathBuf,
}

/// Why something could not be embedded.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// The private PostgreSQL.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The embedded S3 server.
    #[error(transparent)]
    S3(#[from] S3Error),
    /// The stand-in for Clerk.
    #[error(transparent)]
    Clerk(#[from] SignerError),
}

/// The servers and secrets that replace what the environment lacks.
///
/// Dropping it stops all of it in the background; [`Embedded::stop`] waits for the end.
pub struct Embedded {
    postgres: Option<PrivatePostgres>,
    s3: Option<EmbeddedS3>,
    clerk: Option<ClerkSigner>,
    webhook_secret: Option<String>,
    admin_token: Option<String>,
    variables: Vec<(String, String)>,
    state: DevState,
}

impl Embedded {
    /// Starts what is missing in `environment`, where an empty value counts as missing and
    /// `NAME_FILE` as good as `NAME`:
    ///
    /// - no `DATABASE_URL`: a private PostgreSQL;
    /// - neither `S3_BUCKET` nor `AWS_ENDPOINT_URL_S3`: an S3 server with a bucket;
    /// - no `CLERK_WEBHOOK_SIGNING_SECRET`, no `ADMIN_API_TOKENS`: generated ones;
    /// - neither `CLERK_JWT_KEY` nor `CLERK_JWKS_URL`: a key of our own.
    ///
    /// # Errors
    /// When one of them cannot be started; what was started before is stopped again.
    pub async fn start(
        options: EmbeddedOptions,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, EmbeddedError> {
        let value = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
        let has = |name: &str| value(name).is_some() || value(&format!("{name}_FILE")).is_some();
        let mut embedded = Self {
            postgres: None,
            s3: None,
            clerk: None,
            webhook_secret: None,
            admin_token: None,
            variables: Vec::new(),
            state: DevState::open(&options.data_dir)?,
        };
        if !has("CLERK_JWT_KEY") && !has("CLERK_JWKS_URL") {
            embedded
                .stand_in_for_clerk(value("CLERK_ISSUER"), value("CLERK_AUTHORIZED_PARTIES"))?;
        }
        if !has("CLERK_WEBHOOK_SIGNING_SECRET") {
            let secret = embedded.state.secrets().webhook_signing_secret.clone();
            embedded.set("CLERK_WEBHOOK_SIGNING_SECRET", &secret);
            embedded.webhook_secret = Some(secret);
        }
        if !has("ADMIN_API_TOKENS") {
            let token = embedded.state.secrets().admin_token.clone();
            embedded.set("ADMIN_API_TOKENS", &format!("{ADMIN_NAME}:{token}"));
            embedded.admin_token = Some(token);
        }
        if !has("S3_BUCKET") && !has("AWS_ENDPOINT_URL_S3") {
            embedded.start_s3(has("AWS_SESSION_TOKEN")).await?;
        }
        if !has("DATABASE_URL") {
            embedded.start_postgres(has("DATABASE_LISTEN_URL")).await?;
        }
        embedded.keep_ports()?;
        Ok(embedded)
    }

    /// The variables to lay over the environment; they win over what stands there.
    pub fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    /// The private database's URL, if there is one.
    pub fn postgres_url(&self) -> Option<String> {
        self.postgres
            .as_ref()
            .map(|postgres| postgres.url(DATABASE))
    }

    /// The embedded S3 server's URL, if there is one.
    pub fn s3_url(&self) -> Option<String> {
        self.s3.as_ref().map(EmbeddedS3::url)
    }

    /// Access key and secret key of the embedded S3 server, if there is one.
    pub fn s3_keys(&self) -> Option<(String, String)> {
        let of = |wanted: &str| {
            let mut variables = self.variables.iter();
            let (_, value) = variables.find(|(name, _)| name == wanted)?;
            Some(value.clone())
        };
        self.s3.as_ref()?;
        of("AWS_ACCESS_KEY_ID").zip(of("AWS_SECRET_ACCESS_KEY"))
    }

    /// The generated admin's bearer token, if the environment brought none.
    pub fn admin_token(&self) -> Option<&str> {
        self.admin_token.as_deref()
    }

    /// The generated webhook signing secret, if the environment brought none.
    pub fn webhook_secret(&self) -> Option<&str> {
        self.webhook_secret.as_deref()
    }

    /// The stand-in for Clerk, if the environment brought no key.
    pub fn clerk(&self) -> Option<&ClerkSigner> {
        self.clerk.as_ref()
    }

    /// Stops what was started and waits for the end. Stop Lethe itself first.
    ///
    /// # Errors
    /// When a server does not end.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        if let Some(s3) = self.s3 {
            s3.stop().await;
        }
        if let Some(postgres) = self.postgres {
            postgres.stop().await?;
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    fn stand_in_for_clerk(
        &mut self,
        issuer: Option<String>,
        authorized_parties: Option<String>,
    ) -> Result<(), EmbeddedError> {
        let issuer = issuer.unwrap_or_else(|| ISSUER.to_owned());
        let party = authorized_parties.and_then(|parties| {
            parties
                .split(',')
                .next()
                .map(|party| party.trim().to_owned())
        });
        let signer = ClerkSigner::new(&self.state.secrets().clerk_private_key, issuer, party)?;
        self.set("CLERK_JWT_KEY", signer.public_key());
        self.set("CLERK_ISSUER", signer.issuer());
        self.clerk = Some(signer);
        Ok(())
    }

    async fn start_s3(&mut self, has_session_token: bool) -> Result<(), EmbeddedError> {
        let secrets = self.state.secrets();
        let s3 = EmbeddedS3::start(S3Options {
            root: self.state.directory().join("objects"),
            bucket: BUCKET.to_owned(),
            port: free_port(secrets.ports.s3),
            access_key: secrets.s3_access_key.clone(),
            secret_key: secrets.s3_secret_key.clone(),
        })
        .await?;
        let (access_key, secret_key) =
            (secrets.s3_access_key.clone(), secrets.s3_secret_key.clone());
        self.set("S3_BUCKET", BUCKET);
        self.set("S3_FORCE_PATH_STYLE", "true");
        self.set("AWS_ENDPOINT_URL_S3", &s3.url());
        self.set("AWS_REGION", REGION);
        self.set("AWS_ACCESS_KEY_ID", &access_key);
        self.set("AWS_SECRET_ACCESS_KEY", &secret_key);
        self.set("AWS_EC2_METADATA_DISABLED", "true");
        if has_session_token {
            // It belongs to other credentials.
            self.set("AWS_SESSION_TOKEN", "");
        }
        self.s3 = Some(s3);
        Ok(())
    }

    async fn start_postgres(&mut self, has_listen_url: bool) -> Result<(), EmbeddedError> {
        let postgres = PrivatePostgres::start(PostgresOptions {
            data_dir: self.state.directory().join("postgres"),
            port: free_port(self.state.secrets().ports.postgres),
            durable: true,
            temporary: false,
            settings: Vec::new(),
        })
        .await?;
        postgres.create_database(DATABASE).await?;
        postgres.create_in_public(DATABASE).await?;
        let url = postgres.url(DATABASE);
        self.set("DATABASE_URL", &url);
        if has_listen_url {
            // It belongs to another server.
            self.set("DATABASE_LISTEN_URL", &url);
        }
        self.postgres = Some(postgres);
        Ok(())
    }

    fn keep_ports(&mut self) -> Result<(), EmbeddedError> {
        let before = self.state.secrets().ports;
        let ports = Ports {
            postgres: self
                .postgres
                .as_ref()
                .map(PrivatePostgres::port)
                .or(before.postgres),
            s3: self.s3.as_ref().map(EmbeddedS3::port).or(before.s3),
        };
        Ok(self.state.keep_ports(ports)?)
    }
}

/// `wanted` if that port on 127.0.0.1 is free. `None`, which means any port, if it is not.
fn free_port(wanted: Option<u16>) -> Option<u16> {
    wanted.filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
}

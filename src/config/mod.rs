//! Configuration, parsed at the edge: what leaves this room is valid, typed and complete.
//!
//! Values come from a [`Source`] of layers (flags, environment, `.env`, what `lethe dev` adds).
//! Each role names what it needs as a [`Section`]; every fault is told at once, by variable name
//! and with its remedy.

mod admin;
mod cleanup;
mod clerk;
mod database;
mod fault;
mod log;
mod reader;
mod reconcile;
mod secret;
mod source;
mod storage;
pub mod variables;

use std::net::SocketAddr;
use std::time::Duration;

pub use admin::{AdminToken, AdminTokens};
pub use cleanup::Cleanup;
pub use clerk::{Clerk, JwtKeys, WebhookSecrets};
pub use database::Database;
pub use fault::{ConfigError, Fault};
pub use log::{Log, LogFormat};
pub use reader::{Reader, Section};
pub use reconcile::{ClerkBackend, Reconcile};
pub use secret::Secret;
pub use source::{Origin, Source};
pub use storage::Storage;

use variables::{BIND_ADDR, CLEANUP_GRACE_PERIOD_MS, METRICS_ADDR, SHUTDOWN_TIMEOUT_MS};

/// Where the API listens if nothing else is said: this machine only.
const DEFAULT_BIND_ADDR: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// What `lethe serve` needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serve {
    /// The connection to PostgreSQL.
    pub database: Database,
    /// Whose webhooks and sessions are believed.
    pub clerk: Clerk,
    /// The operators.
    pub admin_tokens: AdminTokens,
    /// Where the API listens.
    pub bind_addr: SocketAddr,
    /// Where metrics and health are served; on `bind_addr` if unset.
    pub metrics_addr: Option<SocketAddr>,
    /// A deleted sample can be restored for so long.
    pub grace_period: Duration,
    /// Requests in flight at a shutdown are answered within so long.
    pub shutdown_timeout: Duration,
}

impl Section for Serve {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let database = Database::read(reader);
        let clerk = Clerk::read(reader);
        let admin_tokens = AdminTokens::read(reader);
        let bind_addr = reader.address(&BIND_ADDR).unwrap_or(DEFAULT_BIND_ADDR);
        let metrics_addr = reader.address(&METRICS_ADDR);
        let grace_period = reader.millis(&CLEANUP_GRACE_PERIOD_MS);
        let shutdown_timeout = reader.millis(&SHUTDOWN_TIMEOUT_MS);
        if metrics_addr == Some(bind_addr) && bind_addr.port() != 0 {
            reader.fault(
                &METRICS_ADDR,
                &format!("is {bind_addr}, where the API listens"),
                "Choose another port, or unset it to have metrics and health on BIND_ADDR.",
            );
        }
        Some(Self {
            database: database?,
            clerk: clerk?,
            admin_tokens: admin_tokens?,
            bind_addr,
            metrics_addr,
            grace_period: grace_period?,
            shutdown_timeout: shutdown_timeout?,
        })
    }
}

/// What `lethe worker` needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// The connection to PostgreSQL.
    pub database: Database,
    /// The bucket and the way to it.
    pub storage: Storage,
    /// How the queue is worked off.
    pub cleanup: Cleanup,
    /// How what was deleted without a task is found.
    pub reconcile: Reconcile,
    /// Where metrics and health are served; nowhere if unset.
    pub metrics_addr: Option<SocketAddr>,
}

impl Section for Worker {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let database = Database::read(reader);
        let storage = Storage::read(reader);
        let cleanup = Cleanup::read(reader);
        let reconcile = Reconcile::read(reader);
        let metrics_addr = reader.address(&METRICS_ADDR);
        Some(Self {
            database: database?,
            storage: storage?,
            cleanup: cleanup?,
            reconcile: reconcile?,
            metrics_addr,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A signing secret as Svix writes them.
    pub(crate) const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    /// An RSA public key of 2,048 bits whose private half was thrown away.
    pub(crate) const PEM: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAoTRpsw1ube7eZvMsY+iO
KaXtHJZp5dM/z7l43TNqvwZI3HB1CYcIBadWvcTeDP52JRveko41/vIyj1ZODsqp
NaXphqOcIgvJHfHnRhiolZS60MNNnn9IMJDL4Fvrgr/mMdT1wvByyQeuTJZ9HhYn
u+jdoHuXA9v2nMk4UhwGx/8NfC+yIH44n/tEIBJnnx4ec4HyExUH1olxvytUOe4G
c2JcgV1iEpfIbOcJAghnM6CYlfBvBCwyr0lAD6rE6PUpxrEMrhhLPOpN84P9PaS5
GgISCBYAsGQsN30bgSIPEmVSfr8ATdy4XBFphDCiAcZIFuRaWooxjuk4SciCfG+B
dQIDAQAB
-----END PUBLIC KEY-----";

    const COMPLETE: [(&str, &str); 4] = [
        ("DATABASE_URL", "postgres://u:hunter2@db/app"),
        ("S3_BUCKET", "images"),
        ("CLERK_WEBHOOK_SIGNING_SECRET", WHSEC),
        ("CLERK_JWT_KEY", PEM),
    ];

    fn environment(pairs: &[(&str, &str)]) -> Source {
        Source::empty().with(Origin::Environment, pairs.iter().copied())
    }

    fn variables_at_fault(error: &ConfigError) -> Vec<&str> {
        error
            .faults
            .iter()
            .map(|fault| fault.variable.as_str())
            .collect()
    }

    #[test]
    fn the_required_variables_suffice_and_the_rest_is_the_contracts() {
        let (serve, worker) = <(Serve, Worker)>::parse(&environment(&COMPLETE)).unwrap();
        assert_eq!(serve.bind_addr.to_string(), BIND_ADDR.unset);
        assert_eq!(serve.metrics_addr, None);
        assert_eq!(serve.grace_period, Duration::ZERO);
        assert_eq!(serve.shutdown_timeout, Duration::from_secs(25));
        assert!(serve.admin_tokens.is_empty());
        assert_eq!(worker.database, serve.database);
        assert_eq!(worker.metrics_addr, None);
    }

    #[test]
    fn each_role_asks_only_for_what_it_needs() {
        let serve = Serve::parse(&Source::empty()).unwrap_err();
        let needed = [
            "DATABASE_URL",
            "CLERK_WEBHOOK_SIGNING_SECRET",
            "CLERK_JWT_KEY",
        ];
        assert_eq!(variables_at_fault(&serve), needed);
        let worker = Worker::parse(&Source::empty()).unwrap_err();
        assert_eq!(variables_at_fault(&worker), ["DATABASE_URL", "S3_BUCKET"]);
    }

    #[test]
    fn every_fault_is_told_at_once_and_only_once() {
        let source = environment(&[
            ("DATABASE_URL", "mysql://u:hunter2@db"),
            ("DATABASE_LISTEN_URL", "nonsense"),
            ("DATABASE_MAX_CONNECTIONS", "0"),
            ("BIND_ADDR", "localhost:8080"),
            ("METRICS_ADDR", "9090"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("S3_CONNECT_TIMEOUT_MS", "0"),
            ("CLERK_JWKS_URL", "jwks"),
            ("ADMIN_API_TOKENS", "hunter2"),
            ("CLEANUP_GRACE_PERIOD_MS", "x"),
            ("CLEANUP_LEASE_MS", "0"),
            ("LOG_FORMAT", "xml"),
        ])
        .with_env_file("broken line\n");
        let error = <(Log, Serve, Worker)>::parse(&source).unwrap_err();
        assert_eq!(
            variables_at_fault(&error),
            [
                ".env",
                "DATABASE_URL",
                "DATABASE_LISTEN_URL",
                "DATABASE_MAX_CONNECTIONS",
                "BIND_ADDR",
                "METRICS_ADDR",
                "S3_BUCKET",
                "AWS_ACCESS_KEY_ID",
                "S3_CONNECT_TIMEOUT_MS",
                "CLERK_WEBHOOK_SIGNING_SECRET",
                "CLERK_JWKS_URL",
                "ADMIN_API_TOKENS",
                "CLEANUP_GRACE_PERIOD_MS",
                "CLEANUP_LEASE_MS",
                "LOG_FORMAT",
            ]
        );
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(
            error.faults.iter().all(|fault| fault.remedy.ends_with('.')),
            "{error}"
        );
    }

    #[test]
    fn a_fault_says_where_the_value_came_from() {
        let source = Source::empty().with(Origin::Flag, [("CLEANUP_LEASE_MS", "0")]);
        let error = Cleanup::parse(&source).unwrap_err();
        assert_eq!(
            error.faults[0].problem,
            "is 0, which is too small (by --cleanup-lease-ms)."
        );
        let error =
            Cleanup::parse(&Source::empty().with_env_file("CLEANUP_LEASE_MS=0")).unwrap_err();
        assert_eq!(
            error.faults[0].problem,
            "is 0, which is too small (in .env)."
        );
    }

    #[test]
    fn what_is_given_can_be_checked_before_the_rest_is_there() {
        assert_eq!(
            <(Log, Serve, Worker)>::check_given(&Source::empty()),
            Ok(())
        );
        let source = environment(&[("CLEANUP_LEASE_MS", "0"), ("CLERK_JWT_KEY", "none")]);
        let error = <(Serve, Worker)>::check_given(&source).unwrap_err();
        assert_eq!(
            variables_at_fault(&error),
            ["CLERK_JWT_KEY", "CLEANUP_LEASE_MS"]
        );
    }

    #[test]
    fn metrics_may_not_take_the_apis_own_port() {
        let address = [("BIND_ADDR", "0.0.0.0:80"), ("METRICS_ADDR", "0.0.0.0:80")];
        let source = environment(&COMPLETE).with(Origin::EnvFile, address);
        assert_eq!(
            variables_at_fault(&Serve::parse(&source).unwrap_err()),
            ["METRICS_ADDR"]
        );
        let free = [
            ("BIND_ADDR", "127.0.0.1:0"),
            ("METRICS_ADDR", "127.0.0.1:0"),
        ];
        let source = environment(&COMPLETE).with(Origin::EnvFile, free);
        assert!(Serve::parse(&source).is_ok());
    }

    #[test]
    fn a_parsed_configuration_shows_no_secret() {
        let tokens = [("ADMIN_API_TOKENS", "alice:hunter2hunter2hunter2")];
        let keys = [
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ];
        let source = environment(&COMPLETE)
            .with(Origin::EnvFile, tokens)
            .with(Origin::Dev, keys);
        let shown = format!("{:?}", <(Serve, Worker)>::parse(&source).unwrap());
        assert!(
            !shown.contains("hunter2") && !shown.contains(WHSEC),
            "{shown}"
        );
    }
}

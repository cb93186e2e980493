//! Configuration, parsed at the edge into the types that the other rooms use: what leaves this room
//! is valid, typed and complete, and no other room checks it again.
//!
//! Values come from a [`Source`] of layers (flags, environment, `.env`, what `lethe dev` adds).
//! Each role names what it needs as a [`Section`]; every fault is told at once, by variable name
//! and with its remedy.

mod admin;
mod cleanup;
mod clerk;
mod database;
#[cfg(test)]
mod encryption_tests;
mod fault;
mod insecure;
mod layer;
mod log;
mod map;
mod notices;
mod reader;
mod receipts;
mod reconcile;
mod safety;
mod source;
mod storage;
#[cfg(test)]
mod testing;
mod traces;
mod variable;
pub mod variables;

use std::net::SocketAddr;
use std::time::Duration;

pub use clerk::{Clerk, WebhookSecrets};
pub use database::Database;
pub use fault::{ConfigError, Fault};
pub use layer::Origin;
pub use log::Log;
pub use map::{GivenMap, MapFile, MapText};
pub use notices::Notices;
pub use reader::{Reader, Section};
pub use receipts::ReceiptKey;
pub use source::Source;
pub use traces::Tracing;

use crate::http::admin_tokens::AdminTokens;
use crate::http::client::TrustedProxies;
use crate::reconcile::options::ReconcileOptions;
use crate::safety::SafetyOptions;
use crate::storage::StoreConfig;
use crate::worker::Cleanup;
use reader::read_all;
use variables::{
    BIND_ADDR, CLEANUP_GRACE_PERIOD_MS, METRICS_ADDR, S3_DELETE_RATE, SHUTDOWN_TIMEOUT_MS,
    TRUSTED_PROXIES,
};

/// What `lethe serve` needs.
#[derive(Debug, Clone)]
pub struct Serve {
    pub database: Database,
    pub map: GivenMap,
    pub clerk: Clerk,
    pub admin_tokens: AdminTokens,
    /// Where the API listens.
    pub bind_addr: SocketAddr,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: TrustedProxies,
    /// Where metrics and health are served; on `bind_addr` if unset.
    pub metrics_addr: Option<SocketAddr>,
    /// A deleted sample can be restored for this long.
    pub grace_period: Duration,
    pub safety: SafetyOptions,
    /// Requests in flight at a shutdown are answered within this time.
    pub shutdown_timeout: Duration,
}

impl Section for Serve {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let addresses = (reader.address(&BIND_ADDR), reader.address(&METRICS_ADDR));
        if let (Some(api), Some(metrics)) = addresses
            && api == metrics
            && api.port() != 0
        {
            reader.fault(
                &METRICS_ADDR,
                &format!("is {api}, where the API listens"),
                "Choose another port, or unset it to have metrics and health on BIND_ADDR.",
            );
        }
        read_all!(Self {
            database: Database::read(reader),
            map: GivenMap::read(reader),
            clerk: Clerk::read(reader),
            admin_tokens: AdminTokens::read(reader),
            bind_addr: addresses.0,
            trusted_proxies: Some(trusted_proxies(reader)),
            metrics_addr: Some(addresses.1),
            grace_period: reader.millis(&CLEANUP_GRACE_PERIOD_MS),
            safety: SafetyOptions::read(reader),
            shutdown_timeout: reader.millis(&SHUTDOWN_TIMEOUT_MS),
        })
    }
}

fn trusted_proxies(reader: &mut Reader<'_>) -> TrustedProxies {
    let mut networks = Vec::new();
    for entry in reader.list(&TRUSTED_PROXIES) {
        match TrustedProxies::parse_network(entry) {
            Some(network) => networks.push(network),
            None => reader.fault(
                &TRUSTED_PROXIES,
                &format!("has the entry `{entry}`, which is no address and no block of addresses"),
                "Give the proxies' addresses or blocks, such as 10.0.0.7 or 10.0.0.0/8, separated by commas.",
            ),
        }
    }
    TrustedProxies::new(networks)
}

/// What `lethe worker` needs.
#[derive(Debug, Clone)]
pub struct Worker {
    pub database: Database,
    pub map: GivenMap,
    pub storage: StoreConfig,
    /// Most objects deleted per second by all workers together.
    pub delete_rate: Option<u32>,
    pub cleanup: Cleanup,
    pub reconcile: ReconcileOptions,
    pub receipt_key: ReceiptKey,
    pub notices: Notices,
    pub safety: SafetyOptions,
    /// Where metrics and health are served; nowhere if unset.
    pub metrics_addr: Option<SocketAddr>,
}

impl Section for Worker {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        read_all!(Self {
            database: Database::read(reader),
            map: GivenMap::read(reader),
            storage: StoreConfig::read(reader),
            delete_rate: Some(reader.number(&S3_DELETE_RATE)),
            cleanup: Cleanup::read(reader),
            reconcile: ReconcileOptions::read(reader),
            receipt_key: ReceiptKey::read(reader),
            notices: Notices::read(reader),
            safety: SafetyOptions::read(reader),
            metrics_addr: Some(reader.address(&METRICS_ADDR)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{PEM, WHSEC, at_fault, environment};
    use super::*;

    const COMPLETE: [(&str, &str); 4] = [
        ("DATABASE_URL", "postgres://u:hunter2@localhost/app"),
        ("S3_BUCKET", "images"),
        ("CLERK_WEBHOOK_SIGNING_SECRET", WHSEC),
        ("CLERK_JWT_KEY", PEM),
    ];

    #[test]
    fn the_required_variables_suffice() {
        let (serve, worker) = <(Serve, Worker)>::parse(&environment(&COMPLETE)).unwrap();
        assert_eq!(serve.bind_addr.to_string(), "127.0.0.1:8080");
        assert_eq!(serve.metrics_addr, None);
        assert_eq!(serve.grace_period, Duration::ZERO);
        assert_eq!(serve.shutdown_timeout, Duration::from_secs(25));
        assert_eq!(serve.admin_tokens.names().count(), 0);
        assert_eq!((worker.metrics_addr, worker.delete_rate), (None, None));
    }

    #[test]
    fn each_role_asks_only_for_what_it_needs() {
        let serve = Serve::parse(&Source::empty()).unwrap_err();
        let needed = [
            "DATABASE_URL",
            "CLERK_WEBHOOK_SIGNING_SECRET",
            "CLERK_JWT_KEY",
        ];
        assert_eq!(at_fault(&serve), needed);
        let worker = Worker::parse(&Source::empty()).unwrap_err();
        assert_eq!(at_fault(&worker), ["DATABASE_URL", "S3_BUCKET"]);
    }

    #[test]
    fn every_fault_is_told_at_once_and_only_once() {
        let source = environment(&[
            ("DATABASE_URL", "mysql://u:hunter2@db"),
            ("DATABASE_LISTEN_URL", "nonsense"),
            ("DATABASE_MAX_CONNECTIONS", "0"),
            ("BIND_ADDR", "localhost:8080"),
            ("TRUSTED_PROXIES", "10.0.0.0/33"),
            ("METRICS_ADDR", "9090"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("S3_DELETE_RATE", "0"),
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
            at_fault(&error),
            [
                ".env",
                "DATABASE_URL",
                "DATABASE_LISTEN_URL",
                "DATABASE_MAX_CONNECTIONS",
                "BIND_ADDR",
                "TRUSTED_PROXIES",
                "METRICS_ADDR",
                "S3_BUCKET",
                "AWS_ACCESS_KEY_ID",
                "S3_DELETE_RATE",
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
        assert!(<(Log, Serve, Worker)>::check_given(&Source::empty()).is_ok());
        let source = environment(&[("CLEANUP_LEASE_MS", "0"), ("CLERK_JWT_KEY", "none")]);
        let error = <(Serve, Worker)>::check_given(&source).unwrap_err();
        assert_eq!(at_fault(&error), ["CLERK_JWT_KEY", "CLEANUP_LEASE_MS"]);
    }

    #[test]
    fn metrics_may_not_take_the_apis_own_port() {
        let address = [("BIND_ADDR", "0.0.0.0:80"), ("METRICS_ADDR", "0.0.0.0:80")];
        let source = environment(&COMPLETE).with(Origin::EnvFile, address);
        assert_eq!(
            at_fault(&Serve::parse(&source).unwrap_err()),
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

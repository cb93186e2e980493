//! Every variable, once: its name, default, bounds and meaning.
//!
//! The parser, the flags and their help text are all made from this table, so they cannot differ.

/// Milliseconds in a minute.
const MINUTE_MS: u64 = 60_000;
/// Milliseconds in an hour.
const HOUR_MS: u64 = 3_600_000;
/// Milliseconds in a day: the upper bound of most durations. A longer one is a slip of units
/// (seconds or microseconds taken for milliseconds) far more often than an intention.
const DAY_MS: u64 = 24 * HOUR_MS;
/// Milliseconds in a year: a grace period may well be thirty days, but not for ever.
const YEAR_MS: u64 = 365 * DAY_MS;

/// Shortest poll and backoff, in milliseconds: less is a busy loop against the database.
const SHORTEST_PAUSE_MS: u64 = 100;
/// Shortest lease, in milliseconds: a lease is renewed several times within its length, and less
/// than a second leaves no room for one slow commit.
const SHORTEST_LEASE_MS: u64 = 1_000;
/// Longest fallback poll, in milliseconds: it bounds how long a lost wake-up delays an erasure.
const LONGEST_POLL_MS: u64 = HOUR_MS;
/// Longest shutdown, in milliseconds: no orchestrator waits longer for a process to go.
const LONGEST_SHUTDOWN_MS: u64 = HOUR_MS;
/// Largest claim, in tasks: one claim is one transaction, and every transaction is bounded.
const LARGEST_CLAIM_TASKS: u64 = 10_000;
/// Most DeleteObjects requests in flight in one worker: beyond this S3 only throttles.
const MOST_REQUESTS: u64 = 256;
/// Most tries of one task before a person must look; with backoff this is already weeks.
const MOST_ATTEMPTS: u64 = 1_000;
/// Longest retention of finished tasks, in days: ten years.
const LONGEST_RETENTION_DAYS: u64 = 3_650;
/// Highest share, in percent: all of them.
const ALL_PERCENT: u64 = 100;
/// Largest pool of one process, in connections: PostgreSQL itself starts to suffer below this.
const LARGEST_POOL_CONNECTIONS: u64 = 1_000;
/// Highest delete rate, in objects per second: what S3 grants one prefix (3,500 requests per
/// second of 1,000 keys each).
const HIGHEST_DELETE_RATE: u64 = 3_500_000;

/// The part of the service that a variable belongs to; the headings of `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// The connection to PostgreSQL.
    Database,
    /// The address of the API.
    Api,
    /// The address of metrics and health.
    Metrics,
    /// The bucket and the way to it.
    Storage,
    /// Whose sessions and webhooks are believed.
    Clerk,
    /// The service's own operators.
    Admin,
    /// How the queue is worked off.
    Cleanup,
    /// How what was deleted without a task is found.
    Reconcile,
    /// How long an erasure waits, and how long a process may take to stop.
    Lifetime,
    /// What is logged, and how.
    Log,
}

impl Topic {
    /// The heading over this topic's flags.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Database => "Database",
            Self::Api => "API",
            Self::Metrics => "Metrics and health",
            Self::Storage => "Object storage",
            Self::Clerk => "Clerk",
            Self::Admin => "Administration",
            Self::Cleanup => "Cleanup",
            Self::Reconcile => "Reconciliation",
            Self::Lifetime => "Lifetimes",
            Self::Log => "Logging",
        }
    }
}

/// What a variable's value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Never shown; `NAME_FILE` may name a file that holds it.
    Secret,
    /// Any text; the string is the placeholder in help (`URL`, `NAME`).
    Text(&'static str),
    /// `true` or `false`.
    Switch,
    /// A whole number.
    Number {
        /// What is counted.
        unit: &'static str,
        /// The value when unset, if there is one.
        default: Option<u64>,
        /// The least that is accepted.
        least: u64,
        /// The most that is accepted.
        most: u64,
    },
}

/// One variable, which is one flag as well.
#[derive(Debug, PartialEq, Eq)]
pub struct Variable {
    /// The name in the environment.
    pub name: &'static str,
    /// Where it belongs.
    pub topic: Topic,
    /// What its value looks like.
    pub kind: Kind,
    /// The value or rule that holds when it is unset, for people to read; numbers have theirs in
    /// [`Kind::Number`] and leave this empty.
    pub unset: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

impl Variable {
    /// Whether the value must never be shown.
    pub const fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret)
    }

    /// The flag without its dashes in front: the name in kebab case.
    pub fn flag(&self) -> String {
        self.name.to_ascii_lowercase().replace('_', "-")
    }

    /// The variable that names a file with this one's value; only secrets have one.
    pub fn file_name(&self) -> Option<String> {
        self.is_secret().then(|| format!("{}_FILE", self.name))
    }

    /// What `--help` says in brackets about the variable being unset.
    pub fn help_when_unset(&self) -> String {
        let text = self.default_text();
        if text.contains("required") {
            format!("[{text}]")
        } else {
            format!("[default: {text}]")
        }
    }

    /// What holds when the variable is unset, for people to read.
    pub fn default_text(&self) -> String {
        match self.kind {
            Kind::Number {
                default: Some(number),
                ..
            } => number.to_string(),
            _ => self.unset.to_owned(),
        }
    }
}

const MS: &str = "milliseconds";

const fn number(
    name: &'static str,
    topic: Topic,
    (unit, default, least, most): (&'static str, u64, u64, u64),
    meaning: &'static str,
) -> Variable {
    let kind = Kind::Number {
        unit,
        default: Some(default),
        least,
        most,
    };
    Variable {
        name,
        topic,
        kind,
        unset: "",
        meaning,
    }
}

const fn secret(
    name: &'static str,
    topic: Topic,
    unset: &'static str,
    meaning: &'static str,
) -> Variable {
    Variable {
        name,
        topic,
        kind: Kind::Secret,
        unset,
        meaning,
    }
}

const fn text(
    name: &'static str,
    topic: Topic,
    (placeholder, unset): (&'static str, &'static str),
    meaning: &'static str,
) -> Variable {
    Variable {
        name,
        topic,
        kind: Kind::Text(placeholder),
        unset,
        meaning,
    }
}

macro_rules! variables {
    ($($(#[$doc:meta])* $name:ident = $make:ident($($argument:expr),* $(,)?);)*) => {
        $($(#[$doc])* pub static $name: Variable = $make(stringify!($name), $($argument),*);)*

        /// Every variable, in the order in which it is documented.
        pub static ALL: &[&Variable] = &[$(&$name),*];
    };
}

const fn switch(
    name: &'static str,
    topic: Topic,
    unset: &'static str,
    meaning: &'static str,
) -> Variable {
    Variable {
        name,
        topic,
        kind: Kind::Switch,
        unset,
        meaning,
    }
}

const fn optional_number(
    name: &'static str,
    topic: Topic,
    (unit, least, most): (&'static str, u64, u64),
    meaning: &'static str,
) -> Variable {
    let kind = Kind::Number {
        unit,
        default: None,
        least,
        most,
    };
    Variable {
        name,
        topic,
        kind,
        unset: "unset",
        meaning,
    }
}

variables! {
    /// The pool's connections; may go through PgBouncer.
    DATABASE_URL = secret(
        Topic::Database,
        "required",
        "PostgreSQL 14 or later (postgres://user:password@host/database); may point at PgBouncer \
         (1.21 or later) in transaction mode",
    );
    /// LISTEN needs a session of its own.
    DATABASE_LISTEN_URL = secret(
        Topic::Database,
        "DATABASE_URL",
        "Direct connection for LISTEN, past any PgBouncer",
    );
    /// Pool size of one process.
    DATABASE_MAX_CONNECTIONS = number(
        Topic::Database,
        ("connections", 10, 1, LARGEST_POOL_CONNECTIONS),
        "Pool size of one process",
    );
    /// Where the API listens.
    BIND_ADDR = text(
        Topic::Api,
        ("ADDRESS:PORT", "127.0.0.1:8080"),
        "Where the API listens; port 0 takes a free one and logs it",
    );
    /// Where metrics and health are served.
    METRICS_ADDR = text(
        Topic::Metrics,
        ("ADDRESS:PORT", "unset"),
        "Where this process serves /metrics and /health/*; port 0 takes a free one and logs it. \
         Unset, `serve` shows them on BIND_ADDR and a worker not at all",
    );
    /// The bucket of the sample images.
    S3_BUCKET = text(Topic::Storage, ("NAME", "required"), "Bucket of the sample images");
    /// Else the SDK's own chain.
    AWS_REGION = text(
        Topic::Storage,
        ("REGION", "AWS_DEFAULT_REGION, then the AWS SDK's own chain"),
        "Region of the bucket",
    );
    /// The older name of `AWS_REGION`.
    AWS_DEFAULT_REGION = text(
        Topic::Storage,
        ("REGION", "the AWS SDK's own chain"),
        "Region of the bucket if AWS_REGION is unset",
    );
    /// Else the SDK's own chain.
    AWS_ACCESS_KEY_ID = secret(
        Topic::Storage,
        "the AWS SDK's own chain",
        "Access key; goes with AWS_SECRET_ACCESS_KEY",
    );
    /// Else the SDK's own chain.
    AWS_SECRET_ACCESS_KEY = secret(
        Topic::Storage,
        "the AWS SDK's own chain",
        "Secret key; goes with AWS_ACCESS_KEY_ID",
    );
    /// Of temporary credentials.
    AWS_SESSION_TOKEN = secret(
        Topic::Storage,
        "unset",
        "Session token of temporary credentials; goes with the two keys",
    );
    /// Any S3-compatible store.
    AWS_ENDPOINT_URL_S3 = text(
        Topic::Storage,
        ("URL", "AWS_ENDPOINT_URL, then the AWS SDK's own chain"),
        "Endpoint of any S3-compatible store",
    );
    /// The endpoint of all AWS services.
    AWS_ENDPOINT_URL = text(
        Topic::Storage,
        ("URL", "the AWS SDK's own chain"),
        "Endpoint if AWS_ENDPOINT_URL_S3 is unset",
    );
    /// Most stores other than AWS need it.
    S3_FORCE_PATH_STYLE = switch(
        Topic::Storage,
        "true if an endpoint URL is set",
        "Ask for https://host/bucket/key instead of https://bucket.host/key",
    );
    /// Shared by all workers.
    S3_DELETE_RATE = optional_number(
        Topic::Storage,
        ("objects per second", 1, HIGHEST_DELETE_RATE),
        "Most objects deleted per second by all workers together; a burst is one second's worth",
    );
    /// Of one connect.
    S3_CONNECT_TIMEOUT_MS = number(
        Topic::Storage,
        (MS, 3_000, 1, DAY_MS),
        "Time-out of one connect",
    );
    /// Of one try.
    S3_ATTEMPT_TIMEOUT_MS = number(
        Topic::Storage,
        (MS, 20_000, 1, DAY_MS),
        "Time-out of one try; at most S3_OPERATION_TIMEOUT_MS",
    );
    /// Of one call with the SDK's retries.
    S3_OPERATION_TIMEOUT_MS = number(
        Topic::Storage,
        (MS, 60_000, 1, DAY_MS),
        "Time-out of one call with the SDK's retries; leases are renewed meanwhile",
    );
    /// Several while rotating.
    CLERK_WEBHOOK_SIGNING_SECRET = secret(
        Topic::Clerk,
        "required by `serve`",
        "Webhook signing secret (whsec_…); several, comma-separated, while rotating",
    );
    /// Verifies session tokens offline.
    CLERK_JWT_KEY = secret(
        Topic::Clerk,
        "this or CLERK_JWKS_URL is required by `serve`",
        "PEM public key that verifies session tokens (RS256) offline; may carry \\n escapes; \
         comes before CLERK_JWKS_URL",
    );
    /// Verifies session tokens by JWKS.
    CLERK_JWKS_URL = text(
        Topic::Clerk,
        ("URL", "this or CLERK_JWT_KEY is required by `serve`"),
        "Where the keys that verify session tokens (RS256) are fetched",
    );
    /// Checked against `iss`.
    CLERK_ISSUER = text(
        Topic::Clerk,
        ("ISSUER", "unset"),
        "Checked against a session token's `iss` when set",
    );
    /// Checked against `azp`.
    CLERK_AUTHORIZED_PARTIES = text(
        Topic::Clerk,
        ("ORIGINS", "unset"),
        "Comma-separated origins, checked against a session token's `azp` when set",
    );
    /// The operators.
    ADMIN_API_TOKENS = secret(
        Topic::Admin,
        "unset",
        "Comma-separated name:token; the name goes to the audit trail",
    );
    /// Fallback poll.
    CLEANUP_POLL_INTERVAL_MS = number(
        Topic::Cleanup,
        (MS, 5_000, SHORTEST_PAUSE_MS, LONGEST_POLL_MS),
        "Fallback poll, and full rescan",
    );
    /// For samples only.
    CLEANUP_GRACE_PERIOD_MS = number(
        Topic::Lifetime,
        (MS, 0, 0, YEAR_MS),
        "A deleted sample can be restored for so long; a user's deletion has no grace",
    );
    /// Most tasks claimed at once.
    CLEANUP_CLAIM_BATCH = number(
        Topic::Cleanup,
        ("tasks", 500, 1, LARGEST_CLAIM_TASKS),
        "Most tasks claimed at once",
    );
    /// Requests in flight.
    CLEANUP_CONCURRENCY = number(
        Topic::Cleanup,
        ("requests", 8, 1, MOST_REQUESTS),
        "DeleteObjects requests in flight in one worker",
    );
    /// The lease of a claim.
    CLEANUP_LEASE_MS = number(
        Topic::Cleanup,
        (MS, 30_000, SHORTEST_LEASE_MS, DAY_MS),
        "A claim not renewed for so long is free again",
    );
    /// First step of the backoff.
    CLEANUP_BACKOFF_BASE_MS = number(
        Topic::Cleanup,
        (MS, 5_000, SHORTEST_PAUSE_MS, DAY_MS),
        "First step of the exponential backoff with full jitter",
    );
    /// Last step of the backoff.
    CLEANUP_BACKOFF_MAX_MS = number(
        Topic::Cleanup,
        (MS, 3_600_000, SHORTEST_PAUSE_MS, DAY_MS),
        "Longest step of the backoff; at least CLEANUP_BACKOFF_BASE_MS",
    );
    /// Then `dead`.
    CLEANUP_MAX_ATTEMPTS = number(
        Topic::Cleanup,
        ("attempts", 8, 1, MOST_ATTEMPTS),
        "Then a task is `dead`: kept, shown, alerted, never forgotten",
    );
    /// Pruned after.
    CLEANUP_RETENTION_DAYS = number(
        Topic::Cleanup,
        ("days", 30, 0, LONGEST_RETENTION_DAYS),
        "Finished tasks are pruned after so many days",
    );
    /// The pass on the database.
    RECONCILE_INTERVAL_MS = number(
        Topic::Reconcile,
        (MS, 300_000, 0, DAY_MS),
        "How often one of the workers looks for what was soft-deleted without a task; 0 is never",
    );
    /// The break.
    RECONCILE_MAX_USER_SHARE = number(
        Topic::Reconcile,
        ("percent", 5, 0, ALL_PERCENT),
        "Most users, in percent of all, that reconciliation takes within 24 hours; what would \
         take more is stopped and takes nothing. Ten users are always allowed",
    );
    /// The comparison with Clerk.
    RECONCILE_CLERK_INTERVAL_MS = optional_number(
        Topic::Reconcile,
        (MS, MINUTE_MS, YEAR_MS),
        "How often one of the workers compares users with Clerk; needs CLERK_SECRET_KEY",
    );
    /// Whether the workers' comparison deletes.
    RECONCILE_CLERK_APPLY = switch(
        Topic::Reconcile,
        "false",
        "Whether the workers' comparison also deletes the users that Clerk no longer has; else it \
         reports them",
    );
    /// Of Clerk's Backend API.
    CLERK_SECRET_KEY = secret(
        Topic::Reconcile,
        "required by `reconcile clerk`",
        "Secret key of Clerk's Backend API (sk_…)",
    );
    /// Of Clerk's Backend API.
    CLERK_API_URL = text(
        Topic::Reconcile,
        ("URL", "https://api.clerk.com"),
        "Clerk's Backend API, without /v1",
    );
    /// The limit of a graceful stop.
    SHUTDOWN_TIMEOUT_MS = number(
        Topic::Lifetime,
        (MS, 25_000, 0, LONGEST_SHUTDOWN_MS),
        "SIGTERM or SIGINT: finish or hand back what is in flight within so long",
    );
    /// How logs look.
    LOG_FORMAT = text(
        Topic::Log,
        ("pretty|json", "pretty on a terminal, else json"),
        "How the log on standard error looks",
    );
    /// What is logged.
    RUST_LOG = text(
        Topic::Log,
        ("FILTER", "info"),
        "What is logged: a level (error, warn, info, debug, trace), or a list of target=level \
         directives",
    );
}

/// The variable called `name`, if Lethe has one.
pub fn find(name: &str) -> Option<&'static Variable> {
    ALL.iter().copied().find(|variable| variable.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_default_is_the_contracts() {
        let shown: Vec<(&str, String)> = ALL
            .iter()
            .map(|variable| (variable.name, variable.default_text()))
            .collect();
        let numbers_and_addresses = [
            ("DATABASE_MAX_CONNECTIONS", "10"),
            ("BIND_ADDR", "127.0.0.1:8080"),
            ("METRICS_ADDR", "unset"),
            ("S3_BUCKET", "required"),
            ("S3_FORCE_PATH_STYLE", "true if an endpoint URL is set"),
            ("S3_DELETE_RATE", "unset"),
            ("CLEANUP_POLL_INTERVAL_MS", "5000"),
            ("CLEANUP_GRACE_PERIOD_MS", "0"),
            ("CLEANUP_CLAIM_BATCH", "500"),
            ("S3_CONNECT_TIMEOUT_MS", "3000"),
            ("S3_ATTEMPT_TIMEOUT_MS", "20000"),
            ("S3_OPERATION_TIMEOUT_MS", "60000"),
            ("CLEANUP_CONCURRENCY", "8"),
            ("CLEANUP_LEASE_MS", "30000"),
            ("CLEANUP_BACKOFF_BASE_MS", "5000"),
            ("CLEANUP_BACKOFF_MAX_MS", "3600000"),
            ("CLEANUP_MAX_ATTEMPTS", "8"),
            ("CLEANUP_RETENTION_DAYS", "30"),
            ("RECONCILE_INTERVAL_MS", "300000"),
            ("RECONCILE_MAX_USER_SHARE", "5"),
            ("RECONCILE_CLERK_INTERVAL_MS", "unset"),
            ("RECONCILE_CLERK_APPLY", "false"),
            ("CLERK_API_URL", "https://api.clerk.com"),
            ("SHUTDOWN_TIMEOUT_MS", "25000"),
            ("LOG_FORMAT", "pretty on a terminal, else json"),
            ("DATABASE_URL", "required"),
            ("DATABASE_LISTEN_URL", "DATABASE_URL"),
            ("CLERK_WEBHOOK_SIGNING_SECRET", "required by `serve`"),
            ("CLERK_ISSUER", "unset"),
            ("CLERK_AUTHORIZED_PARTIES", "unset"),
            ("ADMIN_API_TOKENS", "unset"),
        ];
        for (name, default) in numbers_and_addresses {
            assert!(
                shown.contains(&(name, default.to_owned())),
                "{name} should be {default}"
            );
        }
    }

    #[test]
    fn every_number_has_a_default_within_its_bounds() {
        for variable in ALL {
            if let Kind::Number {
                default,
                least,
                most,
                ..
            } = variable.kind
            {
                let value = default.unwrap_or(least);
                assert!((least..=most).contains(&value), "{}", variable.name);
                assert!(most <= u64::from(u32::MAX) || variable.name.ends_with("_MS"));
            }
        }
    }

    #[test]
    fn a_flag_is_the_name_in_kebab_case() {
        assert_eq!(CLEANUP_CLAIM_BATCH.flag(), "cleanup-claim-batch");
        assert_eq!(AWS_ENDPOINT_URL_S3.flag(), "aws-endpoint-url-s3");
        assert_eq!(
            DATABASE_URL.file_name().as_deref(),
            Some("DATABASE_URL_FILE")
        );
        assert_eq!(S3_BUCKET.file_name(), None);
    }
}

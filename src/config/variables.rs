//! Every variable, once: its name, default, bounds and meaning. The parser, the flags, their help text and
//! the README's table are all made from this table or tested against it.

use DefaultValue::{Count, Rule, Value};
use Kind::{Secret, Switch, Text};

pub use super::variable::{DefaultValue, Kind, Topic, Variable};

const MS: &str = "milliseconds";
const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 3_600_000;
/// The upper bound of most durations. A longer one is a slip of units (seconds or microseconds taken for
/// milliseconds) far more often than an intention.
const DAY_MS: u64 = 24 * HOUR_MS;
/// A grace period may well be thirty days, but not endless.
const YEAR_MS: u64 = 365 * DAY_MS;

/// Shortest poll and backoff: less is a busy loop against the database.
const MIN_PAUSE_MS: u64 = 100;
/// Shortest lease: it is renewed several times within its length, and less than a second leaves no room for
/// one slow commit.
const MIN_LEASE_MS: u64 = 1_000;
/// Longest fallback poll: it bounds how long a lost wake-up delays an erasure.
const MAX_POLL_MS: u64 = HOUR_MS;
/// Longest shutdown: no orchestrator waits longer for a process to end.
const MAX_SHUTDOWN_MS: u64 = HOUR_MS;
/// Largest claim, in tasks: one claim is one transaction, and every transaction is bounded.
const MAX_CLAIM_TASKS: u64 = 10_000;
/// Most DeleteObjects requests in flight in one worker: beyond this S3 only throttles.
const MAX_REQUESTS: u64 = 256;
/// Most attempts of one task before a person must look; with backoff this is already weeks.
const MAX_ATTEMPTS: u64 = 1_000;
/// Longest retention of finished tasks: ten years.
const MAX_RETENTION_DAYS: u64 = 3_650;
/// Highest limit of erasures in an hour: the database keeps a row for each. For more than this, set no limit.
const MAX_ERASURES: u64 = 100_000;
/// Largest pool of one process, in connections: PostgreSQL itself starts to suffer below this.
const MAX_POOL_CONNECTIONS: u64 = 1_000;
/// Highest delete rate, in objects per second: what S3 grants one prefix (3,500 requests per
/// second of 1,000 keys each).
const MAX_DELETE_RATE: u64 = 3_500_000;

const fn number(unit: &'static str, min: u64, max: u64) -> Kind {
    Kind::Number { unit, min, max }
}

macro_rules! variables {
    ($($name:ident: $topic:ident, $kind:expr, $default:expr, $meaning:literal;)*) => {
        $(
            #[doc = $meaning]
            pub static $name: Variable = Variable {
                name: stringify!($name),
                topic: Topic::$topic,
                kind: $kind,
                default: $default,
                meaning: $meaning,
            };
        )*

        /// Every variable, in the order in which it is documented.
        pub static ALL: &[&Variable] = &[$(&$name),*];
    };
}

variables! {
    DATABASE_URL: Database, Secret, Rule("required"),
        "PostgreSQL 14 or later (`postgres://user:password@host/database`); may point at PgBouncer (1.21 or \
         later) in transaction mode";
    DATABASE_LISTEN_URL: Database, Secret, Rule("`DATABASE_URL`"),
        "Direct connection for LISTEN, past any PgBouncer";
    DATABASE_MAX_CONNECTIONS: Database, number("connections", 1, MAX_POOL_CONNECTIONS), Count(10),
        "Pool size of one process";
    ERASURE_MAP: Map, Text("FILE"), Rule("built in"),
        "File with the erasure map of your tables. Unset, a process takes the map that was applied to the database";
    BIND_ADDR: Api, Text("ADDRESS:PORT"), Value("127.0.0.1:8080"),
        "Where the API listens; port 0 takes a free one and logs it";
    TRUSTED_PROXIES: Api, Text("ADDRESSES"), Rule("unset"),
        "Comma-separated addresses or CIDR blocks of the proxies in front of `serve`, whose `X-Forwarded-For` says \
         who the client is. Unset, the client is the peer of the connection";
    METRICS_ADDR: Metrics, Text("ADDRESS:PORT"), Rule("unset"),
        "Where a process of any role serves `/metrics` and `/health/*`; port 0 takes a free one and logs it. \
         Unset, `serve` shows them on `BIND_ADDR` and a worker does not show them";
    S3_BUCKET: Storage, Text("NAME"), Rule("required by `worker`"),
        "Bucket of the objects. A worker needs it even if each bucket of your erasure map has a `name`";
    S3_KEY_PREFIXES: Storage, Text("PREFIXES"), Rule("unset"),
        "Comma-separated; a key that begins with none of them is never deleted, and its task fails with the \
         class `blocked`. End the \
         name of a folder with `/`: `users` also allows `users-old/1`";
    AWS_REGION: Storage, Text("REGION"), Rule("`AWS_DEFAULT_REGION`, then the AWS SDK's own chain"),
        "Region of the bucket";
    AWS_DEFAULT_REGION: Storage, Text("REGION"), Rule("the AWS SDK's own chain"),
        "Region of the bucket if `AWS_REGION` is unset";
    AWS_ACCESS_KEY_ID: Storage, Secret, Rule("the AWS SDK's own chain"),
        "Access key; goes with `AWS_SECRET_ACCESS_KEY`";
    AWS_SECRET_ACCESS_KEY: Storage, Secret, Rule("the AWS SDK's own chain"),
        "Secret key; goes with `AWS_ACCESS_KEY_ID`";
    AWS_SESSION_TOKEN: Storage, Secret, Rule("unset"),
        "Session token of temporary credentials; goes with the two keys";
    AWS_ENDPOINT_URL_S3: Storage, Text("URL"), Rule("`AWS_ENDPOINT_URL`, then the AWS SDK's own chain"),
        "Endpoint of any S3-compatible store";
    AWS_ENDPOINT_URL: Storage, Text("URL"), Rule("the AWS SDK's own chain"),
        "Endpoint if `AWS_ENDPOINT_URL_S3` is unset";
    S3_FORCE_PATH_STYLE: Storage, Switch, Rule("`true` if an endpoint URL is set"),
        "Ask for `https://host/bucket/key` instead of `https://bucket.host/key`";
    S3_DELETE_RATE: Storage, number("objects per second", 1, MAX_DELETE_RATE), Rule("unset"),
        "Most objects deleted per second by all workers together; a burst is one second's worth";
    S3_CONNECT_TIMEOUT_MS: Storage, number(MS, 1, DAY_MS), Count(3_000),
        "Time-out of one connect";
    S3_ATTEMPT_TIMEOUT_MS: Storage, number(MS, 1, DAY_MS), Count(20_000),
        "Time-out of one try; at most `S3_OPERATION_TIMEOUT_MS`";
    S3_OPERATION_TIMEOUT_MS: Storage, number(MS, 1, DAY_MS), Count(60_000),
        "Time-out of one call with the SDK's retries; leases are renewed meanwhile";
    CLERK_WEBHOOK_SIGNING_SECRET: Clerk, Secret, Rule("required by `serve`"),
        "Webhook signing secret (`whsec_…`, at least 16 bytes); several, comma-separated, while rotating";
    CLERK_JWT_KEY: Clerk, Secret, Rule("this or `CLERK_JWKS_URL` is required by `serve`"),
        "PEM public key that verifies session tokens (RS256) offline; may carry `\\n` escapes; comes before \
         `CLERK_JWKS_URL`";
    CLERK_JWKS_URL: Clerk, Text("URL"), Rule("this or `CLERK_JWT_KEY` is required by `serve`"),
        "Where the keys that verify session tokens (RS256) are fetched";
    CLERK_ISSUER: Clerk, Text("ISSUER"), Rule("unset"),
        "Checked against a session token's `iss` when set";
    CLERK_AUTHORIZED_PARTIES: Clerk, Text("ORIGINS"), Rule("unset"),
        "Comma-separated origins, checked against a session token's `azp` when set";
    ADMIN_API_TOKENS: Admin, Secret, Rule("unset"),
        "Comma-separated `name:token` or `name@role:token`, with tokens of at least 20 characters and the roles \
         `viewer`, `operator` and `admin` (the default); the name goes to the audit trail. Read again at SIGHUP";
    ALLOW_INSECURE: Security, Text("LIST"), Rule("unset"),
        "Comma-separated list of `database`, `jwks`, `clerk-api`, `s3`, `notices` and `traces`: what may go unencrypted to another \
         machine. Else such a configuration is refused";
    CLEANUP_POLL_INTERVAL_MS: Cleanup, number(MS, MIN_PAUSE_MS, MAX_POLL_MS), Count(5_000),
        "How often a worker asks the queue by itself what is due, and looks through all of it, beside the \
         notifications";
    CLEANUP_GRACE_PERIOD_MS: Lifetime, number(MS, 0, YEAR_MS), Count(0),
        "A deleted sample can be restored for this long; a user's deletion has no grace";
    USER_ERASURE_DELAY_MS: Safety, number(MS, 0, YEAR_MS), Count(0),
        "How long an erasure of a user waits before its first object is touched; until then it can be \
         cancelled. If `serve` and `worker` set different values, the longer one is used";
    ERASURE_LIMIT_PER_HOUR: Safety, number("users", 0, MAX_ERASURES), Count(1_000),
        "Most users erased in an hour by all sources together; more are accepted and held until a person \
         releases or cancels them; 0 is no limit. If `serve` and `worker` set different values, the lower one \
         is used";
    CLEANUP_CLAIM_BATCH: Cleanup, number("tasks", 1, MAX_CLAIM_TASKS), Count(500),
        "Most tasks claimed at once";
    CLEANUP_CONCURRENCY: Cleanup, number("requests", 1, MAX_REQUESTS), Count(8),
        "Most DeleteObjects requests in flight in one worker";
    CLEANUP_LEASE_MS: Cleanup, number(MS, MIN_LEASE_MS, DAY_MS), Count(30_000),
        "Tasks of a worker that has not renewed its lease for this long can be claimed again";
    CLEANUP_BACKOFF_BASE_MS: Cleanup, number(MS, MIN_PAUSE_MS, DAY_MS), Count(5_000),
        "First step of the exponential backoff with full jitter";
    CLEANUP_BACKOFF_MAX_MS: Cleanup, number(MS, MIN_PAUSE_MS, DAY_MS), Count(3_600_000),
        "Longest step of the backoff; at least `CLEANUP_BACKOFF_BASE_MS`";
    CLEANUP_MAX_ATTEMPTS: Cleanup, number("attempts", 1, MAX_ATTEMPTS), Count(8),
        "A task that has failed this often for a reason that time does not mend is `dead`: it is kept and \
         counted in the metrics until a person retries it";
    CLEANUP_RETENTION_DAYS: Cleanup, number("days", 0, MAX_RETENTION_DAYS), Count(30),
        "Finished tasks are pruned after this many days";
    RECONCILE_INTERVAL_MS: Reconcile, number(MS, 0, DAY_MS), Count(300_000),
        "How often one of the workers looks for rows that were soft-deleted without a task; 0 is never";
    RECONCILE_MAX_USER_SHARE: Reconcile, number("percent", 0, 100), Count(5),
        "Most users, in percent of all, whom reconciliation erases within 24 hours; a pass that would erase \
         more erases nobody, and says so. Ten users are always allowed";
    RECONCILE_CLERK_INTERVAL_MS: Reconcile, number(MS, MINUTE_MS, YEAR_MS), Rule("unset"),
        "How often one of the workers compares users with Clerk; needs `CLERK_SECRET_KEY`";
    RECONCILE_CLERK_APPLY: Reconcile, Switch, Value("false"),
        "Whether the workers' comparison also deletes the users that Clerk no longer has; else it reports \
         them";
    CLERK_SECRET_KEY: Reconcile, Secret, Rule("required by `reconcile clerk`"),
        "Secret key of Clerk's Backend API (`sk_…`)";
    CLERK_API_URL: Reconcile, Text("URL"), Value("https://api.clerk.com"),
        "Clerk's Backend API, without `/v1`";
    RECEIPT_SIGNING_KEY: Receipts, Secret, Rule("made at the first migration, kept in the database"),
        "Ed25519 private key (PKCS#8 PEM) that signs receipts; may carry `\\n` escapes. Its public half is at \
         `/.well-known/lethe-receipts.json`";
    NOTIFY_WEBHOOK_URL: Notices, Text("URL"), Rule("unset"),
        "Where the workers send notices (Standard Webhooks). Unset, none are written. Set the same for all workers: the one \
         that started last counts";
    NOTIFY_WEBHOOK_SECRET: Notices, Secret, Rule("required with `NOTIFY_WEBHOOK_URL`"),
        "Secret that signs notices (`whsec_…`, at least 16 bytes); several, comma-separated, while rotating";
    SHUTDOWN_TIMEOUT_MS: Lifetime, number(MS, 0, MAX_SHUTDOWN_MS), Count(25_000),
        "At SIGTERM or SIGINT, work in flight is finished or released within this time";
    OTEL_EXPORTER_OTLP_ENDPOINT: Traces, Text("URL"), Rule("unset"),
        "OpenTelemetry collector that takes traces by OTLP over HTTP (`http://collector:4318`). Unset, nothing is traced";
    OTEL_EXPORTER_OTLP_HEADERS: Traces, Secret, Rule("unset"),
        "Comma-separated `name=value` headers of each export, such as a key; values are percent-encoded";
    OTEL_SERVICE_NAME: Traces, Text("NAME"), Value("lethe"),
        "Name of this service in traces";
    LOG_FORMAT: Log, Text("pretty|json"), Rule("`pretty` on a terminal, else `json`"),
        "Form of the log on standard error";
    RUST_LOG: Log, Text("FILTER"), Value("info"),
        "What is logged: a level (error, warn, info, debug, trace), or a list of target=level directives";
}

/// The variable called `name`, if Lethe has one.
pub fn find(name: &str) -> Option<&'static Variable> {
    ALL.iter().copied().find(|variable| variable.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_this_table() {
        let mut table = "| variable | default | meaning |\n|---|---|---|\n".to_owned();
        for variable in ALL {
            let default = match variable.default {
                Value(text) => format!("`{text}`"),
                _ => variable.default_text(),
            };
            let (name, meaning) = (variable.name, variable.meaning);
            table += &format!("| `{name}` | {default} | {meaning} |\n");
        }
        let readme = include_str!("../../README.md");
        assert!(
            readme.contains(&format!("\n\n{table}\n")),
            "README's table of variables should be:\n{table}"
        );
    }

    #[test]
    fn every_number_has_a_default_within_its_bounds() {
        for variable in ALL {
            if let Kind::Number { min, max, .. } = variable.kind {
                let value = variable.default_number().unwrap_or(min);
                assert!((min..=max).contains(&value), "{}", variable.name);
                assert!(max <= u64::from(u32::MAX) || variable.name.ends_with("_MS"));
            }
        }
    }

    #[test]
    fn a_flag_is_the_name_in_kebab_case_and_a_secret_may_come_from_a_file() {
        assert_eq!(AWS_ENDPOINT_URL_S3.flag(), "aws-endpoint-url-s3");
        assert_eq!(
            DATABASE_URL.file_name().as_deref(),
            Some("DATABASE_URL_FILE")
        );
        assert_eq!(S3_BUCKET.file_name(), None);
    }
}

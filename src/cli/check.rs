//! `lethe check`: tries every configured thing, and says in one table what is wrong and how to
//! mend it.

use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use chrono::SecondsFormat;
use comfy_table::{ContentArrangement, Table, presets};
use sqlx::postgres::PgListener;
use sqlx::{Connection, PgConnection, Row};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::{Clerk, Database, Serve, Worker};
use crate::db::url::DatabaseUrl;
use crate::http::session::SessionVerifier;
use crate::http::session_keys::SessionKeys;
use crate::reconcile::clerk_api::{ClerkApi, ClerkBackend, Patience};
use crate::reconcile::state;
use crate::schema;
use crate::storage::Store;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The oldest PostgreSQL that is supported, as `server_version_num` has it.
const OLDEST_VERSION_NUM: i32 = 140_000;
/// Connections and rounds of the trial of prepared statements: enough for PgBouncer to mix them up.
const PREPARING_CONNECTIONS: usize = 4;
const PREPARING_ROUNDS: i32 = 10;
/// Columns of the table when the terminal does not say: it must be legible in a log, too.
const WIDTH: u16 = 120;
/// The tables, each with the rights that the service needs.
const RIGHTS: [(&str, &str); 9] = [
    ("users", "select,update,delete"),
    ("collections", "select,update,delete"),
    ("samples", "select,update,delete"),
    ("sample_images", "select,update,delete"),
    ("cleanup_tasks", "select,insert,update,delete"),
    ("cleanup_workers", "select,insert,update,delete"),
    ("cleanup_audit", "select,insert"),
    ("cleanup_reconciliations", "select,update"),
    ("user_tombstones", "select,insert"),
];

/// How one trial went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It works.
    Works,
    /// It works, or is not configured; here is something to know.
    Note,
    /// It does not.
    Wrong,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was tried.
    pub name: String,
    /// How it went.
    pub verdict: Verdict,
    /// What was seen; never a secret.
    pub detail: String,
    /// What to do about it; empty if nothing.
    pub remedy: String,
}

impl Finding {
    fn works(name: &str, detail: impl Into<String>) -> Self {
        Self::new(name, Verdict::Works, detail, "")
    }

    fn note(name: &str, detail: impl Into<String>, remedy: &str) -> Self {
        Self::new(name, Verdict::Note, detail, remedy)
    }

    fn wrong(name: &str, detail: impl Into<String>, remedy: &str) -> Self {
        Self::new(name, Verdict::Wrong, detail, remedy)
    }

    fn new(name: &str, verdict: Verdict, detail: impl Into<String>, remedy: &str) -> Self {
        Self {
            name: name.to_owned(),
            verdict,
            detail: detail.into(),
            remedy: remedy.to_owned(),
        }
    }
}

/// Tries everything that the roles which are configured need. `store` is the way to the worker's
/// bucket.
pub async fn run(
    database: &Database,
    serve: Option<&Serve>,
    worker: Option<(&Worker, &Store)>,
) -> Vec<Finding> {
    let mut findings = check_database(database).await;
    match worker {
        Some((worker, store)) => {
            findings.extend(check_store(worker, store).await);
            if let Some(backend) = &worker.reconcile.clerk {
                findings.push(clerk_backend(backend).await);
            }
        }
        None => findings.push(Finding::note(
            "bucket",
            "not configured: S3_BUCKET is not set",
            "`lethe worker` needs it; `lethe serve` does not.",
        )),
    }
    match serve {
        Some(serve) => findings.extend(check_api(serve).await),
        None => findings.push(Finding::note(
            "Clerk",
            "not configured: no CLERK_… variable is set",
            "`lethe serve` needs them; `lethe worker` does not.",
        )),
    }
    findings
}

/// The table, and a last line that says it all.
pub fn render(findings: &[Finding]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH)
        .set_header(["", "what", "found", "remedy"]);
    for finding in findings {
        let mark = match finding.verdict {
            Verdict::Works => "ok",
            Verdict::Note => "-",
            Verdict::Wrong => "WRONG",
        };
        table.add_row([mark, &finding.name, &finding.detail, &finding.remedy]);
    }
    let mut text = table.to_string();
    let wrong = findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Wrong)
        .count();
    let _ = match wrong {
        0 => write!(text, "\neverything that is configured works"),
        1 => write!(text, "\n1 thing is wrong"),
        several => write!(text, "\n{several} things are wrong"),
    };
    text
}

/// Whether something must be mended.
pub fn is_anything_wrong(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|finding| finding.verdict == Verdict::Wrong)
}

async fn check_database(database: &Database) -> Vec<Finding> {
    let mut connection = match connect(&database.url).await {
        Ok(connection) => connection,
        Err(problem) => {
            // PgBouncer's words.
            let remedy = if problem.contains("unsupported startup parameter") {
                "Set ignore_startup_parameters = extra_float_digits in PgBouncer."
            } else {
                "Start PostgreSQL, or mend DATABASE_URL (host, port, name, password, sslmode)."
            };
            return vec![Finding::wrong(
                "database",
                format!("{}: {problem}", database.url),
                remedy,
            )];
        }
    };
    let mut findings = vec![
        server(&mut connection, &database.url).await,
        writable(&mut connection).await,
        migrations(&mut connection).await,
        rights(&mut connection).await,
        reconciliation(&mut connection).await,
        prepared_statements(&database.url).await,
    ];
    findings.push(
        match timeout(2 * PATIENCE, listen(&database.listen_url)).await {
            Ok(finding) => finding,
            Err(_) => not_listening("no answer in time".to_owned()),
        },
    );
    findings
}

async fn connect(url: &DatabaseUrl) -> Result<PgConnection, String> {
    let options = url.options().application_name("lethe check");
    match timeout(PATIENCE, PgConnection::connect_with(&options)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(chain(&error)),
        Err(_) => Err(format!("no connection within {} s", PATIENCE.as_secs())),
    }
}

async fn server(connection: &mut PgConnection, url: &DatabaseUrl) -> Finding {
    const NAME: &str = "database";
    let asked = sqlx::query(
        "select current_setting('server_version_num')::int, current_setting('server_version'),
                current_user::text",
    )
    .fetch_one(connection);
    let row = match answer(asked).await {
        Ok(row) => row,
        Err(problem) => return Finding::wrong(NAME, problem, "Look at the database's log."),
    };
    let (number, version, user): (i32, String, String) = (row.get(0), row.get(1), row.get(2));
    let detail = format!("PostgreSQL {version} at {url} as {user}");
    if number < OLDEST_VERSION_NUM {
        return Finding::wrong(NAME, detail, "Upgrade to PostgreSQL 14 or later.");
    }
    Finding::works(NAME, detail)
}

async fn writable(connection: &mut PgConnection) -> Finding {
    const NAME: &str = "database is writable";
    let asked = sqlx::query_as(
        "select pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'",
    )
    .fetch_one(connection);
    let standby = "Point DATABASE_URL at the primary (target_session_attrs does not help here).";
    match answer(asked).await {
        Ok((true, _)) => Finding::wrong(NAME, "this is a standby", standby),
        Ok((false, true)) => Finding::wrong(
            NAME,
            "transactions are read-only by default",
            "Reset default_transaction_read_only for this role and database.",
        ),
        Ok((false, false)) => Finding::works(NAME, "yes"),
        Err(problem) => Finding::wrong(NAME, problem, "Look at the database's log."),
    }
}

async fn migrations(connection: &mut PgConnection) -> Finding {
    const NAME: &str = "migrations";
    let remedy = "Run `lethe migrate` as the database's owner.";
    let state = match answer(schema::state(&mut *connection)).await {
        Ok(state) => state,
        // The record of migrations may belong to another role; the tables tell enough.
        Err(problem) => {
            return match answer(schema::is_migrated(connection)).await {
                Ok(true) => Finding::works(NAME, "the tables and functions are there"),
                Ok(false) => Finding::wrong(NAME, "the tables are not there", remedy),
                Err(_) => Finding::wrong(NAME, problem, remedy),
            };
        }
    };
    if !state.changed.is_empty() || !state.unfinished.is_empty() {
        return Finding::wrong(
            NAME,
            format!(
                "applied with another text: {:?}; never finished: {:?}",
                state.changed, state.unfinished
            ),
            "Run the binary that the database was migrated with.",
        );
    }
    match (state.applied.len(), state.due.len(), state.newer.len()) {
        (0, _, 0) => Finding::wrong(NAME, "none is applied", remedy),
        (_, due @ 1.., _) => Finding::wrong(NAME, format!("{due} are due"), remedy),
        (applied, 0, 0) => Finding::works(NAME, format!("all {applied} are applied")),
        (_, 0, newer) => Finding::note(
            NAME,
            format!("the database is ahead of this binary by {newer}"),
            "Bring this binary up to date.",
        ),
    }
}

async fn rights(connection: &mut PgConnection) -> Finding {
    const NAME: &str = "rights";
    let mut missing = Vec::new();
    for (table, rights) in RIGHTS {
        for right in rights.split(',') {
            let asked = sqlx::query_scalar::<_, Option<bool>>(
                "select has_table_privilege(to_regclass($1)::oid, $2)",
            )
            .bind(table)
            .bind(right)
            .fetch_one(&mut *connection);
            match answer(asked).await {
                Ok(Some(true)) => {}
                // The line above says that the tables are not there.
                Ok(None) => return Finding::note(NAME, "not tried: no tables", ""),
                Ok(Some(false)) => missing.push(format!("{right} on {table}")),
                Err(problem) => {
                    return Finding::wrong(NAME, problem, "Look at the database's log.");
                }
            }
        }
    }
    if missing.is_empty() {
        return Finding::works(NAME, "this role may read and change the tables");
    }
    Finding::wrong(
        NAME,
        format!("missing: {}", missing.join(", ")),
        "Grant them to this role, as the database's owner.",
    )
}

/// Whether the last passes came to their end.
async fn reconciliation(connection: &mut PgConnection) -> Finding {
    const NAME: &str = "reconciliation";
    let states = match answer(state::read(connection)).await {
        Ok(states) => states,
        // The line about migrations says why.
        Err(problem) => return Finding::note(NAME, format!("not known: {problem}"), ""),
    };
    if let Some(complaint) = state::complaint(&states) {
        return Finding::wrong(
            NAME,
            complaint,
            "Look with `lethe reconcile` or `lethe reconcile clerk`. If too many users is right, run \
             it with --apply and a higher --reconcile-max-user-share.",
        );
    }
    let ended: Vec<String> = states
        .iter()
        .filter_map(|state| {
            let at = state
                .finished_at?
                .to_rfc3339_opts(SecondsFormat::Secs, true);
            Some(format!("{} at {at}", state.source))
        })
        .collect();
    if ended.is_empty() {
        return Finding::note(
            NAME,
            "there was none yet",
            "A running `lethe worker` does it.",
        );
    }
    Finding::works(NAME, format!("the last ended well: {}", ended.join(", ")))
}

/// PgBouncer before 1.21 in transaction mode sends a statement and its preparation to different
/// servers. That shows only when several clients use prepared statements at once.
async fn prepared_statements(url: &DatabaseUrl) -> Finding {
    const NAME: &str = "prepared statements";
    let clients = (0..PREPARING_CONNECTIONS).map(|_| async {
        let mut connection = connect(url).await?;
        for round in 0..PREPARING_ROUNDS {
            let asked = sqlx::query_scalar::<_, i32>("select $1::int")
                .bind(round)
                .fetch_one(&mut connection);
            answer(asked).await?;
        }
        Ok::<_, String>(())
    });
    match futures::future::try_join_all(clients).await {
        Ok(_) => Finding::works(
            NAME,
            format!("work on {PREPARING_CONNECTIONS} connections at once"),
        ),
        Err(problem) => Finding::wrong(
            NAME,
            problem,
            "With PgBouncer: version 1.21 or later and max_prepared_statements above 0. Without: \
             see that the database takes more connections (max_connections).",
        ),
    }
}

/// Hears itself, on a session that is its own: a pooler in transaction mode takes LISTEN and then
/// gives the session to somebody else, whose notifications are lost to us.
async fn listen(url: &DatabaseUrl) -> Finding {
    match try_listening(url).await {
        Ok(()) => Finding::works("LISTEN", format!("a notification came back at {url}")),
        Err(problem) => not_listening(problem),
    }
}

fn not_listening(problem: String) -> Finding {
    Finding::wrong(
        "LISTEN",
        problem,
        "Point DATABASE_LISTEN_URL straight at PostgreSQL, past any pooler. Without LISTEN, work \
         begins at the next poll only.",
    )
}

async fn try_listening(url: &DatabaseUrl) -> Result<(), String> {
    let channel = format!("lethe_check_{}", Uuid::new_v4().simple());
    let mut listener = answer(PgListener::connect(url.expose())).await?;
    answer(listener.listen(&channel)).await?;
    let pid = "select pg_backend_pid()";
    let before: i32 = answer(sqlx::query_scalar(pid).fetch_one(&mut listener)).await?;
    // Another client holds a transaction: behind a pooler it now has the listener's session.
    let mut other = connect(url).await?;
    let mut transaction = answer(other.begin()).await?;
    let others: i32 = answer(sqlx::query_scalar(pid).fetch_one(&mut *transaction)).await?;
    let after: i32 = answer(sqlx::query_scalar(pid).fetch_one(&mut listener)).await?;
    if before != after || before == others {
        return Err("a pooler shares this connection among clients".to_owned());
    }
    let notify = sqlx::query("select pg_notify($1, 'heard')").bind(&channel);
    answer(notify.execute(&mut *transaction)).await?;
    answer(transaction.commit()).await?;
    match timeout(PATIENCE, listener.recv()).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(chain(&error)),
        Err(_) => Err("the notification never came".to_owned()),
    }
}

async fn check_store(worker: &Worker, store: &Store) -> Vec<Finding> {
    let endpoint = worker.storage.endpoint.as_deref().unwrap_or("AWS");
    let probes = store.probe().await;
    // Where something was not reached, what looks well is not known to be so.
    let all_well = probes.iter().all(|probe| probe.ok);
    let well = if all_well {
        Verdict::Works
    } else {
        Verdict::Note
    };
    let mut findings = vec![Finding::new("store", well, without_user(endpoint), "")];
    findings.extend(probes.into_iter().map(|probe| {
        if probe.ok {
            Finding::new(probe.name, well, probe.detail, "")
        } else {
            Finding::wrong(probe.name, probe.detail, probe.remedy)
        }
    }));
    findings
}

async fn check_api(serve: &Serve) -> Vec<Finding> {
    vec![
        Finding::works(
            "webhook secrets",
            format!("{} can be used", serve.clerk.webhook_secrets.len()),
        ),
        session_keys(&serve.clerk).await,
        issuer(&serve.clerk),
        admins(serve),
    ]
}

async fn session_keys(clerk: &Clerk) -> Finding {
    const NAME: &str = "Clerk's keys";
    let (detail, remedy) = match &clerk.sessions.keys {
        SessionKeys::Fixed(_) => (
            "CLERK_JWT_KEY is an RSA public key".to_owned(),
            "Copy the PEM public key from Clerk's dashboard, API keys.",
        ),
        SessionKeys::Jwks(url) => (
            format!("fetched from {}", without_user(url.as_str())),
            "Open CLERK_JWKS_URL from this machine: it must answer with RSA keys. Or give the key \
             itself as CLERK_JWT_KEY.",
        ),
    };
    let verifier = SessionVerifier::new(clerk.sessions.clone());
    let warm = match &verifier {
        Ok(verifier) => verifier.warm_up().await.map_err(|error| chain(&error)),
        Err(error) => Err(chain(error)),
    };
    match warm {
        Ok(()) => Finding::works(NAME, detail),
        Err(problem) => Finding::wrong(NAME, problem, remedy),
    }
}

/// Asks Clerk's Backend API for one user, as a comparison begins.
async fn clerk_backend(backend: &ClerkBackend) -> Finding {
    const NAME: &str = "Clerk's Backend API";
    let patience = Patience {
        connect: PATIENCE,
        request: PATIENCE,
        tries: 1,
        throttles: 0,
        ..Patience::default()
    };
    let asked = async {
        let api = ClerkApi::new(backend.clone(), patience, CancellationToken::new())?;
        api.oldest_user().await
    };
    match asked.await {
        Ok(_) => Finding::works(
            NAME,
            format!("lists users at {}", without_user(backend.url.as_str())),
        ),
        Err(error) => Finding::wrong(
            NAME,
            chain(&error),
            "Copy CLERK_SECRET_KEY (sk_…) from Clerk's dashboard, API keys, of the instance whose users \
             these are.",
        ),
    }
}

fn issuer(clerk: &Clerk) -> Finding {
    const NAME: &str = "issuer and parties";
    match (
        &clerk.sessions.issuer,
        clerk.sessions.authorized_parties.len(),
    ) {
        (Some(issuer), 1..) => Finding::works(NAME, format!("{issuer}, and azp is checked")),
        (Some(issuer), 0) => Finding::note(
            NAME,
            format!("{issuer}; azp is not checked"),
            "Set CLERK_AUTHORIZED_PARTIES to your application's origins.",
        ),
        (None, _) => Finding::note(
            NAME,
            "iss is not checked",
            "Set CLERK_ISSUER to your instance's Frontend API URL.",
        ),
    }
}

fn admins(serve: &Serve) -> Finding {
    const NAME: &str = "admin tokens";
    let names: Vec<&str> = serve.admin_tokens.names().collect();
    if names.is_empty() {
        return Finding::note(
            NAME,
            "none: /admin is closed to everybody",
            "Set ADMIN_API_TOKENS to name:token pairs.",
        );
    }
    Finding::works(NAME, names.join(", "))
}

async fn answer<T>(asked: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, String> {
    match timeout(PATIENCE, asked).await {
        Ok(result) => result.map_err(|error| chain(&error)),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// A URL without the user and password that some put into it, and without its query.
fn without_user(url: &str) -> String {
    let Ok(mut url) = reqwest::Url::parse(url) else {
        return url.to_owned();
    };
    // Both fail only for URLs that cannot have a user.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.to_string().trim_end_matches('/').to_owned()
}

/// An error and its causes in one line, none said twice.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_is_wrong_and_how_to_mend_it() {
        let findings = [
            Finding::works("a", "fine"),
            Finding::wrong("b", "broken", "Mend it."),
        ];
        let text = render(&findings);
        assert!(
            text.contains("WRONG") && text.contains("Mend it."),
            "{text}"
        );
        assert!(text.ends_with("1 thing is wrong"), "{text}");
        assert!(is_anything_wrong(&findings) && !is_anything_wrong(&findings[..1]));
    }

    #[test]
    fn no_password_is_shown() {
        assert_eq!(
            without_user("http://u:hunter2@s3:9000/?k=v"),
            "http://s3:9000"
        );
    }
}

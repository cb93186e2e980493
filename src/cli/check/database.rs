//! Trying the database: the server, the migrations, the rights, and the connections.

use std::time::Duration;

use chrono::SecondsFormat;
use sqlx::postgres::PgListener;
use sqlx::{Connection, PgConnection, query_file, query_file_scalar};
use tokio::time::timeout;
use uuid::Uuid;

use super::table::Finding;
use super::trial::{READ_THE_LOG, Trial};
use super::{encryption, map, rights};
use crate::cause::chain;
use crate::config::{Database, MapText};
use crate::db::url::DatabaseUrl;
use crate::map::format::ErasureMap;
use crate::reconcile::state;
use crate::safety::SafetyOptions;
use crate::schema;
use crate::vocabulary::ProcessRole;

/// The oldest PostgreSQL that is supported, as `server_version_num` has it.
const MIN_VERSION_NUM: i32 = 140_000;
/// Connections and rounds of the trial of prepared statements: enough for PgBouncer to mix them up.
const PREPARING_CONNECTIONS: usize = 4;
const PREPARING_ROUNDS: i32 = 10;

/// `given` is the map of ERASURE_MAP, `roles` are those whose rights are tried, and `limits` is what is configured
/// here. Also returns the map that is applied.
pub(super) async fn check(
    database: &Database,
    given: Option<&MapText>,
    roles: &[ProcessRole],
    limits: SafetyOptions,
    limit: Duration,
) -> (Vec<Finding>, Option<ErasureMap>) {
    let trial = Trial { limit };
    let mut connection = match trial.connect(&database.url).await {
        Ok(connection) => connection,
        Err(problem) => {
            // PgBouncer's words.
            let remedy = if problem.contains("unsupported startup parameter") {
                "Set ignore_startup_parameters = extra_float_digits in PgBouncer."
            } else {
                "Start PostgreSQL, or mend DATABASE_URL (host, port, name, password, sslmode)."
            };
            let finding =
                Finding::wrong("database", format!("{}: {problem}", database.url), remedy);
            return (vec![finding], None);
        }
    };
    let mut findings = vec![trial.server(&mut connection, &database.url).await];
    findings.extend(encryption::check(&trial, &mut connection, database).await);
    findings.extend([
        trial.writable(&mut connection).await,
        trial.migrations(&mut connection).await,
    ]);
    let map = map::check(&trial, &mut connection, given).await;
    let roles = rights::or_all(roles);
    let application = map.rights_of(roles);
    findings.extend([
        map.finding,
        rights::missing(&trial, &mut connection, roles, application.as_deref()).await,
        rights::surplus(&trial, &mut connection, roles, application.as_deref()).await,
        trial.row_security(&mut connection).await,
        trial.reconciliation(&mut connection).await,
        rights::limits(&trial, &mut connection, limits).await,
        trial.prepared_statements(&database.url).await,
    ]);
    let heard = timeout(2 * limit, trial.hear_a_notification(&database.listen_url)).await;
    findings.push(
        match heard.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
            Ok(()) => Finding::works(
                "LISTEN",
                format!(
                    "a notification came back at {}",
                    database.listen_url
                ),
            ),
            Err(problem) => Finding::wrong(
                "LISTEN",
                problem,
                "Point DATABASE_LISTEN_URL straight at PostgreSQL, past any pooler. Without LISTEN, work \
                 begins at the next poll only.",
            ),
        },
    );
    (findings, map.map)
}

impl Trial {
    pub(super) async fn connect(&self, url: &DatabaseUrl) -> Result<PgConnection, String> {
        let options = url.options().application_name("lethe check");
        self.answer(PgConnection::connect_with(&options)).await
    }

    async fn server(&self, connection: &mut PgConnection, url: &DatabaseUrl) -> Finding {
        const NAME: &str = "database";
        let server = query_file!("sql/check/server.sql").fetch_one(connection);
        let server = match self.answer(server).await {
            Ok(server) => server,
            Err(problem) => return Finding::wrong(NAME, problem, READ_THE_LOG),
        };
        let place = url;
        let detail = format!(
            "PostgreSQL {} at {place} as {}",
            server.version, server.role
        );
        if server.number < MIN_VERSION_NUM {
            return Finding::wrong(NAME, detail, "Upgrade to PostgreSQL 14 or later.");
        }
        Finding::works(NAME, detail)
    }

    async fn writable(&self, connection: &mut PgConnection) -> Finding {
        const NAME: &str = "database is writable";
        let server = query_file!("sql/check/writable.sql").fetch_one(connection);
        match self.answer(server).await {
            Ok(server) if server.is_standby => Finding::wrong(
                NAME,
                "this is a standby",
                "Point DATABASE_URL at the primary (target_session_attrs does not help here).",
            ),
            Ok(server) if server.is_read_only => Finding::wrong(
                NAME,
                "transactions are read-only by default",
                "Reset default_transaction_read_only for this role and database.",
            ),
            Ok(_) => Finding::works(NAME, "yes"),
            Err(problem) => Finding::wrong(NAME, problem, READ_THE_LOG),
        }
    }

    async fn migrations(&self, connection: &mut PgConnection) -> Finding {
        const NAME: &str = "migrations";
        let remedy = "Run `lethe migrate` as the database's owner.";
        let state = match self.answer(schema::state(&mut *connection)).await {
            Ok(state) => state,
            // The record of migrations may belong to another role; the tables tell enough.
            Err(problem) => {
                return match self.answer(schema::is_migrated(connection)).await {
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

    /// With rows hidden from it, Lethe would take a key that a live image names for one that nobody needs, and
    /// an erasure for complete although rows are left.
    async fn row_security(&self, connection: &mut PgConnection) -> Finding {
        const NAME: &str = "row level security";
        match self
            .answer(schema::tables_with_hidden_rows(connection))
            .await
        {
            Ok(tables) if tables.is_empty() => {
                Finding::works(NAME, "this role sees every row of the tables")
            }
            Ok(tables) => Finding::wrong(
                NAME,
                format!("policies bind this role on: {}", tables.join(", ")),
                "Lethe must see every row: as a superuser, `alter role … bypassrls` for this role. If it owns \
                 the tables, `alter table … no force row level security` is enough.",
            ),
            Err(problem) => Finding::wrong(NAME, problem, READ_THE_LOG),
        }
    }

    /// Whether the last passes came to their end.
    async fn reconciliation(&self, connection: &mut PgConnection) -> Finding {
        const NAME: &str = "reconciliation";
        let states = match self.answer(state::read(connection)).await {
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
    async fn prepared_statements(&self, url: &DatabaseUrl) -> Finding {
        const NAME: &str = "prepared statements";
        let clients = (0..PREPARING_CONNECTIONS).map(|_| async {
            let mut connection = self.connect(url).await?;
            for round in 0..PREPARING_ROUNDS {
                let statement = query_file_scalar!("sql/check/prepared.sql", round);
                self.answer(statement.fetch_one(&mut connection)).await?;
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

    /// Sends a notification to itself, and makes sure that the session is its own: a pooler in transaction mode
    /// accepts LISTEN and then gives the session to another client, so that notifications are lost.
    async fn hear_a_notification(&self, url: &DatabaseUrl) -> Result<(), String> {
        let channel = format!("lethe_check_{}", Uuid::new_v4().simple());
        let mut listener = self.answer(PgListener::connect(url.expose())).await?;
        self.answer(listener.listen(&channel)).await?;
        let pid = || query_file_scalar!("sql/check/backend.sql");
        let before = self.answer(pid().fetch_one(&mut listener)).await?;
        // Another client holds a transaction: behind a pooler it now has the listener's session.
        let mut other = self.connect(url).await?;
        let mut tx = self.answer(other.begin()).await?;
        let others = self.answer(pid().fetch_one(&mut *tx)).await?;
        let after = self.answer(pid().fetch_one(&mut listener)).await?;
        if before != after || before == others {
            return Err("a pooler shares this connection among clients".to_owned());
        }
        let notify = query_file!("sql/check/notify.sql", channel);
        self.answer(notify.execute(&mut *tx)).await?;
        self.answer(tx.commit()).await?;
        match timeout(self.limit, listener.recv()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(chain(&error)),
            Err(_) => Err("the notification never came".to_owned()),
        }
    }
}

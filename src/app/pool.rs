//! Connections to PostgreSQL.

use std::time::Duration;

use anyhow::Context;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, Executor, PgConnection, PgPool};

use crate::config::Database;
use crate::db::timeout::timed_out_once;
use crate::db::url::DatabaseUrl;

/// How long a request waits for a connection before it is told that the database is away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a connection outside the pool may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long open connections may take to say goodbye at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a connection that comes back to a pool may take to answer. One that does not is thrown away: it
/// would hold its place in the pool for as long as the process lives.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);
/// What `pg_stat_activity` shows.
const APPLICATION_NAME: &str = "lethe";

/// A pool that connects when it is first needed, so that a process starts without a database. For the API,
/// whose requests may be cut off anywhere by their clients.
pub fn lazy(database: &Database) -> PgPool {
    bounded(database)
        .after_release(|connection, _| Box::pin(end_transaction(connection)))
        .connect_lazy_with(options(&database.url))
}

/// The same for a worker, which never drops a transaction halfway, unless the database fell silent: until
/// then nothing is to be looked at when a connection comes back.
pub fn lazy_for_worker(database: &Database) -> PgPool {
    bounded(database)
        .after_release(|connection, _| {
            Box::pin(async move { Ok(!timed_out_once() || end_transaction(connection).await?) })
        })
        .connect_lazy_with(options(&database.url))
}

fn bounded(database: &Database) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(database.max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
}

/// Up to sqlx 0.9.0 a cancelled `begin` gives back a connection whose transaction is open, and
/// sqlx does not know. A bare `rollback` would warn in the server's log each time there is none;
/// this pair is silent, and rolls back whatever is open. In a failed transaction `begin` is
/// refused, and the connection is thrown away.
///
/// # Errors
/// When there is no answer in time. Then the pool drops the connection without a farewell, which could
/// take for ever too.
async fn end_transaction(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let ended = connection.execute("begin; rollback");
    let ended = tokio::time::timeout(RELEASE_TIMEOUT, ended).await;
    ended
        .map(|ended| ended.is_ok())
        .map_err(|_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))
}

/// A connection of its own, outside any pool.
///
/// # Errors
/// When the database cannot be reached in time.
pub async fn connect(url: &DatabaseUrl) -> anyhow::Result<PgConnection> {
    let options = options(url);
    let connecting = PgConnection::connect_with(&options);
    tokio::time::timeout(CONNECT_TIMEOUT, connecting)
        .await
        .context("the database does not answer")?
        .context("cannot connect to the database")
}

/// Closes a pool, without waiting for ever for a database that is gone.
pub async fn close(pool: &PgPool) {
    if tokio::time::timeout(CLOSE_TIMEOUT, pool.close())
        .await
        .is_err()
    {
        tracing::debug!("some connections to the database were not closed in time");
    }
}

fn options(url: &DatabaseUrl) -> PgConnectOptions {
    url.options().application_name(APPLICATION_NAME)
}

//! Connections to PostgreSQL.

use std::time::Duration;

use anyhow::Context;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, Executor, PgConnection, PgPool};

use crate::cause::chain;
use crate::config::Database;
use crate::db::timeout::timed_out_once;
use crate::db::url::DatabaseUrl;

/// How long a request waits for a connection before it is told that the database is away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long connecting outside the pool may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long closing the connections may take at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a connection that returns to a pool may take to answer. After that it is dropped, because it
/// would hold its place in the pool for as long as the process lives.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);
/// The name in `pg_stat_activity`.
const APPLICATION_NAME: &str = "lethe";

/// A pool for the API. It connects when it is first used, so that a process starts without a database. A client
/// that disconnects cancels its request anywhere, so every connection that returns is checked.
pub fn lazy(database: &Database) -> PgPool {
    bounded(database)
        .after_release(|connection, _| Box::pin(end_transaction(connection)))
        .connect_lazy_with(options(&database.url))
}

/// The same for a command, after one connection was made: a pool tries again and again, and in the end only says that the
/// time is over.
///
/// # Errors
/// When the database cannot be reached in time.
pub async fn reachable(database: &Database) -> anyhow::Result<PgPool> {
    let connection = connect(&database.url).await?;
    // What matters was seen. The pool makes its own.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, connection.close()).await;
    Ok(lazy(database))
}

/// The same for a worker. A worker drops an open transaction only after a time-out, so connections that return
/// are checked only once there was a time-out.
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

/// Rolls back a transaction that is still open. Up to sqlx 0.9.0 a cancelled `begin` returns its connection with
/// the transaction open, and sqlx does not know. A bare `rollback` outside a transaction would put a warning into
/// the server's log; `begin; rollback` does not. In a failed transaction `begin` is refused, and the connection
/// is dropped.
///
/// # Errors
/// When there is no answer in time. The pool then drops the connection without closing it in order, which could
/// wait for ever too.
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

/// Why a pool gives no connection. While it tries again and again, a pool only says that the time is over, so this
/// tries once by itself.
pub async fn why_no_connection(pool: &PgPool, error: &sqlx::Error) -> String {
    let is_silent = match error {
        sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::TimedOut,
        _ => false,
    };
    if is_silent {
        let options = pool.connect_options();
        let connecting = PgConnection::connect_with(&options);
        if let Ok(Err(cause)) = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            return chain(&cause);
        }
    }
    chain(error)
}

/// Closes a pool. Waits for 2 s at most, because the database may be gone.
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

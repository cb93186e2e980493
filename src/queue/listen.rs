//! Runs LISTEN on a separate connection. A regular round trip proves that the connection is alive.

use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::CHANNEL;
use crate::db::sqlstate::{Meaning, meaning};
use crate::pauses::Pauses;

/// How long connecting and each round trip may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// The pauses between two tries to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The round trip over the listening connection.
pub trait KeepAlive: Send + Sync {
    /// Sends one query. Its answer proves that the connection is alive.
    fn ask<'l>(&'l self, connection: &'l mut PgListener) -> BoxFuture<'l, Result<(), sqlx::Error>>;

    /// Is told when notifications begin or cease to come.
    fn listening(&self, is_connected: bool);
}

/// Wakes `wake` at each notification, and after each (re)connection, because notifications may have been missed
/// before it. While LISTEN is interrupted, only the poll finds tasks. Returns when cancelled.
///
/// Once in `every`, `keep_alive` sends a query over this connection. sqlx sets no TCP keepalive, so without the query
/// nobody would notice that the database vanished without a FIN.
pub async fn listen(
    url: String,
    wake: &Notify,
    every: Duration,
    keep_alive: &dyn KeepAlive,
    shutdown: CancellationToken,
) {
    let mut pauses = Pauses::new(FIRST_PAUSE, MAX_PAUSE);
    while !shutdown.is_cancelled() {
        let session = tokio::select! {
            () = shutdown.cancelled() => return,
            session = receive(&url, wake, every, keep_alive, &mut pauses) => session,
        };
        keep_alive.listening(false);
        let pause = pauses.next_pause();
        if let Err(error) = session {
            tracing::warn!(%error, retry_in_ms = pause.as_millis(), "LISTEN is interrupted; polling goes on");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn receive(
    url: &str,
    wake: &Notify,
    every: Duration,
    keep_alive: &dyn KeepAlive,
    pauses: &mut Pauses,
) -> Result<(), sqlx::Error> {
    let mut listener = bounded(PgListener::connect(&named(url))).await?;
    // A lost connection is an error here and is not replaced silently, because a poll must follow every gap.
    listener.eager_reconnect(false);
    bounded(listener.listen(CHANNEL)).await?;
    pauses.reset();
    tracing::debug!("listening");
    keep_alive.listening(true);
    wake.notify_one();
    let mut due = Instant::now();
    loop {
        // A stream of notifications does not delay the deadline.
        match tokio::time::timeout_at(due, listener.try_recv()).await {
            Ok(received) => {
                if received?.is_none() {
                    return Err(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()));
                }
                while listener.next_buffered().is_some() {}
                wake.notify_one();
            }
            Err(_elapsed) => {
                match bounded(keep_alive.ask(&mut listener)).await {
                    // The server answered, so the connection is alive; the query is sent again at once.
                    Err(error) if meaning(&error) == Meaning::Conflict => {}
                    answer => {
                        answer?;
                        due = Instant::now() + every;
                    }
                }
            }
        }
    }
}

/// Adds a name for `pg_stat_activity` to the URL, unless it has one.
fn named(url: &str) -> String {
    let separator = match url.split_once('?') {
        Some((_, parameters)) if parameters.contains("application_name") => return url.to_owned(),
        Some(_) => '&',
        None => '?',
    };
    format!("{url}{separator}application_name=lethe")
}

async fn bounded<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(ANSWER_LIMIT, work)
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn the_connection_has_a_name_and_keeps_its_own() {
        assert_eq!(
            named("postgres://h/d"),
            "postgres://h/d?application_name=lethe"
        );
        assert_eq!(
            named("postgres://h/d?sslmode=require"),
            "postgres://h/d?sslmode=require&application_name=lethe"
        );
        assert_eq!(
            named("postgres://h/d?application_name=x"),
            "postgres://h/d?application_name=x"
        );
    }
}

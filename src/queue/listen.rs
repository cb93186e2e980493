//! LISTEN on a connection of its own, which proves by a round trip that it is alive.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;
use futures::future::BoxFuture;
use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::CHANNEL;

/// How long connecting and each sign of life may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest pause between two tries to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What is asked over the listening connection.
pub trait Look: Send + Sync {
    /// Asks once. An answer proves that the connection is alive.
    fn look<'l>(&'l self, connection: &'l mut PgListener)
    -> BoxFuture<'l, Result<(), sqlx::Error>>;
}

/// Wakes `wake` at each notification, and at each (re)connection, because something may have been missed
/// meanwhile. Without LISTEN the poll works alone. Returns when cancelled.
///
/// Once in `every` the look goes over this connection: sqlx sets
/// no TCP keepalive, so a database that vanished without a FIN would be silent for ever.
pub async fn listen(
    url: String,
    wake: &Notify,
    every: Duration,
    look: &dyn Look,
    shutdown: CancellationToken,
) {
    // max_elapsed_time defaults to 15 minutes; a listener never gives up.
    let mut pause = ExponentialBackoff {
        initial_interval: Duration::from_millis(100),
        max_interval: LONGEST_PAUSE,
        max_elapsed_time: None,
        ..ExponentialBackoff::default()
    };
    while !shutdown.is_cancelled() {
        let session = tokio::select! {
            () = shutdown.cancelled() => return,
            session = hear(&url, wake, every, look, &mut pause) => session,
        };
        let delay = pause.next_backoff().unwrap_or(LONGEST_PAUSE);
        if let Err(error) = session {
            tracing::warn!(%error, retry_in_ms = delay.as_millis(), "LISTEN is interrupted; polling goes on");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(delay) => {}
        }
    }
}

async fn hear(
    url: &str,
    wake: &Notify,
    every: Duration,
    look: &dyn Look,
    pause: &mut ExponentialBackoff,
) -> Result<(), sqlx::Error> {
    let mut listener = bounded(PgListener::connect(&named(url))).await?;
    // A lost connection is an error here, never silently mended: every gap must end in a look.
    listener.eager_reconnect(false);
    bounded(listener.listen(CHANNEL)).await?;
    pause.reset();
    tracing::debug!("listening");
    wake.notify_one();
    let mut due = Instant::now();
    loop {
        // Under a hail of notifications too, a look is due in time.
        match tokio::time::timeout_at(due, listener.try_recv()).await {
            Ok(received) => {
                if received?.is_none() {
                    return Err(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()));
                }
                while listener.next_buffered().is_some() {}
                wake.notify_one();
            }
            Err(_elapsed) => {
                bounded(look.look(&mut listener)).await?;
                due = Instant::now() + every;
            }
        }
    }
}

/// The URL with a name for `pg_stat_activity`, unless it has one.
fn named(url: &str) -> String {
    let separator = match url.split_once('?') {
        Some((_, parameters)) if parameters.contains("application_name") => return url.to_owned(),
        Some(_) => '&',
        None => '?',
    };
    format!("{url}{separator}application_name=lethe")
}

async fn bounded<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(PATIENCE, work)
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

//! SIGTERM and SIGINT: the first one asks for an orderly end, the second one ends at once. SIGHUP: read the secrets
//! again.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What shells report for a process that a signal ended: 128 and its number.
const SIGINT_EXIT: i32 = 130;
const SIGTERM_EXIT: i32 = 143;

/// A token that the first signal cancels.
///
/// # Errors
/// When the system does not let us handle signals.
pub fn shutdown_token() -> std::io::Result<CancellationToken> {
    let interrupt = signal(SignalKind::interrupt())?;
    let terminate = signal(SignalKind::terminate())?;
    let token = CancellationToken::new();
    tokio::spawn(watch(interrupt, terminate, token.clone()));
    Ok(token)
}

/// SIGHUP. Without a listener it would end the process.
///
/// # Errors
/// When the system does not let us handle signals.
pub fn hangups() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}

async fn watch(mut interrupt: Signal, mut terminate: Signal, token: CancellationToken) {
    let exit_code = next(&mut interrupt, &mut terminate).await;
    tracing::info!(
        signal = if exit_code == SIGINT_EXIT {
            "SIGINT"
        } else {
            "SIGTERM"
        },
        "shutting down; a second signal exits at once"
    );
    token.cancel();
    let exit_code = next(&mut interrupt, &mut terminate).await;
    tracing::warn!(
        "exiting at once after a second signal; the leases of unfinished tasks will expire"
    );
    std::process::exit(exit_code);
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) -> i32 {
    tokio::select! {
        _ = interrupt.recv() => SIGINT_EXIT,
        _ = terminate.recv() => SIGTERM_EXIT,
    }
}

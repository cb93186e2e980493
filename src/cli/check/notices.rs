//! Trying the receiver of notices: whether it can be reached. No notice is sent.

use std::time::Duration;

use super::table::Finding;
use crate::cause::chain;
use crate::config::Worker;

pub(super) async fn check(worker: &Worker, limit: Duration) -> Finding {
    const NAME: &str = "notices";
    let Some(endpoint) = &worker.notices.0 else {
        return Finding::note(
            NAME,
            "not configured: NOTIFY_WEBHOOK_URL is not set",
            "Set it with NOTIFY_WEBHOOK_SECRET if another program must learn when an erasure has ended.",
        );
    };
    match endpoint.reach(limit).await {
        Ok(()) => Finding::works(NAME, format!("{} answers", endpoint.host())),
        Err(error) => Finding::wrong(
            NAME,
            format!("{} cannot be reached: {}", endpoint.host(), chain(&error)),
            "See whether the receiver runs and its certificate is valid. Until then notices wait in lethe.notices.",
        ),
    }
}

//! Warnings about requests and connections that were refused. In a flood there are thousands a second, so each kind is
//! logged once a second at most, with its number.

use std::{net::IpAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::sleep;

/// The time between two lines about one kind of refusal.
const WINDOW: Duration = Duration::from_secs(1);

/// Of what there were too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Requests,
    Bodies,
    Answers,
    Connections,
}

impl Refusal {
    const ALL: [Self; 4] = [
        Self::Requests,
        Self::Bodies,
        Self::Answers,
        Self::Connections,
    ];

    fn message(self) -> &'static str {
        match self {
            Self::Requests => {
                "answered with 503: too many requests of this class, or of one client, are under way"
            }
            Self::Bodies => "answered with 503: too many request bodies are on their way",
            Self::Answers => "answered with 503: too many answers wait to be read",
            Self::Connections => {
                "closed a connection for a new one: too many are open, or too many of one client"
            }
        }
    }
}

/// The log of refusals of one server.
#[derive(Default)]
pub(super) struct RefusalLog {
    /// For each kind, the refusals that were not logged yet. `None` if no line was logged within the last second.
    waiting: Mutex<[Option<u64>; Refusal::ALL.len()]>,
}

impl RefusalLog {
    /// Logs a refusal at once if it is the first of its kind for a second. Else it is counted for the line at the end of
    /// that second.
    pub(super) fn note(self: &Arc<Self>, refusal: Refusal, client: IpAddr) {
        let mut waiting = self.waiting.lock();
        let count = &mut waiting[refusal as usize];
        match count {
            Some(count) => *count += 1,
            None => {
                *count = Some(0);
                tracing::warn!(%client, count = 1, "{}", refusal.message());
                tokio::spawn(Arc::clone(self).end_windows(refusal));
            }
        }
    }

    /// Logs what was counted in each second, until there was nothing in one.
    async fn end_windows(self: Arc<Self>, refusal: Refusal) {
        loop {
            sleep(WINDOW).await;
            let mut waiting = self.waiting.lock();
            let count = &mut waiting[refusal as usize];
            match count.take() {
                None | Some(0) => return,
                Some(counted) => {
                    *count = Some(0);
                    tracing::warn!(count = counted, "{}", refusal.message());
                }
            }
        }
    }
}

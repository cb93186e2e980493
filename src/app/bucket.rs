//! Whether the bucket has answered a worker once. Without this, a worker with a wrong endpoint or wrong credentials
//! would be ready until its first task.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::pauses::Pauses;
use crate::storage::Store;
use crate::telemetry::metrics::Metrics;
use crate::vocabulary::S3Outcome;

/// Pauses between two questions to a bucket that does not answer.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Whether a request to the bucket was answered as it should be, since the process started.
pub struct FirstAnswer {
    has_come: AtomicBool,
    metrics: Arc<Metrics>,
}

impl FirstAnswer {
    /// Asks until the bucket answers, or until `shutdown`.
    pub fn await_from(
        store: Store,
        metrics: Arc<Metrics>,
        shutdown: CancellationToken,
    ) -> Arc<Self> {
        let first = Arc::new(Self {
            has_come: AtomicBool::new(false),
            metrics,
        });
        let asking = Arc::clone(&first);
        tokio::spawn(async move { shutdown.run_until_cancelled(asking.ask(&store)).await });
        first
    }

    /// A deletion that was answered counts too: the credentials may lack the right to ask for the bucket itself.
    pub fn has_come(&self) -> bool {
        self.has_come.load(Ordering::Relaxed)
            || self.metrics.s3_requests.of(S3Outcome::Ok).get() > 0
    }

    async fn ask(&self, store: &Store) {
        let mut pauses = Pauses::new(FIRST_PAUSE, MAX_PAUSE);
        let mut said = String::new();
        loop {
            let answer = store.probe_bucket().await;
            if answer.ok {
                self.has_come.store(true, Ordering::Relaxed);
                return;
            }
            if answer.detail != said {
                tracing::warn!(
                    bucket = store.bucket(),
                    error = answer.detail,
                    remedy = answer.remedy,
                    "not ready: the bucket does not answer as it should; asking again until it does"
                );
                said = answer.detail;
            }
            sleep(pauses.next_pause()).await;
        }
    }
}

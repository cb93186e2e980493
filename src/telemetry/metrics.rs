//! The metrics of one process, under the names that dashboards rely on.

use std::sync::Arc;

use prometheus::{Histogram, HistogramOpts, IntCounter, Registry, TextEncoder};

use super::database_gauges::DatabaseGauges;
use super::families::{CounterFamily, register};
use crate::vocabulary::{
    EntityType, ReconcileSource, S3Outcome, SettleOutcome, TableName, TaskKind, WakeSource,
    WebhookOutcome,
};

/// Seconds: from a fast local answer to the end of an operation's time.
const REQUEST_BUCKETS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
];
/// Seconds: from a wake-up at once to a day's backlog.
const WAIT_BUCKETS: [f64; 12] = [
    0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 86400.0,
];

/// All metrics of one process. Never global, so that each test has its own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub tasks_settled: CounterFamily<(TaskKind, SettleOutcome)>,
    pub objects_deleted: IntCounter,
    pub rows_deleted: CounterFamily<TableName>,
    pub s3_requests: CounterFamily<S3Outcome>,
    pub s3_request_duration: Histogram,
    pub claim_duration: Histogram,
    pub wakeups: CounterFamily<WakeSource>,
    pub webhook_events: CounterFamily<WebhookOutcome>,
    pub task_wait: Histogram,
    pub reconciled: CounterFamily<(ReconcileSource, EntityType)>,
    pub(super) database: DatabaseGauges,
}

impl Metrics {
    /// # Errors
    /// If two metrics had one name, which would be a fault of this file.
    pub fn new() -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        Ok(Arc::new(Self {
            tasks_settled: CounterFamily::register(
                &registry,
                "lethe_tasks_settled_total",
                "Tasks that this process settled.",
            )?,
            objects_deleted: register(
                &registry,
                IntCounter::new(
                    "lethe_objects_deleted_total",
                    "Objects that the store confirmed to be gone.",
                )?,
            )?,
            rows_deleted: CounterFamily::register(
                &registry,
                "lethe_rows_deleted_total",
                "Rows removed for good.",
            )?,
            s3_requests: CounterFamily::register(
                &registry,
                "lethe_s3_requests_total",
                "Requests to the object store.",
            )?,
            s3_request_duration: histogram(
                &registry,
                "lethe_s3_request_duration_seconds",
                "Duration of a request to the object store, with its retries.",
                &REQUEST_BUCKETS,
            )?,
            claim_duration: histogram(
                &registry,
                "lethe_claim_duration_seconds",
                "Duration of a claim.",
                &REQUEST_BUCKETS,
            )?,
            wakeups: CounterFamily::register(
                &registry,
                "lethe_wakeups_total",
                "What woke the worker.",
            )?,
            webhook_events: CounterFamily::register(
                &registry,
                "lethe_webhook_events_total",
                "Deliveries of Clerk's webhook.",
            )?,
            task_wait: histogram(
                &registry,
                "lethe_task_wait_seconds",
                "From a task's due time to its claim.",
                &WAIT_BUCKETS,
            )?,
            reconciled: CounterFamily::register(
                &registry,
                "lethe_reconciled_total",
                "Deletions that this process asked for because there was no task.",
            )?,
            database: DatabaseGauges::new()?,
            registry,
        }))
    }

    /// The text format of Prometheus. What is read from the database is left out unless the database `is_up`.
    ///
    /// # Errors
    /// If a metric cannot be written, which would be a fault of this file.
    pub fn render(&self, is_up: bool) -> Result<String, prometheus::Error> {
        let mut families = self.registry.gather();
        for registry in self.database.shown(is_up) {
            families.extend(registry.gather());
        }
        TextEncoder::new().encode_to_string(&families)
    }
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    buckets: &[f64],
) -> Result<Histogram, prometheus::Error> {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    register(registry, Histogram::with_opts(options)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_value_is_shown_from_the_start() {
        let text = Metrics::new().unwrap().render(false).unwrap();
        let mut expected = Vec::new();
        for kind in TaskKind::ALL {
            for outcome in SettleOutcome::ALL {
                expected.push(format!(
                    "lethe_tasks_settled_total{{kind=\"{kind}\",outcome=\"{outcome}\"}} 0"
                ));
            }
        }
        for (source, entity_type) in [("database", "sample-image"), ("clerk", "user")] {
            expected.push(format!(
                "lethe_reconciled_total{{entity_type=\"{entity_type}\",source=\"{source}\"}} 0"
            ));
        }
        for outcome in S3Outcome::ALL {
            expected.push(format!(
                "lethe_s3_requests_total{{outcome=\"{outcome}\"}} 0"
            ));
        }
        for table in TableName::ALL {
            expected.push(format!("lethe_rows_deleted_total{{table=\"{table}\"}} 0"));
        }
        for source in WakeSource::ALL {
            expected.push(format!("lethe_wakeups_total{{source=\"{source}\"}} 0"));
        }
        for outcome in WebhookOutcome::ALL {
            expected.push(format!(
                "lethe_webhook_events_total{{outcome=\"{outcome}\"}} 0"
            ));
        }
        for line in expected {
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("continued"), "{text}");
    }
}

//! The counters and gauges of one process, under the names that dashboards rely on.

use std::sync::Arc;

use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGaugeVec, Opts,
    Registry, TextEncoder, core::Collector,
};

/// Every status that a task can have; each is always shown.
pub const STATUSES: [&str; 6] = [
    "pending",
    "running",
    "failed",
    "completed",
    "dead",
    "cancelled",
];
const KINDS: [&str; 3] = ["sample-delete", "user-delete", "user-delete-part"];
const TASK_OUTCOMES: [&str; 5] = ["completed", "continued", "failed", "dead", "released"];
const TABLES: [&str; 4] = ["users", "collections", "samples", "sample_images"];
const S3_OUTCOMES: [&str; 6] = [
    "ok",
    "transient",
    "throttle",
    "outage",
    "blocked",
    "permanent",
];
/// What reconciliation compares with, and what it can ask the deletion of.
const RECONCILED: &[(&str, &[&str])] = &[("database", &["user", "sample"]), ("clerk", &["user"])];
const WAKE_SOURCES: [&str; 2] = ["notify", "poll"];
const WEBHOOK_OUTCOMES: [&str; 7] = [
    "accepted",
    "repeated",
    "conflict",
    "ignored",
    "missing-user",
    "rejected",
    "unavailable",
];

/// Seconds: from a fast local answer to the end of an operation's time.
const REQUEST_BUCKETS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
];
/// Seconds: from a wake-up at once to a day's backlog.
const WAIT_BUCKETS: [f64; 12] = [
    0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 86400.0,
];

/// All metrics of one process. Cheap to share; never global, so that tests have their own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub tasks: IntGaugeVec,
    pub oldest_due: Gauge,
    pub oldest_erasure: Gauge,
    pub tasks_settled: IntCounterVec,
    pub objects_deleted: IntCounter,
    pub rows_deleted: IntCounterVec,
    pub s3_requests: IntCounterVec,
    pub s3_request_duration: Histogram,
    pub claim_duration: Histogram,
    pub wakeups: IntCounterVec,
    pub webhook_events: IntCounterVec,
    pub task_wait: Histogram,
    pub reconciled: IntCounterVec,
    pub reconcile_stopped: IntGaugeVec,
    pub reconcile_failed: IntGaugeVec,
}

impl Metrics {
    /// Every label value that is known beforehand is there from the start, at 0.
    ///
    /// # Errors
    /// If two metrics had one name, which would be a fault of this file.
    pub fn new() -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        let metrics = Self {
            tasks: add(
                &registry,
                IntGaugeVec::new(
                    Opts::new("lethe_tasks", "Tasks in the database, by status."),
                    &["status"],
                )?,
            )?,
            oldest_due: add(
                &registry,
                Gauge::new(
                    "lethe_oldest_due_task_age_seconds",
                    "For how long the oldest task that nobody works on has been due.",
                )?,
            )?,
            oldest_erasure: add(
                &registry,
                Gauge::new(
                    "lethe_oldest_unfinished_erasure_age_seconds",
                    "How long ago the oldest unfinished erasure of a user was asked for.",
                )?,
            )?,
            tasks_settled: counters(
                &registry,
                "lethe_tasks_settled_total",
                "Tasks that this process settled.",
                &["kind", "outcome"],
            )?,
            objects_deleted: add(
                &registry,
                IntCounter::new(
                    "lethe_objects_deleted_total",
                    "Objects that the store confirmed to be gone.",
                )?,
            )?,
            rows_deleted: counters(
                &registry,
                "lethe_rows_deleted_total",
                "Rows removed for good.",
                &["table"],
            )?,
            s3_requests: counters(
                &registry,
                "lethe_s3_requests_total",
                "Requests to the object store.",
                &["outcome"],
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
            wakeups: counters(
                &registry,
                "lethe_wakeups_total",
                "What woke the worker.",
                &["source"],
            )?,
            webhook_events: counters(
                &registry,
                "lethe_webhook_events_total",
                "Deliveries of Clerk's webhook.",
                &["outcome"],
            )?,
            task_wait: histogram(
                &registry,
                "lethe_task_wait_seconds",
                "From a task's due time to its claim.",
                &WAIT_BUCKETS,
            )?,
            reconciled: counters(
                &registry,
                "lethe_reconciled_total",
                "Deletions that this process asked for because there was no task.",
                &["source", "entity_type"],
            )?,
            reconcile_stopped: gauges(
                &registry,
                "lethe_reconcile_stopped",
                "1 while the last reconciliation took nothing, because it would have taken too many users.",
                &["source"],
            )?,
            reconcile_failed: gauges(
                &registry,
                "lethe_reconcile_failed",
                "1 while the last reconciliation did not come to its end.",
                &["source"],
            )?,
            registry,
        };
        metrics.start_at_zero();
        Ok(Arc::new(metrics))
    }

    fn start_at_zero(&self) {
        for status in STATUSES {
            self.tasks.with_label_values(&[status]);
        }
        for kind in KINDS {
            for outcome in TASK_OUTCOMES {
                self.tasks_settled.with_label_values(&[kind, outcome]);
            }
        }
        for (source, entity_types) in RECONCILED {
            for entity_type in *entity_types {
                self.reconciled.with_label_values(&[*source, *entity_type]);
            }
            self.reconcile_stopped.with_label_values(&[*source]);
            self.reconcile_failed.with_label_values(&[*source]);
        }
        for (family, values) in [
            (&self.rows_deleted, &TABLES[..]),
            (&self.s3_requests, &S3_OUTCOMES),
            (&self.wakeups, &WAKE_SOURCES),
            (&self.webhook_events, &WEBHOOK_OUTCOMES),
        ] {
            for value in values {
                family.with_label_values(&[*value]);
            }
        }
    }

    /// The text format of Prometheus.
    ///
    /// # Errors
    /// If a metric cannot be written, which would be a fault of this file.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

fn add<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    add(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
}

fn gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntGaugeVec, prometheus::Error> {
    add(registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    buckets: &[f64],
) -> Result<Histogram, prometheus::Error> {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    add(registry, Histogram::with_opts(options)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_shown_from_the_start() {
        let text = Metrics::new().unwrap().render().unwrap();
        for status in STATUSES {
            let line = format!("lethe_tasks{{status=\"{status}\"}} 0");
            assert!(text.contains(&line), "{line}");
        }
        assert!(text.contains("lethe_wakeups_total{source=\"notify\"} 0"));
    }
}

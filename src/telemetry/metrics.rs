//! The metrics of one process, under the names that dashboards rely on.

use std::sync::Arc;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge, Opts, Registry, TextEncoder};

use super::database_gauges::DatabaseGauges;
use super::families::{CounterFamily, Reconciled, RowsDeleted, register};
use super::http_metrics::HttpMetrics;
use super::worker_gauges::WorkerGauges;
use crate::vocabulary::{
    AuthFailure, NoticeOutcome, S3Outcome, SettleOutcome, TaskKind, WakeSource, WebhookOutcome,
    WorkerProblem,
};

/// Seconds: from a fast local answer to the end of an operation's time.
const REQUEST_BUCKETS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
];
/// Seconds: a claim takes some 3 ms, and a second at most.
const CLAIM_BUCKETS: [f64; 11] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
];
/// Seconds: from a wake-up at once to a day's backlog.
const WAIT_BUCKETS: [f64; 14] = [
    0.001, 0.0025, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 86400.0,
];

/// All metrics of one process. Never global, so that each test has its own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub tasks_settled: CounterFamily<(TaskKind, SettleOutcome)>,
    pub objects_deleted: IntCounter,
    pub rows_deleted: RowsDeleted,
    pub s3_requests: CounterFamily<S3Outcome>,
    pub s3_request_duration: Histogram,
    pub claim_duration: Histogram,
    pub wakeups: CounterFamily<WakeSource>,
    pub webhook_events: CounterFamily<WebhookOutcome>,
    pub auth_failures: CounterFamily<AuthFailure>,
    pub notice_attempts: CounterFamily<NoticeOutcome>,
    pub http: HttpMetrics,
    pub task_wait: Histogram,
    pub reconciled: Reconciled,
    pub(super) database: DatabaseGauges,
    worker: WorkerGauges,
}

impl Metrics {
    /// # Errors
    /// If two metrics had one name, which would be a fault of this file.
    pub fn new() -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        register_build_info(&registry)?;
        #[cfg(target_os = "linux")]
        registry.register(Box::new(
            prometheus::process_collector::ProcessCollector::for_self(),
        ))?;
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
            rows_deleted: RowsDeleted::register(&registry)?,
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
                &CLAIM_BUCKETS,
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
            auth_failures: CounterFamily::register(
                &registry,
                "lethe_auth_failures_total",
                "Requests whose credentials were refused.",
            )?,
            notice_attempts: CounterFamily::register(
                &registry,
                "lethe_notice_attempts_total",
                "Deliveries of notices that this process tried.",
            )?,
            http: HttpMetrics::register(&registry)?,
            task_wait: histogram(
                &registry,
                "lethe_task_wait_seconds",
                "From a task's due time to its claim.",
                &WAIT_BUCKETS,
            )?,
            reconciled: Reconciled::register(
                &registry,
                "lethe_reconciled_total",
                "Deletions that this process asked for because there was no task.",
            )?,
            database: DatabaseGauges::new()?,
            worker: WorkerGauges::new()?,
            registry,
        }))
    }

    /// Shows whether the worker's connection for LISTEN is there.
    pub fn set_listen_connected(&self, is_connected: bool) {
        self.worker.set_listen_connected(is_connected);
    }

    /// Shows why the worker does no work, or that it does.
    pub fn set_worker_problem(&self, problem: Option<WorkerProblem>) {
        self.worker.set_problem(problem);
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
        families.extend(self.worker.gather());
        TextEncoder::new().encode_to_string(&families)
    }
}

/// Always 1; the label says what runs.
fn register_build_info(registry: &Registry) -> Result<(), prometheus::Error> {
    let options = Opts::new("lethe_build_info", "1. The label says which version runs.")
        .const_label("version", env!("CARGO_PKG_VERSION"));
    register(registry, IntGauge::with_opts(options)?).map(|gauge| gauge.set(1))
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
    use crate::vocabulary::TableName;

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
        for reason in AuthFailure::ALL {
            expected.push(format!(
                "lethe_auth_failures_total{{reason=\"{reason}\"}} 0"
            ));
        }
        let version = env!("CARGO_PKG_VERSION");
        expected.push(format!("lethe_build_info{{version=\"{version}\"}} 1"));
        expected.push("\nprocess_resident_memory_bytes ".to_owned());
        for line in expected {
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("continued"), "{text}");
    }

    #[test]
    fn only_a_worker_shows_whether_it_listens_and_what_keeps_it_from_work() {
        let metrics = Metrics::new().unwrap();
        let shown = || metrics.render(false).unwrap();
        assert!(!shown().contains("lethe_listen_connected"));
        assert!(!shown().contains("lethe_worker_problem"));
        for is_connected in [true, false] {
            metrics.set_listen_connected(is_connected);
            let line = format!("\nlethe_listen_connected {}\n", i32::from(is_connected));
            assert!(shown().contains(&line), "{}", shown());
        }
        for current in [Some(WorkerProblem::NoProgress), None] {
            metrics.set_worker_problem(current);
            for problem in WorkerProblem::ALL {
                let is_current = i32::from(Some(*problem) == current);
                let line =
                    format!("\nlethe_worker_problem{{problem=\"{problem}\"}} {is_current}\n");
                assert!(shown().contains(&line), "{line} is not in {}", shown());
            }
        }
    }

    #[test]
    fn requests_are_counted_by_operation_and_status() {
        let metrics = Metrics::new().unwrap();
        metrics
            .http
            .answered("getStats", 200, std::time::Duration::from_millis(2));
        metrics.http.refused("other", 503);
        let text = metrics.render(false).unwrap();
        for line in [
            "lethe_http_requests_total{operation=\"getStats\",status=\"200\"} 1",
            "lethe_http_requests_total{operation=\"other\",status=\"503\"} 1",
            "lethe_http_request_duration_seconds_bucket{operation=\"getStats\",le=\"0.0025\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}

//! The requests to the API, by operation. Operations stand in the routes, so their series begin with the first request.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use super::families::register;

/// Seconds: from an answer out of memory to the longest time that a request may take.
const DURATION_BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0,
];

/// What is counted of each request.
#[derive(Debug)]
pub struct HttpMetrics {
    requests: IntCounterVec,
    duration: HistogramVec,
}

impl HttpMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = Opts::new(
            "lethe_http_requests_total",
            "Answered requests, by operation of the OpenAPI document and by status. The operation `other` is a path \
             that the document does not have, or a request that was refused before its path was looked at.",
        );
        let duration = HistogramOpts::new(
            "lethe_http_request_duration_seconds",
            "From the head of a request to the head of its answer, by operation.",
        );
        Ok(Self {
            requests: register(
                registry,
                IntCounterVec::new(requests, &["operation", "status"])?,
            )?,
            duration: register(
                registry,
                HistogramVec::new(duration.buckets(DURATION_BUCKETS.to_vec()), &["operation"])?,
            )?,
        })
    }

    /// Counts an answered request.
    pub fn answered(&self, operation: &str, status: u16, duration: Duration) {
        self.refused(operation, status);
        self.duration
            .with_label_values(&[operation])
            .observe(duration.as_secs_f64());
    }

    /// Counts a request that was refused at once.
    pub fn refused(&self, operation: &str, status: u16) {
        self.requests
            .with_label_values(&[operation, &status.to_string()])
            .inc();
    }
}

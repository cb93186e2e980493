//! What only a worker shows of itself.

use std::sync::atomic::{AtomicBool, Ordering};

use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Registry};

use super::families::{GaugeFamily, register};
use crate::vocabulary::WorkerProblem;

/// Gauges of a worker. They are shown only once one of them was set, so a process without a worker does not show them.
#[derive(Debug)]
pub(super) struct WorkerGauges {
    registry: Registry,
    listen_connected: IntGauge,
    problem: GaugeFamily<WorkerProblem>,
    is_shown: AtomicBool,
}

impl WorkerGauges {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let listen_connected = IntGauge::new(
            "lethe_listen_connected",
            "1 while the worker listens for notifications. While it is 0, only the poll finds tasks.",
        )?;
        Ok(Self {
            listen_connected: register(&registry, listen_connected)?,
            problem: GaugeFamily::register(
                &registry,
                "lethe_worker_problem",
                "1 for the reason why the worker does no work. All are 0 while it works.",
            )?,
            registry,
            is_shown: AtomicBool::new(false),
        })
    }

    pub(super) fn set_listen_connected(&self, is_connected: bool) {
        self.listen_connected.set(i64::from(is_connected));
        self.is_shown.store(true, Ordering::Relaxed);
    }

    pub(super) fn set_problem(&self, current: Option<WorkerProblem>) {
        for problem in WorkerProblem::ALL {
            let is_current = current == Some(*problem);
            self.problem.of(*problem).set(i64::from(is_current));
        }
        self.is_shown.store(true, Ordering::Relaxed);
    }

    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        if self.is_shown.load(Ordering::Relaxed) {
            self.registry.gather()
        } else {
            Vec::new()
        }
    }
}

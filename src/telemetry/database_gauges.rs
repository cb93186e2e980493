//! The gauges whose values come from the database. Those that were not read are left out of `/metrics`, because
//! neither 0 nor the last value would be true.

use std::sync::atomic::{AtomicBool, Ordering};

use prometheus::{Gauge, IntGauge, Registry};

use super::families::{GaugeFamily, register};
use crate::vocabulary::{ReconcileSource, TaskStatus};

/// All of them.
#[derive(Debug)]
pub(super) struct DatabaseGauges {
    registry: Registry,
    is_up: IntGauge,
    pub(super) queue: QueueGauges,
    pub(super) reconciliations: ReconcileGauges,
    pub(super) safety: SafetyGauges,
    pub(super) notices: NoticeGauges,
}

impl DatabaseGauges {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let is_up = IntGauge::new(
            "lethe_database_up",
            "1 if the database answered this process within a second, else 0. While it is 0, the metrics that \
             are read from the database are left out.",
        )?;
        Ok(Self {
            is_up: register(&registry, is_up)?,
            registry,
            queue: QueueGauges::new()?,
            reconciliations: ReconcileGauges::new()?,
            safety: SafetyGauges::new()?,
            notices: NoticeGauges::new()?,
        })
    }

    /// What can be shown while the database answers, or does not.
    pub(super) fn shown(&self, is_up: bool) -> Vec<&Registry> {
        self.is_up.set(i64::from(is_up));
        let mut shown = vec![&self.registry];
        for (registry, is_read) in [
            (&self.queue.registry, &self.queue.is_read),
            (
                &self.reconciliations.registry,
                &self.reconciliations.is_read,
            ),
            (&self.safety.registry, &self.safety.is_read),
            (&self.notices.registry, &self.notices.is_read),
        ] {
            if is_up && is_read.load(Ordering::Relaxed) {
                shown.push(registry);
            }
        }
        shown
    }
}

#[derive(Debug)]
pub(super) struct QueueGauges {
    registry: Registry,
    pub(super) is_read: AtomicBool,
    pub(super) tasks: GaugeFamily<TaskStatus>,
    pub(super) oldest_due: Gauge,
    pub(super) oldest_erasure: Gauge,
}

#[derive(Debug)]
pub(super) struct ReconcileGauges {
    registry: Registry,
    pub(super) is_read: AtomicBool,
    pub(super) stopped: GaugeFamily<ReconcileSource>,
    pub(super) failed: GaugeFamily<ReconcileSource>,
}

#[derive(Debug)]
pub(super) struct SafetyGauges {
    registry: Registry,
    pub(super) is_read: AtomicBool,
    pub(super) paused: IntGauge,
    pub(super) held: IntGauge,
    pub(super) map_incomplete: IntGauge,
}

impl SafetyGauges {
    fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let gauge = |name, help| register(&registry, IntGauge::new(name, help)?);
        Ok(Self {
            is_read: AtomicBool::new(false),
            paused: gauge(
                "lethe_paused",
                "1 while claiming is paused: no worker begins a task.",
            )?,
            held: gauge(
                "lethe_erasures_held",
                "Erasures above ERASURE_LIMIT_PER_HOUR, which wait for a person to release or cancel them.",
            )?,
            map_incomplete: gauge(
                "lethe_map_incomplete",
                "1 if the applied erasure map does not speak of every reference; then no receipt is complete.",
            )?,
            registry,
        })
    }
}

impl QueueGauges {
    fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let gauge = |name, help| register(&registry, Gauge::new(name, help)?);
        Ok(Self {
            is_read: AtomicBool::new(false),
            tasks: GaugeFamily::register(
                &registry,
                "lethe_tasks",
                "Tasks in the database, by status.",
            )?,
            oldest_due: gauge(
                "lethe_oldest_due_task_age_seconds",
                "For how long the oldest task that nobody works on has been due.",
            )?,
            oldest_erasure: gauge(
                "lethe_oldest_unfinished_erasure_age_seconds",
                "How long ago the oldest unfinished erasure of a user was asked for.",
            )?,
            registry,
        })
    }
}

impl ReconcileGauges {
    fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        Ok(Self {
            is_read: AtomicBool::new(false),
            stopped: GaugeFamily::register(
                &registry,
                "lethe_reconcile_stopped",
                "1 while the last reconciliation took nothing, because it would have taken too many users.",
            )?,
            failed: GaugeFamily::register(
                &registry,
                "lethe_reconcile_failed",
                "1 while the last reconciliation did not come to its end.",
            )?,
            registry,
        })
    }
}

#[derive(Debug)]
pub(super) struct NoticeGauges {
    registry: Registry,
    pub(super) is_read: AtomicBool,
    pub(super) waiting: IntGauge,
    pub(super) given_up: IntGauge,
    pub(super) disabled: IntGauge,
    pub(super) oldest: Gauge,
}

impl NoticeGauges {
    fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let gauge = |name, help| register(&registry, IntGauge::new(name, help)?);
        Ok(Self {
            is_read: AtomicBool::new(false),
            waiting: gauge(
                "lethe_notices_waiting",
                "Notices that are not delivered yet.",
            )?,
            given_up: gauge(
                "lethe_notices_given_up",
                "Notices that failed at their last attempt.",
            )?,
            disabled: gauge(
                "lethe_notices_disabled",
                "1 while the receiver of notices is gone (410).",
            )?,
            oldest: register(
                &registry,
                Gauge::new(
                    "lethe_oldest_waiting_notice_age_seconds",
                    "How long ago the oldest notice that is not delivered was written.",
                )?,
            )?,
            registry,
        })
    }
}

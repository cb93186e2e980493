//! Families of time series whose labels are enums of the vocabulary. Every series exists from the start, at
//! 0, so that `rate()` sees the first event, and no series can have a label value outside the enum.

use std::marker::PhantomData;

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::vocabulary::{
    AuthFailure, EntityType, NoticeOutcome, ReconcileSource, S3Outcome, SettleOutcome, TableName,
    TaskKind, TaskStatus, WakeSource, WebhookOutcome, WorkerProblem,
};

/// The labels of one series.
pub trait Labels: Copy {
    /// The names of the labels.
    const NAMES: &'static [&'static str];

    /// Every combination of values that a series can have.
    fn all() -> Vec<Self>;

    /// The values, in the order of the names.
    fn values(self) -> Vec<&'static str>;
}

macro_rules! label {
    ($($name:ident: $label:literal),+ $(,)?) => {
        $(impl Labels for $name {
            const NAMES: &'static [&'static str] = &[$label];

            fn all() -> Vec<Self> {
                Self::ALL.to_vec()
            }

            fn values(self) -> Vec<&'static str> {
                vec![self.as_str()]
            }
        })+
    };
}

macro_rules! pair_of_labels {
    ($(($first:ident, $second:ident): $names:expr),+ $(,)?) => {
        $(impl Labels for ($first, $second) {
            const NAMES: &'static [&'static str] = &$names;

            fn all() -> Vec<Self> {
                $first::ALL
                    .iter()
                    .flat_map(|first| $second::ALL.iter().map(|second| (*first, *second)))
                    .collect()
            }

            fn values(self) -> Vec<&'static str> {
                vec![self.0.as_str(), self.1.as_str()]
            }
        })+
    };
}

label! {
    TaskStatus: "status",
    S3Outcome: "outcome",
    WakeSource: "source",
    WebhookOutcome: "outcome",
    ReconcileSource: "source",
    AuthFailure: "reason",
    NoticeOutcome: "outcome",
    WorkerProblem: "problem",
}

pair_of_labels! {
    (TaskKind, SettleOutcome): ["kind", "outcome"],
}

macro_rules! family {
    ($(#[$meta:meta])* $name:ident: $series:ty = $vector:ty) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub struct $name<L> {
            vector: $vector,
            labels: PhantomData<fn(L)>,
        }

        impl<L: Labels> $name<L> {
            pub(super) fn register(
                registry: &Registry,
                name: &str,
                help: &str,
            ) -> Result<Self, prometheus::Error> {
                let vector = register(registry, <$vector>::new(Opts::new(name, help), L::NAMES)?)?;
                for labels in L::all() {
                    vector.with_label_values(&labels.values());
                }
                Ok(Self { vector, labels: PhantomData })
            }

            /// The series with these labels.
            pub fn of(&self, labels: L) -> $series {
                self.vector.with_label_values(&labels.values())
            }
        }
    };
}

family! {
    /// A counter for each combination of labels.
    CounterFamily: IntCounter = IntCounterVec
}

family! {
    /// A gauge for each combination of labels.
    GaugeFamily: IntGauge = IntGaugeVec
}

/// `lethe_rows_deleted_total{table}`. The tables of a map of one's own are not known when the program is built, so their
/// series begin with the first row; their label is the type that the map gives them.
#[derive(Debug)]
pub struct RowsDeleted(IntCounterVec);

impl RowsDeleted {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = Opts::new("lethe_rows_deleted_total", "Rows removed for good.");
        let vector = register(registry, IntCounterVec::new(options, &["table"])?)?;
        for table in TableName::ALL {
            vector.with_label_values(&[table.as_str()]);
        }
        Ok(Self(vector))
    }

    /// Counts removed rows of a type.
    pub fn add(&self, of_type: &str, rows: u64) {
        let entity = EntityType::parse(of_type);
        let label = entity.map_or(of_type, |entity| TableName::of(entity).as_str());
        self.0.with_label_values(&[label]).inc_by(rows);
    }
}

/// `lethe_reconciled_total{source,entity_type}`, with the types of the built-in map from the start.
#[derive(Debug)]
pub struct Reconciled(IntCounterVec);

impl Reconciled {
    pub(super) fn register(
        registry: &Registry,
        name: &str,
        help: &str,
    ) -> Result<Self, prometheus::Error> {
        let options = Opts::new(name, help);
        let vector = IntCounterVec::new(options, &["source", "entity_type"])?;
        let vector = register(registry, vector)?;
        for source in ReconcileSource::ALL {
            for entity in EntityType::ALL {
                vector.with_label_values(&[source.as_str(), entity.as_str()]);
            }
        }
        Ok(Self(vector))
    }

    /// Counts rows of a type that reconciliation found without a task.
    pub fn add(&self, source: ReconcileSource, of_type: &str, rows: u64) {
        let labels = [source.as_str(), of_type];
        self.0.with_label_values(&labels).inc_by(rows);
    }
}

/// Registers one metric, and returns it.
pub(super) fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

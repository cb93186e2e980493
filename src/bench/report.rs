//! The figures of a run, as a table for people and as JSON for charts and comparisons.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

/// One measured figure.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Which case.
    pub case: &'static str,
    /// What was varied, such as `32 writers`.
    pub variant: String,
    /// The unit of `value` and `floor`.
    pub unit: &'static str,
    /// Lethe's figure.
    pub value: f64,
    /// The bare loop's figure in the same run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<f64>,
    /// What the floor is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor_is: Option<&'static str>,
    /// Largest memory of one worker, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_peak_rss: Option<u64>,
    /// More figures by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<(&'static str, f64)>,
    /// Seconds since the start and units per second, over the run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<(f64, f64)>,
}

impl Figure {
    /// A figure without a floor.
    pub fn new(
        case: &'static str,
        variant: impl Into<String>,
        unit: &'static str,
        value: f64,
    ) -> Self {
        Self {
            case,
            variant: variant.into(),
            unit,
            value,
            floor: None,
            floor_is: None,
            worker_peak_rss: None,
            more: Vec::new(),
            series: Vec::new(),
        }
    }

    /// With the bare loop's figure.
    pub fn floor(mut self, floor: f64, is: &'static str) -> Self {
        self.floor = Some(floor);
        self.floor_is = Some(is);
        self
    }

    /// In one line, as soon as it is known.
    pub fn line(&self) -> String {
        let floor = self.floor.map_or_else(String::new, |floor| {
            format!(" (floor {}, ratio {:.2})", short(floor), self.value / floor)
        });
        format!(
            "  {}, {}: {} {}{floor}",
            self.case,
            self.variant,
            short(self.value),
            self.unit
        )
    }

    /// With one more figure.
    pub fn with(mut self, name: &'static str, value: f64) -> Self {
        self.more.push((name, value));
        self
    }
}

/// A whole run.
#[derive(Debug, Serialize)]
pub struct BenchReport {
    /// This program's version.
    pub lethe: &'static str,
    /// The database server's version.
    pub postgres: String,
    /// Logical processors of the machine.
    pub processors: usize,
    /// `smoke`, `standard` or `full`.
    pub scale: String,
    /// When it began, RFC 3339.
    pub at: String,
    /// What was measured.
    pub figures: Vec<Figure>,
}

impl BenchReport {
    /// A table for the terminal.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(NOTHING).set_header([
            "case",
            "variant",
            "measured",
            "floor",
            "ratio",
            "unit",
            "worker MB",
            "more",
        ]);
        for figure in &self.figures {
            let more: Vec<String> = figure
                .more
                .iter()
                .map(|(name, value)| format!("{name} {}", short(*value)))
                .collect();
            table.add_row([
                figure.case.to_owned(),
                figure.variant.clone(),
                short(figure.value),
                figure.floor.map(short).unwrap_or_default(),
                figure
                    .floor
                    .map(|floor| format!("{:.2}", figure.value / floor))
                    .unwrap_or_default(),
                figure.unit.to_owned(),
                figure
                    .worker_peak_rss
                    .map(|bytes| (bytes / 1_000_000).to_string())
                    .unwrap_or_default(),
                more.join(", "),
            ]);
        }
        for column in [2, 3, 4, 6] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.to_string()
    }
}

/// Rounded to the three or four digits that matter.
pub fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// The value below which this part (0 to 1) of the sorted values lie.
pub fn quantile(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let at = (part * last as f64).round() as usize;
    sorted.get(at.min(last)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&values, 0.0), 1.0);
        assert_eq!(quantile(&values, 0.99), 99.0);
        assert_eq!(quantile(&values, 1.0), 100.0);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn the_table_has_ratios() {
        let report = BenchReport {
            lethe: "0",
            postgres: String::new(),
            processors: 2,
            scale: "smoke".to_owned(),
            at: String::new(),
            figures: vec![Figure::new("queue", "200", "tasks/s", 50.0).floor(100.0, "bare")],
        };
        assert!(report.table().contains("0.50"), "{}", report.table());
    }
}

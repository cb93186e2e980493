//! Polls a counter of all workers until it reaches a number.

use std::time::{Duration, Instant};

use anyhow::ensure;
use indicatif::ProgressBar;

use super::rig::Fleet;

/// The pause between two polls, each of which is a request to each worker.
const POLL: Duration = Duration::from_millis(100);
/// A counter that stands still for this long is a fault.
const STALL: Duration = Duration::from_secs(60);

/// How the counter grew.
pub struct Watched {
    /// The mean rate, from the first count to the last.
    pub per_second: f64,
    /// Seconds since the first count, and the rate since the poll before.
    pub series: Vec<(f64, f64)>,
}

impl Watched {
    /// The rates of the first and of the last tenth of the run.
    pub fn ends(&self) -> (f64, f64) {
        let tenth = (self.series.len() / 10).max(1);
        let mean = |part: &[(f64, f64)]| {
            part.iter().map(|(_, rate)| rate).sum::<f64>() / part.len().max(1) as f64
        };
        (
            mean(&self.series[..tenth.min(self.series.len())]),
            mean(&self.series[self.series.len().saturating_sub(tenth)..]),
        )
    }
}

/// Polls until the counters whose lines begin with `metric` add up to `total`.
pub async fn until(
    fleet: &Fleet,
    metric: &str,
    total: u64,
    bar: &ProgressBar,
) -> anyhow::Result<Watched> {
    let begun = Instant::now();
    bar.set_length(total);
    // Rates count from the first poll that sees anything: when the work before it began is not known.
    let mut seen: Vec<(f64, f64)> = Vec::new();
    let mut moved = Instant::now();
    loop {
        let count = fleet.counter(metric).await?;
        let now = begun.elapsed().as_secs_f64();
        bar.set_position(count as u64);
        if count > seen.last().map_or(0.0, |(_, before)| *before) {
            moved = Instant::now();
            seen.push((now, count));
        }
        ensure!(
            moved.elapsed() < STALL,
            "{metric} stands at {count} of {total}"
        );
        if count >= total as f64 {
            break;
        }
        tokio::time::sleep(POLL).await;
    }
    if seen.len() == 1 {
        // All was done before the first poll that saw anything, so the work before it counts too.
        seen.insert(0, (0.0, 0.0));
    }
    let rates = |pair: &[(f64, f64)]| (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0);
    let series = seen
        .windows(2)
        .map(|pair| (pair[1].0 - seen[0].0, rates(pair)))
        .collect();
    let whole = [seen[0], seen[seen.len() - 1]];
    Ok(Watched {
        per_second: rates(&whole),
        series,
    })
}

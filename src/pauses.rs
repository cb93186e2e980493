//! The growing pauses between tries of something that is away. The `backoff` crate computes them.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// Pauses that double from `first` to `longest` and never end.
#[derive(Debug)]
pub struct Pauses {
    backoff: ExponentialBackoff,
}

impl Pauses {
    /// The first pause is `first`, each further one twice the last, none longer than `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        let mut backoff = ExponentialBackoff {
            initial_interval: first,
            max_interval: longest,
            multiplier: 2.0,
            randomization_factor: 0.0,
            // Unset, tries would end after 15 minutes.
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        backoff.reset();
        Self { backoff }
    }

    /// The pause before the next try.
    pub fn next_pause(&mut self) -> Duration {
        self.backoff
            .next_backoff()
            .unwrap_or(self.backoff.max_interval)
    }

    /// A try succeeded: the next pause is the first one again.
    pub fn reset(&mut self) {
        self.backoff.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_again_after_a_success() {
        let mut pauses = Pauses::new(Duration::from_millis(100), Duration::from_millis(500));
        let next = |pauses: &mut Pauses| pauses.next_pause().as_millis();
        let first: Vec<u128> = (0..5).map(|_| next(&mut pauses)).collect();
        assert_eq!(first, [100, 200, 400, 500, 500]);
        pauses.reset();
        assert_eq!(next(&mut pauses), 100);
    }
}

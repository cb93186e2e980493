//! Computes when a failed task is tried again: exponential backoff with full jitter.

use std::time::Duration;

/// The bounds of the backoff.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The longest delay after the first failure.
    pub base: Duration,
    /// The longest delay after any failure.
    pub max: Duration,
}

impl Backoff {
    /// The delay after failed attempt number `attempt` (from 1), for a `fraction` drawn from 0 to 1:
    /// `fraction × min(max, base × 2^(attempt − 1))`, the "full jitter" of the AWS architecture blog's
    /// "Exponential Backoff And Jitter".
    #[must_use]
    pub fn delay(&self, attempt: i32, fraction: f64) -> Duration {
        let exponent = attempt.saturating_sub(1).clamp(0, 30).unsigned_abs();
        let ceiling = self.base.saturating_mul(1_u32 << exponent).min(self.max);
        ceiling.mul_f64(fraction.clamp(0.0, 1.0))
    }

    /// The same with a fraction of this thread's random generator.
    #[must_use]
    pub fn random_delay(&self, attempt: i32) -> Duration {
        self.delay(attempt, rand::random::<f64>())
    }
}

/// When a failed task is tried again, and after which attempt it is not tried any more.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// The delay before the next attempt.
    pub backoff: Backoff,
    /// A task that is refused at the attempt with this number is dead.
    pub max_attempts: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        base: Duration::from_secs(5),
        max: Duration::from_secs(3600),
    };

    #[test]
    fn the_ceiling_doubles_with_each_attempt() {
        let ceilings: Vec<u64> = (1..=4).map(|n| BACKOFF.delay(n, 1.0).as_secs()).collect();
        assert_eq!(ceilings, [5, 10, 20, 40]);
    }

    #[test]
    fn the_ceiling_stops_at_the_maximum_for_any_attempt() {
        assert_eq!(BACKOFF.delay(20, 1.0), Duration::from_secs(3600));
        assert_eq!(BACKOFF.delay(i32::MAX, 1.0), Duration::from_secs(3600));
        assert_eq!(BACKOFF.delay(i32::MIN, 1.0), Duration::from_secs(5));
    }

    #[test]
    fn the_jitter_reaches_from_nothing_to_the_ceiling() {
        assert_eq!(BACKOFF.delay(3, 0.0), Duration::ZERO);
        assert_eq!(BACKOFF.delay(3, 0.5), Duration::from_secs(10));
        assert!(BACKOFF.random_delay(3) <= Duration::from_secs(20));
    }
}

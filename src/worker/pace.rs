//! Limits the requests to the store: to this worker's share of `S3_DELETE_RATE`, and by AIMD (additive increase,
//! multiplicative decrease) when the store throttles.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// S3's limit for one DeleteObjects request.
pub const MAX_KEYS_PER_REQUEST: usize = 1_000;
/// AIMD never reduces the batch below `MIN_BATCH`, and adds `BATCH_STEP` after each answer that is no throttle.
const MIN_BATCH: usize = 10;
const BATCH_STEP: usize = 50;
/// The pause before a request is `FIRST_PAUSE` after the first throttle. Each further throttle doubles it, up to
/// `MAX_PAUSE`; each other answer shortens it by `FIRST_PAUSE`.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Pace {
    /// How many objects all workers together may delete per second.
    rate: Option<u32>,
    state: Mutex<PaceState>,
}

#[derive(Debug)]
struct PaceState {
    alive: u32,
    /// The number of objects that may be deleted without waiting. Negative after a request that was larger than that.
    tokens: f64,
    refilled: Instant,
    batch: usize,
    pause: Duration,
}

impl Pace {
    pub fn new(rate: Option<u32>) -> Self {
        let state = PaceState {
            alive: 1,
            tokens: 0.0,
            refilled: Instant::now(),
            batch: MAX_KEYS_PER_REQUEST,
            pause: Duration::ZERO,
        };
        Self {
            rate,
            state: Mutex::new(state),
        }
    }

    /// Divides the rate by this number of workers.
    pub fn share_among(&self, alive: i64) {
        self.state.lock().alive = u32::try_from(alive).unwrap_or(1).max(1);
    }

    /// The maximum number of keys in the next request. It is at most the number that the rate allows in one second.
    pub fn batch(&self) -> usize {
        let state = self.state.lock();
        let share = self
            .share(&state)
            .map_or(MAX_KEYS_PER_REQUEST, |share| share as usize);
        state.batch.min(share.max(1))
    }

    /// Waits until `keys` more objects may be deleted.
    pub async fn admit(&self, keys: usize) {
        let wait = self.reserve(keys, Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    fn reserve(&self, keys: usize, now: Instant) -> Duration {
        let mut state = self.state.lock();
        let Some(share) = self.share(&state) else {
            return state.pause;
        };
        let elapsed = now.saturating_duration_since(state.refilled).as_secs_f64();
        state.tokens = (state.tokens + elapsed * share).min(share);
        state.refilled = now;
        state.tokens -= keys as f64;
        let debt = Duration::from_secs_f64((-state.tokens / share).max(0.0));
        debt.max(state.pause)
    }

    /// Halves the batch and doubles the pause, because the store throttled.
    pub fn slow_down(&self) {
        let mut state = self.state.lock();
        state.batch = (state.batch / 2).max(MIN_BATCH);
        state.pause = (state.pause * 2).clamp(FIRST_PAUSE, MAX_PAUSE);
    }

    /// Enlarges the batch and shortens the pause a little, because the store answered without throttling.
    pub fn speed_up(&self) {
        let mut state = self.state.lock();
        state.batch = (state.batch + BATCH_STEP).min(MAX_KEYS_PER_REQUEST);
        state.pause = state.pause.saturating_sub(FIRST_PAUSE);
    }

    fn share(&self, state: &PaceState) -> Option<f64> {
        self.rate
            .map(|rate| f64::from(rate) / f64::from(state.alive))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_one_second_and_the_rate_is_shared() {
        let pace = Pace::new(Some(100));
        pace.share_among(2);
        assert_eq!(pace.batch(), 50);
        let start = Instant::now() + Duration::from_secs(10);
        assert_eq!(pace.reserve(50, start), Duration::ZERO);
        assert_eq!(pace.reserve(50, start), Duration::from_secs(1));
        assert_eq!(
            pace.reserve(50, start + Duration::from_secs(1)),
            Duration::from_secs(1)
        );
    }

    #[test]
    fn throttling_halves_and_answers_grow_back_slowly() {
        let pace = Pace::new(None);
        pace.slow_down();
        pace.slow_down();
        assert_eq!(pace.batch(), 250);
        assert_eq!(pace.reserve(1, Instant::now()), FIRST_PAUSE * 2);
        for _ in 0..20 {
            pace.slow_down();
        }
        assert_eq!(pace.batch(), MIN_BATCH);
        assert_eq!(pace.reserve(1, Instant::now()), MAX_PAUSE);
        for _ in 0..200 {
            pace.speed_up();
        }
        assert_eq!(pace.batch(), MAX_KEYS_PER_REQUEST);
        assert_eq!(pace.reserve(1, Instant::now()), Duration::ZERO);
    }
}

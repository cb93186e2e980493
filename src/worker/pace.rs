//! How fast the store is asked: this worker's share of `S3_DELETE_RATE`, and AIMD when the store says
//! that it is too much.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// S3's limit for one DeleteObjects request.
pub const MAX_KEYS_PER_REQUEST: usize = 1_000;
/// AIMD never goes below this batch, and grows by this much with each answer that is no throttle.
const MIN_BATCH: usize = 10;
const BATCH_STEP: usize = 50;
/// The pause before a request: after the first throttle, and at most. Throttles double it; each other answer
/// takes the first amount off again.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Pace {
    /// Objects per second of all workers together.
    rate: Option<u32>,
    state: Mutex<PaceState>,
}

#[derive(Debug)]
struct PaceState {
    alive: u32,
    /// What may be deleted at once; negative while a large request is paid off.
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

    /// The rate is shared by this many workers.
    pub fn share_among(&self, alive: i64) {
        self.state.lock().alive = u32::try_from(alive).unwrap_or(1).max(1);
    }

    /// Most keys of the next request: a burst is one second's worth.
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

    /// The store said that it is too much: half the batch, twice the pause.
    pub fn slow_down(&self) {
        let mut state = self.state.lock();
        state.batch = (state.batch / 2).max(MIN_BATCH);
        state.pause = (state.pause * 2).clamp(FIRST_PAUSE, MAX_PAUSE);
    }

    /// The store answered: a little more next time.
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

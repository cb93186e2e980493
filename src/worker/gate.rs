//! The pause during an outage of the store: look again with backoff, at least every 30 s.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pause: Duration,
    until: Option<Instant>,
}

impl Gate {
    /// The store is out. Of many jobs that find so at once, the first lengthens the pause.
    pub fn close(&self, now: Instant) {
        let mut state = self.lock();
        if state.until.is_some_and(|until| now < until) {
            return;
        }
        state.pause = (state.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        state.until = Some(now + state.pause);
    }

    /// The store answers. True if it was out before.
    pub fn open(&self) -> bool {
        std::mem::take(&mut *self.lock()).until.is_some()
    }

    /// How long to claim nothing yet.
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        self.lock()
            .until
            .and_then(|until| until.checked_duration_since(now))
            .filter(|d| !d.is_zero())
    }

    /// Whether the store was out when it was last asked: ask it for little.
    pub fn is_doubtful(&self) -> bool {
        self.lock().until.is_some()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_to_thirty_seconds_and_one_answer_ends_it() {
        let gate = Gate::default();
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            gate.close(now);
            gate.close(now);
            let pause = gate.remaining(now).unwrap_or_default();
            pauses.push(pause.as_millis());
            now += pause;
            assert_eq!(gate.remaining(now), None);
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        assert!(gate.is_doubtful());
        assert!(gate.open());
        assert!(!gate.open());
        assert!(!gate.is_doubtful());
    }
}

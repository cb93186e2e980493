//! Pauses the claims during an outage of the store, or while the database hides rows from this worker.
//! Work is tried again with backoff, at least every 30 s.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::pauses::Pauses;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Gate {
    state: Mutex<GateState>,
}

#[derive(Debug)]
struct GateState {
    pauses: Pauses,
    until: Option<Instant>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            state: Mutex::new(GateState {
                pauses: Pauses::new(FIRST_PAUSE, MAX_PAUSE),
                until: None,
            }),
        }
    }
}

impl Gate {
    /// Starts a pause. When several batches call it at once, only the first one lengthens the pause.
    pub fn close(&self, now: Instant) {
        let mut state = self.state.lock();
        if state.until.is_some_and(|until| now < until) {
            return;
        }
        let pause = state.pauses.next_pause();
        state.until = Some(now + pause);
    }

    /// Ends the pause, because the store answers. Returns whether the gate was closed before.
    pub fn open(&self) -> bool {
        let mut state = self.state.lock();
        let was_closed = state.until.take().is_some();
        if was_closed {
            state.pauses.reset();
        }
        was_closed
    }

    /// For how long no task may be claimed. None when tasks may be claimed now.
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        let until = self.state.lock().until?;
        until
            .checked_duration_since(now)
            .filter(|pause| !pause.is_zero())
    }

    /// Whether the store has not answered since the gate was closed. Then only a few tasks are claimed.
    pub fn is_doubtful(&self) -> bool {
        self.state.lock().until.is_some()
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

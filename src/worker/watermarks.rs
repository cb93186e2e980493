//! From which due time on a worker reads each lane of the queue.
//!
//! The index entries of tasks that ended stay until a vacuum removes them, and while a transaction elsewhere
//! holds a snapshot, none can. A claim from the lane's beginning would step over all of them; it starts where
//! the last one ended instead. What falls behind that mark (written by a transaction that was open for long,
//! or locked when a claim passed by) is found by a walk from the beginning, beside the claims, in every poll
//! interval; less often where dead entries make it dear.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::queue::Lane;
use crate::queue::claim::{Ask, Claim};
use crate::queue::due::Due;

/// When a claim came up short, the next looks back this far behind the mark: a task is due when its
/// transaction wrote it, and visible only when that commits.
const SLACK: chrono::Duration = chrono::Duration::seconds(2);
/// A walk that takes no longer is part of the look, which keeps the lease.
const CHEAP: Duration = Duration::from_millis(20);
/// Walks take one part in so many of a worker's time.
const REST_FACTOR: u32 = 50;
/// Where a walk looks from.
pub const BEGINNING: [DateTime<Utc>; 3] = [DateTime::UNIX_EPOCH; 3];
/// From here on nothing is due: the end of the year 9999.
const NOWHERE: [DateTime<Utc>; 3] = [DateTime::from_timestamp(253_402_300_799, 0).unwrap(); 3];

/// The marks of one worker.
#[derive(Debug, Default)]
pub struct Watermarks {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// None before the first walk.
    lanes: Option<[Mark; 3]>,
    /// When the last walk ended, and how long the database took for it.
    walk: Option<(Instant, Duration)>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Where the last claim of the lane ended, or what a look found due.
    at: DateTime<Utc>,
    /// Everything visible up to the mark was claimed.
    is_passed: bool,
}

impl Mark {
    fn from(self) -> DateTime<Utc> {
        if self.is_passed {
            self.at - SLACK
        } else {
            self.at
        }
    }
}

impl Watermarks {
    /// From where on to claim, by lane. None before the first walk.
    pub fn for_claim(&self) -> Option<[DateTime<Utc>; 3]> {
        self.lock().lanes.map(|lanes| lanes.map(Mark::from))
    }

    /// From where on to look at what is due: the beginning as long as that costs little, and nowhere
    /// before the first walk.
    pub fn for_look(&self) -> [DateTime<Utc>; 3] {
        let state = self.lock();
        match (state.lanes, state.walk) {
            (None, _) => NOWHERE,
            (Some(lanes), Some((_, took))) if took > CHEAP => lanes.map(Mark::from),
            (Some(_), _) => BEGINNING,
        }
    }

    /// Whether it is time for a walk beside the looks.
    pub fn walk_is_due(&self, now: Instant) -> bool {
        self.lock()
            .walk
            .is_some_and(|(ended, took)| took > CHEAP && now >= ended + took * REST_FACTOR)
    }

    /// Notes what a look found from `from` on, and how long it took if that was the beginning.
    pub fn looked(&self, from: [DateTime<Utc>; 3], due: &Due) {
        let mut state = self.lock();
        if from == BEGINNING {
            let took = Duration::try_from_secs_f64(due.took_seconds).unwrap_or_default();
            state.walk = Some((Instant::now(), took));
        } else if state.lanes.is_none() {
            return;
        }
        let nothing_due = Mark {
            at: due.now,
            is_passed: true,
        };
        let lanes = state.lanes.get_or_insert([nothing_due; 3]);
        for ((mark, first), from) in lanes.iter_mut().zip(&due.first).zip(from) {
            *mark = match first {
                // Unless the mark was brought back meanwhile.
                None if from <= mark.from() && mark.at < due.now => nothing_due,
                Some(first) if *first < mark.from() => Mark {
                    at: *first,
                    is_passed: false,
                },
                _ => *mark,
            };
        }
    }

    /// A walk failed: the next is made when this much time is a small part again.
    pub fn walk_failed(&self, took: Duration) {
        self.lock().walk = Some((Instant::now(), took.max(CHEAP * 2)));
    }

    /// Moves the marks behind what was claimed.
    pub fn claimed(&self, claims: &[Claim], ask: &Ask) {
        let mut state = self.lock();
        let Some(lanes) = &mut state.lanes else {
            return;
        };
        let asked = ask.watermarks.into_iter().zip(ask.limits);
        for ((lane, mark), (from, limit)) in Lane::ALL.into_iter().zip(lanes).zip(asked) {
            // A look brought it back meanwhile.
            if mark.from() < from {
                continue;
            }
            let of_lane = claims.iter().filter(|claim| claim.lane == lane.number());
            let count = of_lane.clone().count();
            let last = of_lane.map(|claim| claim.scheduled_at).max();
            if count < limit as usize {
                *mark = Mark {
                    at: last.map_or(mark.at, |last| last.max(mark.at)),
                    is_passed: true,
                };
            } else if let Some(last) = last {
                *mark = Mark {
                    at: last,
                    is_passed: false,
                };
            }
        }
    }

    /// After an interruption the database may be another one: a walk comes before the next claim.
    pub fn forget(&self) {
        *self.lock() = State::default();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000 + seconds, 0).unwrap()
    }

    fn claim_of(lane: i16, due: DateTime<Utc>) -> Claim {
        Claim {
            id: 1,
            kind: "sample-delete".to_owned(),
            lane,
            entity_id: String::new(),
            user_id: String::new(),
            object_keys: Vec::new(),
            attempts: 1,
            lease_token: 1,
            scheduled_at: due,
            parent_id: None,
            waited_seconds: 0.0,
        }
    }

    fn due(first: [Option<i64>; 3], took: Duration) -> Due {
        Due {
            now: at(100),
            first: first.map(|seconds| seconds.map(at)).to_vec(),
            took_seconds: took.as_secs_f64(),
        }
    }

    /// A first walk that found these.
    fn walked(first: [Option<i64>; 3]) -> Watermarks {
        let marks = Watermarks::default();
        marks.looked(BEGINNING, &due(first, Duration::ZERO));
        marks
    }

    #[test]
    fn a_look_before_the_first_walk_looks_nowhere_and_says_nothing() {
        let marks = Watermarks::default();
        assert_eq!(marks.for_look(), NOWHERE);
        marks.looked(NOWHERE, &due([None; 3], Duration::ZERO));
        assert_eq!(marks.for_claim(), None);
    }

    #[test]
    fn claims_begin_where_the_first_walk_found_something() {
        let marks = walked([Some(5), None, None]);
        assert_eq!(marks.for_claim(), Some([at(5), at(98), at(98)]));
    }

    /// A claim from where the marks stand now.
    fn ask(marks: &Watermarks, limits: [u32; 3]) -> Ask {
        let watermarks = marks.for_claim().unwrap();
        Ask { limits, watermarks }
    }

    fn claim(marks: &Watermarks, due: &[i64], limits: [u32; 3]) {
        let claims: Vec<Claim> = due.iter().map(|due| claim_of(0, at(*due))).collect();
        marks.claimed(&claims, &ask(marks, limits));
    }

    #[test]
    fn a_full_claim_moves_its_lane_to_its_end_and_a_short_one_leaves_slack_behind_it() {
        let marks = walked([Some(5), None, None]);
        claim(&marks, &[5, 9], [2, 0, 1]);
        assert_eq!(marks.for_claim(), Some([at(9), at(98), at(98)]));
        claim(&marks, &[20], [2, 1, 1]);
        assert_eq!(marks.for_claim(), Some([at(18), at(98), at(98)]));
        // However often nothing comes, the slack stays the same.
        claim(&marks, &[], [2, 1, 1]);
        claim(&marks, &[], [2, 1, 1]);
        assert_eq!(marks.for_claim(), Some([at(18), at(98), at(98)]));
        // Within the slack more was due than one claim takes: the next goes on behind it.
        claim(&marks, &[18, 19], [2, 1, 1]);
        assert_eq!(marks.for_claim(), Some([at(19), at(98), at(98)]));
    }

    #[test]
    fn what_fell_behind_the_mark_brings_it_back() {
        let marks = walked([None; 3]);
        let in_flight = ask(&marks, [2, 1, 1]);
        let late = due([Some(40), Some(99), None], Duration::ZERO);
        marks.looked(marks.for_look(), &late);
        // What was asked before this says nothing of it.
        marks.looked([at(98); 3], &due([None; 3], Duration::ZERO));
        marks.claimed(&[claim_of(0, at(98)), claim_of(0, at(99))], &in_flight);
        assert_eq!(marks.for_claim(), Some([at(40), at(98), at(98)]));
        claim(&marks, &[40], [2, 1, 1]);
        // Where nothing is due any more, the next claim steps over nothing again.
        marks.looked(marks.for_look(), &due([None; 3], Duration::ZERO));
        assert_eq!(marks.for_claim(), Some([at(98); 3]));
    }

    #[test]
    fn a_dear_walk_is_made_beside_the_looks_and_rarely() {
        let dear = Duration::from_millis(200);
        let later = Instant::now() + dear * (REST_FACTOR + 1);
        let marks = walked([None; 3]);
        assert_eq!(marks.for_look(), BEGINNING);
        assert!(!marks.walk_is_due(later));

        marks.looked(BEGINNING, &due([None; 3], dear));
        assert_eq!(marks.for_look(), [at(98); 3]);
        assert!(!marks.walk_is_due(Instant::now()));
        // A look from the marks on says nothing of what a walk costs.
        marks.looked(marks.for_look(), &due([None; 3], Duration::ZERO));
        assert!(marks.walk_is_due(later));
        assert_eq!(marks.for_look(), [at(98); 3]);

        marks.looked(BEGINNING, &due([None; 3], Duration::ZERO));
        assert!(!marks.walk_is_due(later));
        assert_eq!(marks.for_look(), BEGINNING);
    }

    #[test]
    fn a_walk_that_failed_is_no_part_of_a_look() {
        let marks = walked([None; 3]);
        marks.walk_failed(Duration::ZERO);
        assert_eq!(marks.for_look(), [at(98); 3]);
        marks.forget();
        assert_eq!(marks.for_claim(), None);
    }
}

//! Tracks the due time from which a worker reads each lane of the queue.
//!
//! The index entries of ended tasks stay until a vacuum removes them, and a vacuum cannot remove them while another
//! transaction holds a snapshot. A claim from the lane's start would read all of them. Instead it starts at the
//! watermark, where the last claim ended. A task may be behind the watermark, because its transaction was open for
//! a long time, or because it was locked when a claim passed it. A full scan in every poll interval finds such tasks.
//! When many dead entries make full scans expensive, they are made less often.

use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::queue::Lane;
use crate::queue::claim::{Claim, ClaimRequest};
use crate::queue::due::FirstDue;

/// When a claim found fewer tasks than its limit, the next one starts this far before the watermark, because a task
/// is due when its transaction writes it, but visible only after the commit.
const SLACK: chrono::Duration = chrono::Duration::seconds(2);
/// While full scans take no longer than this, they are part of the heartbeat. A slower one could delay the renewal
/// of the lease.
const MAX_SCAN_IN_HEARTBEAT: Duration = Duration::from_millis(20);
/// Expensive full scans take at most one part in 50 of a worker's time.
const REST_FACTOR: u32 = 50;
/// The due times from which a full scan reads.
pub const FULL_SCAN: [DateTime<Utc>; 3] = [DateTime::UNIX_EPOCH; 3];
/// The end of the year 9999. Nothing is due from then on, so a query with these due times finds nothing.
const NOTHING: [DateTime<Utc>; 3] = [DateTime::from_timestamp(253_402_300_799, 0).unwrap(); 3];

/// The watermarks of one worker.
#[derive(Debug, Default)]
pub struct Watermarks {
    state: Mutex<WatermarkState>,
}

#[derive(Debug, Default)]
struct WatermarkState {
    /// None before the first full scan.
    lanes: Option<[Watermark; 3]>,
    /// When the last full scan ended, and how long the database took for it.
    scan: Option<(Instant, Duration)>,
}

#[derive(Clone, Copy, Debug)]
struct Watermark {
    /// The due time where the last claim of the lane ended, the due time of the first due task that a poll found, or
    /// the time of a poll that found none.
    at: DateTime<Utc>,
    /// Whether all visible tasks up to it were claimed.
    is_passed: bool,
}

impl Watermark {
    fn from(self) -> DateTime<Utc> {
        if self.is_passed {
            self.at - SLACK
        } else {
            self.at
        }
    }
}

impl Watermarks {
    /// The due times from which to claim, by lane. None before the first full scan.
    pub fn for_claim(&self) -> Option<[DateTime<Utc>; 3]> {
        self.state
            .lock()
            .lanes
            .map(|lanes| lanes.map(Watermark::from))
    }

    /// The due times from which a heartbeat finds due tasks. It makes a full scan while that is inexpensive. Before the
    /// first full scan it finds nothing.
    pub fn for_heartbeat(&self) -> [DateTime<Utc>; 3] {
        let state = self.state.lock();
        match (state.lanes, state.scan) {
            (None, _) => NOTHING,
            (Some(lanes), Some((_, took))) if took > MAX_SCAN_IN_HEARTBEAT => {
                lanes.map(Watermark::from)
            }
            (Some(_), _) => FULL_SCAN,
        }
    }

    /// Whether it is time for a full scan beside the heartbeats.
    pub fn is_scan_due(&self, now: Instant) -> bool {
        let scan = self.state.lock().scan;
        scan.is_some_and(|(ended, took)| {
            took > MAX_SCAN_IN_HEARTBEAT && now >= ended + took * REST_FACTOR
        })
    }

    /// Moves the watermarks to the first due tasks that a poll or scan from `from` found. After a full scan it also
    /// records how long the scan took.
    pub fn found(&self, from: [DateTime<Utc>; 3], due: &FirstDue) {
        let mut state = self.state.lock();
        if from == FULL_SCAN {
            let took = Duration::try_from_secs_f64(due.took_seconds).unwrap_or_default();
            state.scan = Some((Instant::now(), took));
        } else if state.lanes.is_none() {
            return;
        }
        let nothing_due = Watermark {
            at: due.now,
            is_passed: true,
        };
        let lanes = state.lanes.get_or_insert([nothing_due; 3]);
        for ((mark, first), from) in lanes.iter_mut().zip(&due.first).zip(from) {
            *mark = match first {
                // The conditions fail if the watermark was moved during the poll.
                None if from <= mark.from() && mark.at < due.now => nothing_due,
                Some(first) if *first < mark.from() => Watermark {
                    at: *first,
                    is_passed: false,
                },
                _ => *mark,
            };
        }
    }

    /// Records a failed full scan. The next one is made beside the heartbeats, after a pause of `REST_FACTOR` times
    /// `took` or more.
    pub fn scan_failed(&self, took: Duration) {
        let took = took.max(MAX_SCAN_IN_HEARTBEAT * 2);
        self.state.lock().scan = Some((Instant::now(), took));
    }

    /// Moves the watermarks to the last claimed tasks.
    pub fn claimed(&self, claims: &[Claim], request: &ClaimRequest) {
        let mut state = self.state.lock();
        let Some(lanes) = &mut state.lanes else {
            return;
        };
        let requested = request.watermarks.into_iter().zip(request.limits);
        for ((lane, mark), (from, limit)) in Lane::ALL.into_iter().zip(lanes).zip(requested) {
            // A poll moved the watermark back during the claim.
            if mark.from() < from {
                continue;
            }
            let of_lane = claims.iter().filter(|claim| claim.lane == lane.number());
            let count = of_lane.clone().count();
            let last = of_lane.map(|claim| claim.scheduled_at).max();
            if count < limit as usize {
                *mark = Watermark {
                    at: last.map_or(mark.at, |last| last.max(mark.at)),
                    is_passed: true,
                };
            } else if let Some(last) = last {
                *mark = Watermark {
                    at: last,
                    is_passed: false,
                };
            }
        }
    }

    /// Forgets the watermarks after an interruption, because another database server may answer now. A full scan is
    /// made before the next claim.
    pub fn forget(&self) {
        *self.state.lock() = WatermarkState::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::{TaskId, TaskKind};

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000 + seconds, 0).unwrap()
    }

    fn claim_of(lane: i16, due: DateTime<Utc>) -> Claim {
        Claim {
            id: TaskId(1),
            kind: TaskKind::SampleDelete,
            lane,
            entity_id: String::new(),
            user_id: "user_a".into(),
            object_keys: Vec::new(),
            row_type: None,
            phase: None,
            attempts: 1,
            lease_token: 1,
            scheduled_at: due,
            parent_id: None,
            trace_parent: None,
            waited_seconds: 0.0,
        }
    }

    fn due(first: [Option<i64>; 3], took: Duration) -> FirstDue {
        FirstDue {
            now: at(100),
            first: first.map(|seconds| seconds.map(at)).to_vec(),
            took_seconds: took.as_secs_f64(),
        }
    }

    /// The watermarks after a first full scan that found these due times.
    fn scanned(first: [Option<i64>; 3]) -> Watermarks {
        let marks = Watermarks::default();
        marks.found(FULL_SCAN, &due(first, Duration::ZERO));
        marks
    }

    #[test]
    fn a_heartbeat_before_the_first_full_scan_asks_for_nothing_and_changes_nothing() {
        let marks = Watermarks::default();
        assert_eq!(marks.for_heartbeat(), NOTHING);
        marks.found(NOTHING, &due([None; 3], Duration::ZERO));
        assert_eq!(marks.for_claim(), None);
    }

    #[test]
    fn claims_begin_where_the_first_full_scan_found_something() {
        let marks = scanned([Some(5), None, None]);
        assert_eq!(marks.for_claim(), Some([at(5), at(98), at(98)]));
    }

    /// A request from the current watermarks.
    fn request(marks: &Watermarks, limits: [u32; 3]) -> ClaimRequest {
        let watermarks = marks.for_claim().unwrap();
        ClaimRequest { limits, watermarks }
    }

    fn claim(marks: &Watermarks, due: &[i64], limits: [u32; 3]) {
        let claims: Vec<Claim> = due.iter().map(|due| claim_of(0, at(*due))).collect();
        marks.claimed(&claims, &request(marks, limits));
    }

    #[test]
    fn a_full_claim_moves_its_lane_to_its_end_and_a_short_one_leaves_slack_behind_it() {
        let marks = scanned([Some(5), None, None]);
        claim(&marks, &[5, 9], [2, 0, 1]);
        assert_eq!(marks.for_claim(), Some([at(9), at(98), at(98)]));
        claim(&marks, &[20], [2, 1, 1]);
        assert_eq!(marks.for_claim(), Some([at(18), at(98), at(98)]));
        // Claims that find nothing do not change the slack.
        claim(&marks, &[], [2, 1, 1]);
        claim(&marks, &[], [2, 1, 1]);
        assert_eq!(marks.for_claim(), Some([at(18), at(98), at(98)]));
        // More tasks were due within the slack than one claim takes, so the next claim starts after them.
        claim(&marks, &[18, 19], [2, 1, 1]);
        assert_eq!(marks.for_claim(), Some([at(19), at(98), at(98)]));
    }

    #[test]
    fn a_task_behind_the_watermark_moves_it_back() {
        let marks = scanned([None; 3]);
        let in_flight = request(&marks, [2, 1, 1]);
        let late = due([Some(40), Some(99), None], Duration::ZERO);
        marks.found(marks.for_heartbeat(), &late);
        // An answer to an earlier request does not move it forward.
        marks.found([at(98); 3], &due([None; 3], Duration::ZERO));
        marks.claimed(&[claim_of(0, at(98)), claim_of(0, at(99))], &in_flight);
        assert_eq!(marks.for_claim(), Some([at(40), at(98), at(98)]));
        claim(&marks, &[40], [2, 1, 1]);
        // When nothing is due any more, the next claim starts at the present again.
        marks.found(marks.for_heartbeat(), &due([None; 3], Duration::ZERO));
        assert_eq!(marks.for_claim(), Some([at(98); 3]));
    }

    #[test]
    fn an_expensive_full_scan_is_made_beside_the_heartbeats_and_rarely() {
        let expensive = Duration::from_millis(200);
        let later = Instant::now() + expensive * (REST_FACTOR + 1);
        let marks = scanned([None; 3]);
        assert_eq!(marks.for_heartbeat(), FULL_SCAN);
        assert!(!marks.is_scan_due(later));

        marks.found(FULL_SCAN, &due([None; 3], expensive));
        assert_eq!(marks.for_heartbeat(), [at(98); 3]);
        assert!(!marks.is_scan_due(Instant::now()));
        // A poll from the watermarks does not show how expensive a full scan is.
        marks.found(marks.for_heartbeat(), &due([None; 3], Duration::ZERO));
        assert!(marks.is_scan_due(later));
        assert_eq!(marks.for_heartbeat(), [at(98); 3]);

        marks.found(FULL_SCAN, &due([None; 3], Duration::ZERO));
        assert!(!marks.is_scan_due(later));
        assert_eq!(marks.for_heartbeat(), FULL_SCAN);
    }

    #[test]
    fn after_a_failed_full_scan_none_is_part_of_a_heartbeat() {
        let marks = scanned([None; 3]);
        marks.scan_failed(Duration::ZERO);
        assert_eq!(marks.for_heartbeat(), [at(98); 3]);
        marks.forget();
        assert_eq!(marks.for_claim(), None);
    }
}

//! The same model with one rule left out at a time. Each time the checker must find what that rule is for.

use stateright::{Checker, HasDiscoveries, Model};

use super::design::{Design, Expiry, Fence, Limits};
use super::{Lethe, properties, story};

const LIMITS: Limits = Limits {
    tasks: 1,
    ticks: 3,
    faults: 1,
    max_attempts: 2,
    shared_key: false,
};
const ONE_KEY: Limits = Limits {
    tasks: 2,
    ticks: 1,
    faults: 0,
    max_attempts: 2,
    shared_key: true,
};

/// Prints the shortest way to what the bug breaks; a bug that is not found fails the test.
fn is_found(bug: &str, design: Design, property: &'static str) {
    is_found_within(LIMITS, bug, design, property);
}

fn is_found_within(limits: Limits, bug: &str, design: Design, property: &'static str) {
    let mut explored = 0;
    for depth in 2.. {
        let lethe = Lethe {
            design,
            limits,
            wanted: Some(property),
        };
        let wanted = HasDiscoveries::AllOf([property].into());
        let search = lethe.checker().finish_when(wanted).target_max_depth(depth);
        let checker = search.spawn_bfs().join();
        if let Some(path) = checker.discovery(property) {
            println!("{bug}: not “{property}”\n{}", story(path));
            return;
        }
        let states = checker.unique_state_count();
        assert!(
            states > explored,
            "{bug}: “{property}” holds in all of {states} states, so the model is blind to it"
        );
        explored = states;
    }
}

#[test]
fn a_settle_that_looks_only_at_the_status_completes_anothers_attempt() {
    let design = Design {
        fence: Fence::Status,
        ..Design::SOUND
    };
    is_found("fence by status", design, properties::STALE_WRITE);
    is_found("fence by status", design, properties::ONE_HOLDER);
}

#[test]
fn a_settle_that_looks_at_nothing_ends_a_claim_that_was_rescued() {
    let design = Design {
        fence: Fence::Nothing,
        ..Design::SOUND
    };
    is_found("no fence", design, properties::ENDED_ONCE);
    is_found("no fence", design, properties::FORWARD);
}

#[test]
fn a_lease_judged_by_the_rescuers_clock_is_taken_from_a_worker_that_still_asks() {
    let design = Design {
        expiry: Expiry::Rescuer,
        ..Design::SOUND
    };
    is_found(
        "expiry by the rescuer's clock",
        design,
        properties::NOT_ASKED_LATE,
    );
}

#[test]
fn rows_removed_before_their_objects_are_a_memory_lost() {
    let design = Design {
        objects_first: false,
        ..Design::SOUND
    };
    is_found("rows first", design, properties::OBJECTS_FIRST);
}

#[test]
fn a_restore_that_does_not_lock_the_task_gets_back_a_sample_without_its_object() {
    let design = Design {
        restore_locks: false,
        ..Design::SOUND
    };
    is_found("restore without a lock", design, properties::RESTORED_LIVES);
}

#[test]
fn without_a_margin_a_slow_clock_asks_the_store_too_late() {
    let design = Design {
        margin_ticks: 0,
        ..Design::SOUND
    };
    is_found("no margin", design, properties::NOT_ASKED_LATE);
}

#[test]
fn a_lease_counted_from_the_answer_outlives_the_databases() {
    let design = Design {
        counts_from_sending: false,
        ..Design::SOUND
    };
    is_found(
        "counted from the answer",
        design,
        properties::NOT_ASKED_LATE,
    );
}

#[test]
fn a_beat_that_renews_a_lost_row_is_noticed() {
    let design = Design {
        lost_stays_lost: false,
        ..Design::SOUND
    };
    is_found(
        "beat without a look at lost_at",
        design,
        properties::LOST_STAYS_LOST,
    );
}

#[test]
fn a_job_that_looks_at_its_workers_newest_lease_asks_for_a_claim_that_is_over() {
    let design = Design {
        keeps_claims_lease: false,
        ..Design::SOUND
    };
    is_found(
        "lease of the job's start",
        design,
        properties::NOT_ASKED_LATE,
    );
}

#[test]
fn a_claim_whose_answer_was_lost_is_kept_for_ever_by_a_worker_that_beats() {
    let design = Design {
        releases_strays: false,
        ..Design::SOUND
    };
    is_found("strays are left", design, properties::NOTHING_LOST);
}

#[test]
fn a_key_of_a_sample_that_can_be_restored_goes_with_another_sample() {
    let design = Design {
        restorable_protects: false,
        ..Design::SOUND
    };
    is_found_within(
        ONE_KEY,
        "only live rows protect a key",
        design,
        properties::RESTORED_LIVES,
    );
}

#[test]
fn a_settle_that_completes_a_task_whose_row_is_held_leaves_the_row() {
    let design = Design {
        held_rows_fail: false,
        ..Design::SOUND
    };
    is_found(
        "held rows are passed over",
        design,
        properties::DONE_IS_PROVED,
    );
}

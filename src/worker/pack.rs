//! Packs claimed tasks into batches whose keys fit into one request to the store. It does no I/O.

use super::pace::MAX_KEYS_PER_REQUEST;
use crate::queue::Lane;
use crate::queue::claim::Claim;

/// Makes batches of at most 1,000 keys and 1,000 tasks. A task with more keys becomes a separate batch, and so does
/// each task that is not in the small lane, and each step of an erasure.
pub fn pack(claims: Vec<Claim>) -> Vec<Vec<Claim>> {
    let mut batches: Vec<Vec<Claim>> = Vec::new();
    // The index of the last batch of small tasks, and its number of keys.
    let mut open: Option<usize> = None;
    let mut open_keys = 0;
    for claim in claims {
        let keys = claim.object_keys.len();
        if claim.lane != Lane::Small.number() || claim.is_step() {
            batches.push(vec![claim]);
            continue;
        }
        let fits = open.filter(|&batch| {
            open_keys + keys <= MAX_KEYS_PER_REQUEST && batches[batch].len() < MAX_KEYS_PER_REQUEST
        });
        if let Some(batch) = fits {
            open_keys += keys;
            batches[batch].push(claim);
        } else {
            open = Some(batches.len());
            open_keys = keys;
            batches.push(vec![claim]);
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::{TaskId, TaskKind};

    fn claim(lane: Lane, keys: usize) -> Claim {
        Claim {
            id: TaskId(1),
            kind: TaskKind::SampleDelete,
            lane: lane.number(),
            entity_id: String::new(),
            user_id: "user_a".into(),
            object_keys: vec!["key".to_owned(); keys],
            row_type: None,
            phase: None,
            attempts: 1,
            lease_token: 1,
            scheduled_at: chrono::DateTime::UNIX_EPOCH,
            parent_id: None,
            trace_parent: None,
            waited_seconds: 0.0,
        }
    }

    fn sizes(claims: Vec<Claim>) -> Vec<usize> {
        pack(claims).iter().map(Vec::len).collect()
    }

    #[test]
    fn small_tasks_share_a_request_and_others_do_not() {
        let small = || claim(Lane::Small, 400);
        let bulk = || claim(Lane::Bulk, 10);
        let quarantined = || claim(Lane::Quarantine, 1);
        assert_eq!(
            sizes(vec![small(), bulk(), small(), small(), quarantined()]),
            [2, 1, 1, 1]
        );
        assert_eq!(sizes(vec![claim(Lane::Small, 5_000), small()]), [1, 1]);
        assert_eq!(sizes(vec![claim(Lane::Small, 0); 1_001]), [1_000, 1]);
    }
}

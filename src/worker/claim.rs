//! The first stage: claims due tasks while slots are free, and passes them on in batches.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::context::{Context, database_pauses};
use super::maintenance;
use super::pace::MAX_KEYS_PER_REQUEST;
use super::pack::pack;
use super::wakefulness::Wakefulness;
use crate::db::retry::retry_on_conflict;
use crate::db::sqlstate;
use crate::failpoint;
use crate::pauses::Pauses;
use crate::queue::Lane;
use crate::queue::claim::{Claim, ClaimRequest, claim};
use crate::queue::lease::Lease;

/// After an outage, the store is tried with one task first.
const DOUBTFUL_LIMIT: u32 = 1;
/// A claim of a quarter of the limit is a large one.
const LARGE_PART: u32 = 4;

/// Claimed tasks that go through the stages together.
pub struct Batch {
    /// The lease under which they were claimed.
    pub lease: Arc<Lease>,
    pub claims: Vec<Claim>,
    /// The right to be in flight. None when the shutdown began before a slot was free; then the claims must be released
    /// without being worked on.
    pub slots: Option<Slots>,
}

/// The slots of one batch. Dropping them frees them.
pub struct Slots {
    _slot: OwnedSemaphorePermit,
    _lane: Option<OwnedSemaphorePermit>,
}

pub struct Claimer {
    context: Arc<Context>,
    wakefulness: Wakefulness,
    pauses: Pauses,
    /// Whether the last claim found so much that the next one probably does too.
    is_large: bool,
    claimed: Option<ClaimedTasks>,
}

/// Claimed tasks that wait for slots.
struct ClaimedTasks {
    lease: Arc<Lease>,
    /// The slot that was free before the claim, for the first batch.
    first_slot: Option<OwnedSemaphorePermit>,
    batches: VecDeque<Vec<Claim>>,
}

impl Claimer {
    pub fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            wakefulness: Wakefulness::new(),
            pauses: database_pauses(),
            is_large: false,
            claimed: None,
        }
    }

    /// Waits until tasks are due and a slot is free, and returns the next batch. Returns None after a shutdown.
    pub async fn next_batch(&mut self, shutdown: &CancellationToken) -> Option<Batch> {
        loop {
            if let Some(claimed) = &mut self.claimed {
                if let Some(claims) = claimed.batches.pop_front() {
                    let first_slot = claimed.first_slot.take();
                    let lease = claimed.lease.clone();
                    let slots = slots(&self.context, &claims, first_slot, shutdown).await;
                    return Some(Batch {
                        lease,
                        claims,
                        slots,
                    });
                }
                self.claimed = None;
            }
            if shutdown.is_cancelled() {
                return None;
            }
            self.claim_when_free(shutdown).await;
        }
    }

    /// One round of the claim loop: waits for the gate and a slot, claims, and rests if nothing is due.
    async fn claim_when_free(&mut self, shutdown: &CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.wait_for_gate() => {}
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.wakefulness.gather() => {}
        }
        let slot = tokio::select! {
            () = shutdown.cancelled() => return,
            slot = self.context.slots.clone().acquire_owned() => slot,
        };
        let Ok(slot) = slot else { return };
        // A shutdown does not cut off a claim, because its tasks would then be held until they are rescued.
        let Ok(Some((lease, claims))) = self.claim_a_request().await else {
            drop(slot);
            return tokio::time::sleep(self.pauses.next_pause()).await;
        };
        if claims.is_empty() {
            drop(slot);
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = self.wakefulness.rest(&self.context) => {}
            }
            return;
        }
        self.wakefulness
            .found_work(&self.context, self.is_large)
            .await;
        self.claimed = Some(ClaimedTasks {
            lease,
            first_slot: Some(slot),
            batches: pack(claims).into(),
        });
    }

    /// Waits for the store to answer again, and for a database that fits the erasure map.
    async fn wait_for_gate(&self) {
        self.context.status.drift.mended().await;
        while let Some(pause) = self.context.gate.remaining(std::time::Instant::now()) {
            tokio::time::sleep(pause).await;
        }
    }

    /// Whether the claim reached its limit of small tasks, and their keys do not fill a request.
    fn is_half_a_request(&self, claims: &[Claim]) -> bool {
        let small = || {
            claims
                .iter()
                .filter(|claim| claim.lane == Lane::Small.number())
        };
        let keys: usize = small().map(|claim| claim.object_keys.len()).sum();
        small().count() >= self.context.options.cleanup.claim_batch as usize
            && claims.len() < MAX_KEYS_PER_REQUEST
            && keys < MAX_KEYS_PER_REQUEST
    }

    /// Claims once, or twice under the same lease if the first claim does not fill a request. Returns None when the
    /// lease is about to end, because the claims would have to be released at once.
    async fn claim_a_request(&mut self) -> Result<Option<(Arc<Lease>, Vec<Claim>)>, sqlx::Error> {
        let lease = self.lease_without_lost_claims().await?;
        if !lease.is_usable() {
            return Ok(None);
        }
        let mut claims = self.claim(&lease).await?;
        if self.is_half_a_request(&claims)
            && let Ok(more) = self.claim(&lease).await
        {
            claims.extend(more);
        }
        Ok(Some((lease, claims)))
    }

    /// Returns a lease under which no lost claim is suspected. If necessary it registers under a new id.
    async fn lease_without_lost_claims(&self) -> Result<Arc<Lease>, sqlx::Error> {
        let old = self.context.leases.current();
        if !self.context.leases.are_lost_claims_suspected() {
            return Ok(old);
        }
        let new = self.context.register_again().await?;
        tracing::warn!(
            old = old.worker.as_str(),
            new = new.worker.as_str(),
            "a claim may have been lost on the way; re-registered under a new id"
        );
        Ok(new)
    }

    async fn claim(&mut self, lease: &Lease) -> Result<Vec<Claim>, sqlx::Error> {
        let context = &self.context;
        let watermarks = match context.watermarks.for_claim() {
            Some(watermarks) => watermarks,
            None => maintenance::full_scan(context).await?,
        };
        let request = ClaimRequest {
            limits: limits(context),
            watermarks,
        };
        let started = Instant::now();
        // One statement runs at the server's default isolation, so it may lose a conflict under `serializable`.
        let claiming = || claim(&context.pool, &lease.worker, &request);
        let claims = match retry_on_conflict(claiming).await {
            Ok(claims) => claims,
            Err(error) => {
                if sqlstate::may_have_been_done(&error) {
                    context.leases.suspect_lost_claims();
                }
                tracing::warn!(%error, "cannot claim; trying again");
                return Err(error);
            }
        };
        self.pauses.reset();
        if !claims.is_empty() {
            failpoint::reach("claimed");
        }
        let metrics = &context.metrics;
        let took = started.elapsed().as_secs_f64();
        metrics.claim_duration.observe(took);
        for claim in &claims {
            metrics.task_wait.observe(claim.waited_seconds.max(0.0));
        }
        context.watermarks.claimed(&claims, &request);
        self.is_large = is_large(&claims, request.limits);
        Ok(claims)
    }
}

/// Whether a claim found so much that the next one probably finds as much at once: a good part of what a lane allows.
fn is_large(claims: &[Claim], limits: [u32; 3]) -> bool {
    let mut claimed = [0; 3];
    for claim in claims {
        let lane = usize::try_from(claim.lane).ok();
        if let Some(count) = lane.and_then(|lane| claimed.get_mut(lane)) {
            *count += 1;
        }
    }
    let mut lanes = claimed.iter().zip(limits);
    lanes.any(|(&count, limit)| count > 0 && count * LARGE_PART >= limit)
}

/// How many tasks of each lane to claim at most.
fn limits(context: &Context) -> [u32; 3] {
    let free =
        |semaphore: &Semaphore| u32::try_from(semaphore.available_permits()).unwrap_or(u32::MAX);
    // The slot that this claim already holds counts as free.
    let bulk = free(&context.bulk_slots).min(free(&context.slots) + 1);
    let quarantine = free(&context.quarantine_slots);
    if context.gate.is_doubtful() {
        return [DOUBTFUL_LIMIT, DOUBTFUL_LIMIT.min(bulk), 0];
    }
    [context.options.cleanup.claim_batch, bulk, quarantine]
}

/// Waits for the slots of a batch. Returns None if a shutdown begins before one is free.
async fn slots(
    context: &Context,
    claims: &[Claim],
    first_slot: Option<OwnedSemaphorePermit>,
    shutdown: &CancellationToken,
) -> Option<Slots> {
    let slot = match first_slot {
        Some(slot) => slot,
        None => tokio::select! {
            biased;
            slot = context.slots.clone().acquire_owned() => slot.ok()?,
            () = shutdown.cancelled() => return None,
        },
    };
    let lane = claims.first().map_or(0, |claim| claim.lane);
    let of_lane = if lane == Lane::Bulk.number() {
        Some(&context.bulk_slots)
    } else if lane == Lane::Quarantine.number() {
        Some(&context.quarantine_slots)
    } else {
        None
    };
    let lane = match of_lane {
        Some(slots) => slots.clone().acquire_owned().await.ok(),
        None => None,
    };
    Some(Slots {
        _slot: slot,
        _lane: lane,
    })
}

//! Claims what is due and hands it on as jobs, as long as there are slots.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pace::MAX_KEYS_PER_REQUEST;
use super::shared::{Shared, database_pause};
use super::{job, settle, upkeep};
use crate::db::sqlstate;
use crate::failpoint;
use crate::queue::Lane;
use crate::queue::claim::{Ask, Claim, claim};
use crate::queue::lease::Lease;
use crate::vocabulary::WakeSource;

/// Under load without a pause for so long, a worker says that it needs no notification.
const BUSY_AFTER: Duration = Duration::from_secs(1);
/// So does one that finds work so often in that time: more notifications would slow every commit down.
const BUSY_WAKES: u32 = 50;
/// Awake without work, a worker looks this often, for so long, before it says that it sleeps.
const DROWSY_LOOK: Duration = Duration::from_millis(20);
const DROWSY_LOOKS: u32 = 50;
/// While the store is in doubt, it is tried with so few tasks.
const DOUBTFUL_LIMIT: u32 = 1;

/// Claims until shutdown.
pub async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    let mut claimer = Claimer::new(shared);
    while !shutdown.is_cancelled() {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = claimer.wait_for_gate() => {}
        }
        let slot = tokio::select! {
            () = shutdown.cancelled() => break,
            slot = claimer.shared.slots.clone().acquire_owned() => slot,
        };
        let Ok(slot) = slot else { break };
        // A claim is never cut off: what it took would only be free again when the lease ends.
        let Ok(Some((lease, claims))) = claimer.claim_a_request().await else {
            drop(slot);
            claimer.pause().await;
            continue;
        };
        if claims.is_empty() {
            drop(slot);
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = claimer.rest() => {}
            }
        } else {
            claimer.hand_on(&lease, claims, slot, &shutdown).await;
        }
    }
}

struct Claimer {
    shared: Arc<Shared>,
    busy_since: Option<Instant>,
    /// Times that work was found since the instant.
    wakes: (Instant, u32),
    /// What the worker's row says.
    sleeping: bool,
    empty_looks: u32,
    failures: u32,
}

impl Claimer {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            busy_since: None,
            wakes: (Instant::now(), 0),
            sleeping: true,
            empty_looks: 0,
            failures: 0,
        }
    }

    async fn wait_for_gate(&self) {
        while let Some(pause) = self.shared.gate.remaining(std::time::Instant::now()) {
            tokio::time::sleep(pause).await;
        }
    }

    /// After a failed claim.
    async fn pause(&mut self) {
        let pause = database_pause(self.failures);
        self.failures = self.failures.saturating_add(1);
        tokio::time::sleep(pause).await;
    }

    /// Whether more small tasks are due than one claim took, and these do not fill a request.
    fn is_half_a_request(&self, claims: &[Claim]) -> bool {
        let small = || {
            claims
                .iter()
                .filter(|claim| claim.lane == Lane::Small.number())
        };
        let keys: usize = small().map(|claim| claim.object_keys.len()).sum();
        small().count() >= self.shared.options.cleanup.claim_batch as usize
            && claims.len() < MAX_KEYS_PER_REQUEST
            && keys < MAX_KEYS_PER_REQUEST
    }

    /// Claims, twice if once is half a request, all under one lease. None when the lease is about to end:
    /// the looks do not get through, and whatever were claimed would have to be given back at once.
    async fn claim_a_request(&mut self) -> Result<Option<(Arc<Lease>, Vec<Claim>)>, sqlx::Error> {
        let lease = self.known_lease().await?;
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

    /// A lease under which every claim is known.
    async fn known_lease(&self) -> Result<Arc<Lease>, sqlx::Error> {
        let shared = &self.shared;
        if shared.is_in_doubt() {
            let options = &shared.options;
            let new = Lease::register(&shared.pool, &options.name, options.cleanup.lease).await?;
            tracing::warn!(
                old = shared.lease().worker,
                new = new.worker,
                "a claim may have been lost on the way; goes on under a new id"
            );
            shared.set_lease(new);
        }
        Ok(shared.lease())
    }

    async fn claim(&mut self, lease: &Lease) -> Result<Vec<Claim>, sqlx::Error> {
        let shared = self.shared.clone();
        let watermarks = match shared.watermarks.for_claim() {
            Some(watermarks) => watermarks,
            None => upkeep::walk(&shared).await?,
        };
        let ask = Ask {
            limits: self.limits(),
            watermarks,
        };
        let started = Instant::now();
        let claims = match claim(&shared.pool, &lease.worker, &ask).await {
            Ok(claims) => {
                self.failures = 0;
                if !claims.is_empty() {
                    failpoint::reach("claimed");
                }
                claims
            }
            Err(error) => {
                if sqlstate::may_have_been_done(&error) {
                    shared.doubt_claims();
                }
                tracing::warn!(%error, "cannot claim");
                return Err(error);
            }
        };
        shared
            .metrics
            .claim_duration
            .observe(started.elapsed().as_secs_f64());
        for claim in &claims {
            shared
                .metrics
                .task_wait
                .observe(claim.waited_seconds.max(0.0));
        }
        shared.watermarks.claimed(&claims, &ask);
        Ok(claims)
    }

    fn limits(&self) -> [u32; 3] {
        let shared = &self.shared;
        let free = |semaphore: &tokio::sync::Semaphore| {
            u32::try_from(semaphore.available_permits()).unwrap_or(u32::MAX)
        };
        // This claim's own slot, and the ones beside it.
        let bulk = free(&shared.bulk_slots).min(free(&shared.slots) + 1);
        let quarantine = free(&shared.quarantine_slots);
        if shared.gate.is_doubtful() {
            return [DOUBTFUL_LIMIT, DOUBTFUL_LIMIT.min(bulk), 0];
        }
        [shared.options.cleanup.claim_batch, bulk, quarantine]
    }

    /// Packs claims into jobs and runs them. `slot` is the first job's.
    async fn hand_on(
        &mut self,
        lease: &Arc<Lease>,
        claims: Vec<Claim>,
        slot: OwnedSemaphorePermit,
        shutdown: &CancellationToken,
    ) {
        self.empty_looks = 0;
        let now = Instant::now();
        let busy_since = *self.busy_since.get_or_insert(now);
        if now - self.wakes.0 > BUSY_AFTER {
            self.wakes = (now, 0);
        }
        self.wakes.1 += 1;
        if self.sleeping && (now - busy_since > BUSY_AFTER || self.wakes.1 >= BUSY_WAKES) {
            self.say_sleeping(false).await;
        }
        let mut slot = Some(slot);
        for claims in pack(claims) {
            let lane = claims.first().map_or(0, |claim| claim.lane);
            let slot = match slot.take() {
                Some(slot) => slot,
                None => {
                    let free = tokio::select! {
                        biased;
                        free = self.shared.slots.clone().acquire_owned() => free.ok(),
                        () = shutdown.cancelled() => None,
                    };
                    let Some(free) = free else {
                        let untouched = claims.into_iter().map(settle::untouched).collect();
                        settle::settle(&self.shared, lease, untouched).await;
                        continue;
                    };
                    free
                }
            };
            let lane_slot = if lane == Lane::Bulk.number() {
                self.shared.bulk_slots.clone().acquire_owned().await.ok()
            } else if lane == Lane::Quarantine.number() {
                self.shared
                    .quarantine_slots
                    .clone()
                    .acquire_owned()
                    .await
                    .ok()
            } else {
                None
            };
            let (shared, lease) = (self.shared.clone(), lease.clone());
            self.shared.jobs.spawn(async move {
                job::run(shared, lease, claims).await;
                drop((slot, lane_slot));
            });
        }
    }

    /// Nothing is due. Awake, look again soon; then say so, look once more, and sleep until a
    /// notification comes or the poll finds something.
    async fn rest(&mut self) {
        self.busy_since = None;
        if !self.sleeping {
            self.empty_looks += 1;
            if self.empty_looks < DROWSY_LOOKS {
                tokio::time::sleep(DROWSY_LOOK).await;
            } else {
                self.say_sleeping(true).await;
            }
            return;
        }
        // The poll is the look that is made once in an interval anyway.
        let source = tokio::select! {
            () = self.shared.wake.notified() => WakeSource::Notify,
            () = self.shared.due.notified() => WakeSource::Poll,
        };
        self.shared.metrics.wakeups.of(source).inc();
    }

    async fn say_sleeping(&mut self, sleeping: bool) {
        match self
            .shared
            .lease()
            .set_sleeping(&self.shared.pool, sleeping)
            .await
        {
            Ok(()) => self.sleeping = sleeping,
            Err(error) => {
                // It may be written all the same. One that is taken for awake says again that it sleeps.
                self.sleeping = false;
                tracing::warn!(%error, "cannot say whether this worker sleeps");
                tokio::time::sleep(DROWSY_LOOK).await;
            }
        }
    }
}

/// Jobs of at most 1,000 keys and 1,000 tasks; a task with more keys is a job of its own, and so is a
/// task in quarantine.
fn pack(claims: Vec<Claim>) -> Vec<Vec<Claim>> {
    let mut jobs: Vec<Vec<Claim>> = Vec::new();
    let mut keys = [0_usize; 3];
    let mut open: [Option<usize>; 3] = [None; 3];
    for claim in claims {
        let lane = usize::try_from(claim.lane).unwrap_or_default().min(2);
        let count = claim.object_keys.len();
        let fits = open[lane].filter(|job| {
            lane == 0
                && keys[lane] + count <= MAX_KEYS_PER_REQUEST
                && jobs[*job].len() < MAX_KEYS_PER_REQUEST
        });
        if let Some(job) = fits {
            keys[lane] += count;
            jobs[job].push(claim);
        } else {
            open[lane] = Some(jobs.len());
            keys[lane] = count;
            jobs.push(vec![claim]);
        }
    }
    jobs
}

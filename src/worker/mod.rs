//! The worker: it joins queue, store and database rows. `pipeline` is the whole of it in one function.
//!
//! ```text
//! claim ──► delete ──► decide ──► settle ──► report         at most CLEANUP_CONCURRENCY batches in flight
//!   │       objects    pure       one          log, metrics
//!   │                             transaction
//!   └─────► erasure ────────────────────────► report        the root of a user's erasure, one step a claim
//!
//! claim    uses wakefulness (awake or asleep), watermarks (from where on), gate (not while the store is out)
//!          and pack (batches whose keys fill a request)
//! delete   uses pace (how fast the store may be asked) and gate
//! settle   uses audit
//! beside   heartbeat: renews the lease, finds lost workers and due tasks
//!          maintenance: full scans, rescue, pruning
//! shared   context, with the leases of this process
//! ```

mod audit;
mod claim;
mod cleanup;
mod context;
mod decide;
mod delete;
mod erasure;
mod gate;
mod heartbeat;
mod heartbeat_clock;
mod lease;
mod maintenance;
mod options;
mod pace;
mod pack;
mod pipeline;
mod report;
mod run;
mod settle;
mod wakefulness;
mod watermarks;

pub use cleanup::Cleanup;
pub use context::WorkerStatus;
pub use options::WorkerOptions;
pub use run::run;

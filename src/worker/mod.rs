//! The worker deletes what the queue's tasks name, from the store and the database. Start reading with
//! `pipeline::run`. `run::run` starts the claim loop, the heartbeat, the maintenance and the listener, and stops them.
//!
//! ```text
//! claim ──► delete ──► decide ──► settle ──► report         at most CLEANUP_CONCURRENCY batches in flight
//!   │       objects    no I/O     one          log, metrics
//!   │                             transaction
//!   └─────► erasure ────────────────────────► report        the root of a user's erasure, one step per claim
//!
//! claim    uses wakefulness (awake or asleep), watermarks (from which due time to claim), gate (pauses during a
//!          store outage) and pack (batches whose keys fill a request)
//! delete   uses pace (limits the requests to the store) and gate
//! settle   uses rest (what is left of a task's rows) and audit
//! loops    started in run.rs, beside the claim loop:
//!          heartbeat renews the lease, and finds lost workers and due tasks
//!          maintenance makes full scans, rescues and prunes
//!          the listener (queue/listen.rs) receives notifications and sends heartbeats over its connection
//! shared   context, with the leases of this process, and status (why the worker does no work)
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
mod rest;
mod run;
mod settle;
mod status;
mod wakefulness;
mod watermarks;

pub use cleanup::Cleanup;
pub use options::WorkerOptions;
pub use run::run;
pub use status::WorkerStatus;

//! The worker: it joins queue, store and database rows. [`pipeline`] is the whole of it in one function.
//!
//! ```text
//!             pipeline::run, until shutdown                    a task of its own for each batch
//! ┌───────────────────────────────────────────┐  ┌───────────────────────────────────────────────────┐
//!   claim ────────────────────────────► Batch ──► delete ──► decide ──► settle ──► report
//!   rows become `running`;               │        objects    pure: a    one          log and
//!   wakefulness, gate and watermarks     │        of all     verdict    transaction  metrics
//!   say when and from where on;          │        tasks      a task
//!   pack fills requests                  │
//!                                        └──────► erasure ───────────► (a root) ───► report
//!
//!   beside it   heartbeat: renews the lease, finds lost workers and due tasks
//!               maintenance: full scans, rescue, pruning
//!   shared      context: everything below · lease: the leases of this process
//!               pace: how fast the store is asked · gate: the pause while it is out
//! ```
//!
//! At most `CLEANUP_CONCURRENCY` batches are in flight, and each asks the store for one thing at a time.

mod audit;
mod claim;
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

pub use context::WorkerStatus;
pub use options::WorkerOptions;
pub use run::run;

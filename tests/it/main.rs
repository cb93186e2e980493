//! Everything that needs a real PostgreSQL or a real HTTP connection, and the model, in one binary.

// A test that cannot go on has failed: that is what its unwraps say.
#![allow(clippy::unwrap_used)]

#[cfg(feature = "dev")]
mod access;
#[cfg(feature = "dev")]
mod api;
mod api_shape;
#[cfg(all(feature = "dev", target_os = "linux"))]
mod attacks;
#[cfg(feature = "dev")]
mod bench;
#[cfg(feature = "dev")]
mod check;
mod claims;
#[cfg(feature = "dev")]
mod cli_evidence;
#[cfg(feature = "dev")]
mod clients;
#[cfg(feature = "dev")]
mod crash;
#[cfg(feature = "dev")]
mod database_faults;
#[cfg(feature = "dev")]
mod database_tls;
#[cfg(feature = "dev")]
mod deletion;
#[cfg(feature = "dev")]
mod deploy;
#[cfg(all(feature = "dev", target_os = "linux"))]
mod disk_full;
mod docs;
#[cfg(feature = "dev")]
mod embedded;
#[cfg(feature = "dev")]
mod examples;
#[cfg(feature = "dev")]
mod fuzz;
#[cfg(feature = "dev")]
mod health;
#[cfg(feature = "dev")]
mod hostile;
mod http_edge;
#[cfg(feature = "dev")]
mod judge;
#[cfg(feature = "dev")]
mod map;
mod model;
#[cfg(feature = "dev")]
mod nemesis;
#[cfg(all(feature = "dev", target_os = "linux"))]
mod network;
#[cfg(feature = "dev")]
mod notices;
#[cfg(feature = "dev")]
mod panel;
#[cfg(feature = "dev")]
mod pgbouncer;
#[cfg(feature = "dev")]
mod plan;
#[cfg(feature = "dev")]
mod real_stores;
#[cfg(feature = "dev")]
mod receipts;
#[cfg(feature = "dev")]
mod reconcile;
mod records;
mod rooms;
#[cfg(feature = "dev")]
mod runbooks;
mod safety;
#[cfg(all(feature = "dev", target_os = "linux"))]
mod slow_peers;
#[cfg(feature = "dev")]
mod storage;
#[cfg(feature = "dev")]
mod support;
#[cfg(feature = "dev")]
mod tasks;
#[cfg(feature = "dev")]
mod traces;
#[cfg(feature = "dev")]
mod two_versions;
#[cfg(feature = "dev")]
mod worker;
#[cfg(feature = "dev")]
mod worker_faults;

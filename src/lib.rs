//! Lethe erases users and their files from applications built on Clerk, PostgreSQL and S3.

pub mod app;
#[cfg(feature = "dev")]
pub mod bench;
pub mod cli;
pub mod config;
pub mod deletion;
#[cfg(feature = "dev")]
pub mod embedded;
mod failpoint;
pub mod http;
pub mod queue;
pub mod reconcile;
pub mod schema;
pub mod storage;
pub mod telemetry;
pub mod worker;

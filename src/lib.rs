//! Lethe erases users and their files from applications built on Clerk, PostgreSQL and S3.

pub mod cli;
pub mod config;
pub mod deletion;
#[cfg(feature = "dev")]
pub mod embedded;
pub mod http;
pub mod telemetry;

//! Lethe erases users and their files from applications built on Clerk, PostgreSQL and S3.

pub mod app;
pub mod cli;
pub mod config;
#[cfg(feature = "dev")]
pub mod embedded;
pub mod http;
pub mod schema;
pub mod telemetry;

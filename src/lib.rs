//! Lethe erases users and their files from applications built on Clerk, PostgreSQL and S3.

pub mod app;
#[cfg(feature = "dev")]
pub mod bench;
pub mod cause;
pub mod cli;
pub mod config;
pub mod cursor;
pub mod db;
pub mod deletion;
#[cfg(feature = "dev")]
pub mod embedded;
pub mod evidence;
mod failpoint;
pub mod http;
pub mod map;
pub mod notices;
pub mod pauses;
pub mod queue;
pub mod receipts;
pub mod recent;
pub mod reconcile;
pub mod safety;
pub mod schema;
pub mod secret;
pub mod storage;
pub mod tasks;
pub mod telemetry;
pub mod vocabulary;
pub mod worker;

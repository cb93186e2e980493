//! Lethe erases users and their files from applications built on Clerk, PostgreSQL and S3.

pub mod http;

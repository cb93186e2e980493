//! What the tests share.

pub mod clerk;
pub mod hostile_s3;
pub mod own_postgres;
pub mod pgbouncer;
pub mod real_stores;
pub mod service;
pub mod tcp_proxy;
pub mod world;

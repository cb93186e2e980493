//! What the tests share.

#[cfg(target_os = "linux")]
pub mod attack;
pub mod clerk;
#[cfg(target_os = "linux")]
pub mod far_network;
pub mod hostile_s3;
#[cfg(target_os = "linux")]
pub mod namespaces;
pub mod outage;
pub mod own_postgres;
pub mod pgbouncer;
pub mod real_stores;
pub mod receiver;
pub mod service;
#[cfg(target_os = "linux")]
pub mod small_disk;
pub mod tcp_proxy;
pub mod world;

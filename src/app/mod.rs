//! The composition root: the only room that knows all others, and puts them together by role.

mod bucket;
#[cfg(feature = "dev")]
pub mod dev;
mod drift;
pub mod migrate;
pub mod migrated;
pub mod pool;
pub mod safety;
pub mod serve;
pub mod side_server;
pub mod signals;
pub mod worker;

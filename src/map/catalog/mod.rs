//! One snapshot of PostgreSQL's catalog: what the gate and the generator need to know of the application's tables.

mod read;
mod types;

pub use self::read::{begin, read};
pub use self::types::*;

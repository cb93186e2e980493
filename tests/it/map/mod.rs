//! The erasure map on a real PostgreSQL: what the gate finds, what is drafted and generated, and what the commands
//! say.

mod alone;
mod check;
mod circles;
mod commands;
pub mod database;
mod drift;
mod engine;
mod findings;
mod hostile;
mod roles;
mod shapes;
mod sources;
mod story;
mod sweep;
mod within;
pub use self::database::parse;
pub use self::roles::{GrantedRoles, free_address, until_ready};
pub use self::shapes::decide;

//! The erasure map on a real PostgreSQL: what the gate finds, what is drafted and generated, and what the commands
//! say.

mod commands;
mod database;
mod drift;
mod engine;
mod findings;
mod hostile;
mod shapes;
mod story;
mod sweep;
pub use self::database::parse;
pub use self::shapes::decide;

//! The pipeline that joins queue, store and deletion: claim, delete objects, settle.

mod claimer;
mod gate;
mod job;
mod outcome;
mod pace;
mod root;
mod run;
mod settle;
mod shared;
mod upkeep;

pub use run::{Options, run};
pub use shared::Status;

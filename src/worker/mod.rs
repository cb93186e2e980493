//! The pipeline that joins queue, store and deletion: claim, delete objects, settle.

mod audit;
mod claimer;
mod gate;
mod job;
mod outcome;
mod pace;
mod report;
mod root;
mod run;
mod settle;
mod shared;
mod upkeep;
mod watermarks;

pub use run::{Options, run};
pub use shared::{Status, WorkerProblem};

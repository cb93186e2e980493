//! The command line.

pub mod args;
pub mod check;
pub mod evidence;
pub mod map;
pub mod notices;
pub mod openapi;
pub mod person;
pub mod print;
mod progress;
pub mod receipts;
pub mod reconcile;
pub mod safety;
#[cfg(feature = "dev")]
pub mod send_webhook;
pub mod settings;
pub mod tasks;

//! The command line.

pub mod args;
#[cfg(feature = "dev")]
pub mod send_webhook;
pub mod settings;

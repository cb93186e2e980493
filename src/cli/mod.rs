//! The command line.

pub mod args;
pub mod settings;
//! What the terminal adds around the service.

#[cfg(feature = "dev")]
pub mod send_webhook;

//! What the service says about itself.

pub mod logging;
pub mod metrics;

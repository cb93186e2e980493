//! What the service says about itself.

pub mod gauges;
pub mod logging;
pub mod metrics;

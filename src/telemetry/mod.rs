//! What the service says about itself.

mod database_gauges;
mod families;
pub mod gauges;
pub mod http_metrics;
pub mod logging;
pub mod metrics;
pub mod traces;
mod worker_gauges;

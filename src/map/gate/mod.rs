//! The gate: what in the database the map does not speak of, what would be dangerous, and what is out of date.

mod danger;
mod domain;
mod finding;
mod indexes;
mod kept;
pub(super) mod names;
mod references;
mod report;
mod scope;
mod stale;
mod strays;
mod suspects;
pub(super) mod values;

pub use self::finding::{Code, Finding, Severity};
pub(in crate::map) use self::references::cascading_without_rule;
pub(in crate::map) use self::report::look;
pub use self::report::{GateOptions, GateResult, Report, inspect, open_questions};
pub use self::scope::Scope;
pub use self::strays::{LETHES_TABLES, NEWEST_MIGRATION};

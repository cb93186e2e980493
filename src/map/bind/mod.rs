//! A map and a catalog put together: every name of the file found in the catalog, every rule as a reference between
//! two tables. What cannot be found is a problem that the gate reports.

mod bound;
mod build;
mod compare;
mod reach;

pub use self::bound::*;
pub use self::build::bind;
pub use self::compare::equal;
pub use self::reach::{Reached, reach};

//! `lethe map`: reads the file, and prints what the room `map` says of it and of the database.

mod invalid;
mod load;
mod report;
mod run;
mod sweep;

pub use self::invalid::tell_invalid;
pub use self::load::{InvalidFile, LoadedMap, load};
pub use self::run::{MapOutput, run, tell_applied};
pub use self::sweep::sweep;

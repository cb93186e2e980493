//! `lethe map`: reads the file, and prints what the room `map` says of it and of the database.

mod grants;
mod invalid;
mod load;
mod output;
mod report;
mod run;
mod sweep;

pub use self::invalid::tell_invalid;
pub use self::load::{InvalidFile, LoadedMap, load};
pub use self::output::MapOutput;
pub use self::run::{run, tell_applied};
pub use self::sweep::sweep;

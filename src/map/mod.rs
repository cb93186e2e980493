//! The erasure map: what a person consists of in an application's own tables. One TOML file says it; this room
//! parses the file ([`mod@format`]), finds its names in PostgreSQL's catalog ([`catalog`], [`bind`]), says what it leaves
//! out and what would be dangerous ([`gate`]), drafts it ([`draft`]), compiles it into SQL functions ([`generate`],
//! [`plan`]), installs these ([`apply`]), proves them on a user ([`prove`]), lists the rights that Lethe needs
//! ([`grants`]), notices when the database no longer fits ([`drift`]), and finds whom an earlier map did not erase
//! whole ([`sweep`]).

pub mod apply;
pub mod bind;
pub mod catalog;
mod current;
pub mod draft;
pub mod drift;
pub mod format;
pub mod gate;
pub mod generate;
pub mod grants;
mod installed;
pub mod plan;
pub mod prove;
pub mod sweep;

pub use self::current::{DatabaseMap, current, of_database};

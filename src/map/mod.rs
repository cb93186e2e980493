//! The erasure map: what a person consists of in an application's own tables. One TOML file says it; this room
//! parses the file ([`format`]), compares it with PostgreSQL's catalog ([`catalog`], [`bind`], [`gate`]), drafts it
//! ([`draft`]) and compiles it into SQL functions ([`generate`]).

pub mod bind;
pub mod catalog;
pub mod format;

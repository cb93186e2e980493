//! Drafts a map from the catalog. Every action that a person must decide is `"TODO"`.

mod build;
mod guess;
mod size;
mod sketch;

pub use self::build::draft;

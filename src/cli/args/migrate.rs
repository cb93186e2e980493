//! The flags of `lethe migrate`.

use clap::Args;

use crate::cli::settings::{Migrating, Settings};

/// Of `lethe migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Only tell whether migrations or the map are due; change nothing
    #[arg(long)]
    pub check: bool,
    /// Apply a map that does not speak of every reference; every receipt then says `incomplete`
    #[arg(long)]
    pub allow_incomplete: bool,
    /// The settings given as flags.
    #[command(flatten)]
    pub settings: Settings<Migrating>,
}

//! The flags of `lethe notices`.

use clap::{ArgGroup, Args, Subcommand};
use uuid::Uuid;

use crate::cli::settings::{Queueing, Settings};

/// Stands below the flags of `lethe notices`.
pub(super) const HELP: &str = "\
Examples:
  lethe notices list
  lethe notices retry --all

Exit codes:
  0  done
  1  failed
  2  bad flags or bad configuration";

/// Of `lethe notices`.
#[derive(Debug, Args)]
pub struct NoticesArgs {
    /// What to do with notices.
    #[command(subcommand)]
    pub command: NoticesCommand,
    /// The settings given as flags.
    #[command(flatten)]
    pub settings: Settings<Queueing>,
}

/// What to do with notices.
#[derive(Debug, Subcommand)]
pub enum NoticesCommand {
    /// Show the newest 200 notices that are not delivered, with their last errors
    List,
    /// Deliver again what failed, from the first attempt on
    ///
    /// A receiver that answered 410 Gone gets notices again.
    Retry(RetryNoticesArgs),
}

/// Of `lethe notices retry`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["ids", "all"])))]
pub struct RetryNoticesArgs {
    /// The notices' ids
    #[arg(value_name = "ID")]
    pub ids: Vec<Uuid>,
    /// All that failed
    #[arg(long)]
    pub all: bool,
}

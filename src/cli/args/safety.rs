//! The flags of `lethe pause`, `lethe resume` and `lethe erasures`.

use clap::{ArgGroup, Args, Subcommand};

use crate::cli::settings::{Queueing, Settings};
use crate::tasks::Reason;

/// Of `lethe pause` and `lethe resume`.
#[derive(Debug, Args)]
pub struct PauseArgs {
    /// Why, for the audit trail; 1 to 500 characters
    #[arg(long, value_name = "TEXT", value_parser = Reason::parse)]
    pub reason: Reason,
    /// Print JSON, as the API does
    #[arg(long)]
    pub json: bool,
    /// The settings given as flags.
    #[command(flatten)]
    pub settings: Settings<Queueing>,
}

/// Of `lethe erasures`.
#[derive(Debug, Args)]
pub struct ErasuresArgs {
    /// What to do with erasures.
    #[command(subcommand)]
    pub command: ErasuresCommand,
    /// The settings given as flags.
    #[command(flatten)]
    pub settings: Settings<Queueing>,
}

/// What to do with erasures.
#[derive(Debug, Subcommand)]
pub enum ErasuresCommand {
    /// Cancel erasures of users that have not begun
    ///
    /// An erasure has not begun as long as no worker has claimed a task of it: while it is held or delayed, or while
    /// claiming is paused. The user's rows are live again exactly as before, and the tombstone is gone.
    #[command(after_long_help = "\
Examples:
  lethe erasures cancel user_2abc --reason \"deleted by mistake\"
  lethe erasures cancel --held --reason \"the signing secret has leaked\"")]
    Cancel(CancelArgs),
}

/// Of `lethe erasures cancel`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["users", "held"])))]
pub struct CancelArgs {
    /// The users' ids
    #[arg(value_name = "USER")]
    pub users: Vec<String>,
    /// All erasures that the limit holds
    #[arg(long)]
    pub held: bool,
    /// Why, for the audit trail; 1 to 500 characters
    #[arg(long, value_name = "TEXT", value_parser = Reason::parse)]
    pub reason: Reason,
}

//! The flags of `lethe reconcile`.

use clap::{Args, Subcommand};

use crate::cli::settings::{Reconciling, Settings};

/// Of `lethe reconcile`.
#[derive(Debug, Args)]
pub struct ReconcileArgs {
    /// What to compare with, if not the queue.
    #[command(subcommand)]
    pub command: Option<ReconcileCommand>,
    /// Write the tasks that are missing; else only report them
    #[arg(long, global = true)]
    pub apply: bool,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// The settings given as flags.
    #[command(flatten)]
    pub settings: Settings<Reconciling>,
}

/// What to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum ReconcileCommand {
    /// Find users that Clerk no longer has, and with --apply erase them
    ///
    /// Asks Clerk's Backend API for every live user here, and a second time and alone for each that
    /// its list leaves out. Reports who is missing and changes nothing, unless --apply is given.
    /// Any failure, an empty or cut answer, or too many missing users ends it with nothing erased.
    /// Users younger than a minute, and ids that are none of Clerk's, are left alone. Workers do the
    /// same every RECONCILE_CLERK_INTERVAL_MS, if that is set.
    #[command(after_long_help = "\
Examples:
  lethe reconcile clerk                                 # report, change nothing
  lethe reconcile clerk --apply
  CLERK_SECRET_KEY_FILE=/run/secrets/clerk lethe reconcile clerk --json

Exit codes:
  0  done
  1  failed, or stopped because too many users would be taken
  2  bad flags or bad configuration; nothing was compared")]
    Clerk,
}

//! The flags of `lethe tasks`.

use clap::{ArgGroup, Args, Subcommand};

use crate::cli::settings::{Queueing, Settings};
use crate::tasks::Reason;
use crate::vocabulary::{ErrorClass, TaskId, TaskKind, TaskStatus};

/// The most items that one listing shows, as in the API.
pub(super) const MAX_LISTING: u16 = 200;

/// Of `lethe tasks`.
#[derive(Debug, Args)]
pub struct TasksArgs {
    /// What to do with the queue.
    #[command(subcommand)]
    pub command: TasksCommand,
    /// The settings given as flags.
    #[command(flatten)]
    pub settings: Settings<Queueing>,
}

/// What to do with the queue.
#[derive(Debug, Subcommand)]
pub enum TasksCommand {
    /// List tasks, the newest first
    #[command(after_long_help = "\
Examples:
  lethe tasks list
  lethe tasks list --status dead --user-id user_2abc")]
    List(ListArgs),
    /// Show one task with its attempts, its last error and what remains of it
    #[command(after_long_help = "\
Examples:
  lethe tasks show 42
  lethe tasks show 42 --json")]
    Show {
        /// The task's id
        #[arg(value_name = "ID", value_parser = task_id)]
        id: TaskId,
        /// Print JSON, as the API does
        #[arg(long)]
        json: bool,
    },
    /// Have tasks tried again now
    ///
    /// The reason goes to the audit trail. A completed or cancelled task cannot be retried.
    #[command(after_long_help = "\
Examples:
  lethe tasks retry 42 43 --reason \"object lock lifted\"
  lethe tasks retry --all-dead --reason \"bucket policy mended\"
  lethe tasks retry --all-dead --reason \"bucket policy mended\" --dry-run --json")]
    Retry(RetryArgs),
    /// Count tasks by status, and show the age of the oldest that is due
    Stats {
        /// Print JSON, as the API does
        #[arg(long)]
        json: bool,
    },
}

/// Of `lethe tasks list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only tasks with this status
    #[arg(long, value_enum)]
    pub status: Option<TaskStatus>,
    /// Only tasks of this kind
    #[arg(long, value_enum)]
    pub kind: Option<TaskKind>,
    /// Only tasks of this user
    #[arg(long, value_name = "ID")]
    pub user_id: Option<String>,
    /// Only tasks about this type of thing
    #[arg(long, value_enum)]
    pub entity_type: Option<String>,
    /// Only tasks about the sample, image or user with this id
    #[arg(long, value_name = "ID")]
    pub entity_id: Option<String>,
    /// Only tasks whose last attempt ended with this class of error
    #[arg(long, value_enum)]
    pub error_class: Option<ErrorClass>,
    /// Only the parts of this erasure
    #[arg(long, value_name = "TASK_ID", value_parser = task_id)]
    pub parent_id: Option<TaskId>,
    /// How many tasks to show
    #[arg(long, value_name = "N", default_value_t = 50,
          value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_LISTING)))]
    pub limit: u16,
    /// Go on where the last page of the same filters ended: its nextCursor
    #[arg(long, value_name = "CURSOR")]
    pub cursor: Option<String>,
    /// Print JSON, as the API does
    #[arg(long)]
    pub json: bool,
}

/// Of `lethe tasks retry`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["ids", "all_dead"])))]
pub struct RetryArgs {
    /// The tasks' ids
    #[arg(value_name = "ID", value_parser = task_id)]
    pub ids: Vec<TaskId>,
    /// All tasks that are dead
    #[arg(long)]
    pub all_dead: bool,
    /// Why, for the audit trail; 1 to 500 characters
    #[arg(long, value_name = "TEXT", value_parser = Reason::parse)]
    pub reason: Reason,
    /// Only tell what would be tried again; nothing is changed
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON, as the API does: with --all-dead one document, else one for each task
    #[arg(long)]
    pub json: bool,
}

pub(super) fn task_id(text: &str) -> Result<TaskId, &'static str> {
    TaskId::parse(text)
        .filter(|id| id.0 > 0)
        .ok_or("is not a task's id, a whole number")
}

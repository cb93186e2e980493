//! The flags of `lethe erase`, `receipt`, `audit` and `deleted`.

use clap::Args;

use super::tasks::{MAX_LISTING, task_id};
use crate::cli::settings::{Queueing, Settings};
use crate::tasks::Reason;
use crate::vocabulary::{AuditEvent, TaskId, TaskStatus, Timestamp, UserId};

/// Of `lethe erase`.
#[derive(Debug, Args)]
pub struct EraseArgs {
    /// The Clerk user to erase
    #[arg(value_name = "USER_ID", value_parser = UserId::parse)]
    pub user_id: UserId,
    /// Do not show the plan, and do not ask for the id to be typed again
    #[arg(long)]
    pub yes: bool,
    /// Why, for the audit trail; 1 to 500 characters
    #[arg(long, value_name = "TEXT", value_parser = Reason::parse)]
    pub reason: Option<Reason>,
    /// Print JSON, as the API does
    #[arg(long)]
    pub json: bool,
    /// The settings given as flags.
    #[command(flatten)]
    pub settings: Settings<Queueing>,
}

/// Of `lethe receipt`.
#[derive(Debug, Args)]
pub struct ReceiptArgs {
    /// The Clerk user
    #[arg(value_name = "USER_ID", value_parser = UserId::parse)]
    pub user_id: UserId,
    /// Print JSON, as the API does
    #[arg(long)]
    pub json: bool,
    /// The settings given as flags.
    #[command(flatten)]
    pub settings: Settings<Queueing>,
}

/// Of `lethe audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Only entries of this event
    #[arg(long, value_enum)]
    pub event: Option<AuditEvent>,
    /// Only entries of this actor, as recorded: user:ID, admin:NAME, cli:USER and others
    #[arg(long, value_name = "ACTOR")]
    pub actor: Option<String>,
    /// Only entries of this task
    #[arg(long, value_name = "ID", value_parser = task_id)]
    pub task_id: Option<TaskId>,
    /// Only entries about this type of thing
    #[arg(long, value_enum)]
    pub entity_type: Option<String>,
    /// Only entries about the sample, image or user with this id
    #[arg(long, value_name = "ID")]
    pub entity_id: Option<String>,
    /// Only entries of this user
    #[arg(long, value_name = "ID")]
    pub user_id: Option<String>,
    /// Only entries of this time or later, such as 2026-11-24T18:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub after: Option<Timestamp>,
    /// Only entries before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub before: Option<Timestamp>,
    /// Which page, and how.
    #[command(flatten)]
    pub page: PageArgs,
    /// The settings given as flags.
    #[command(flatten)]
    pub settings: Settings<Queueing>,
}

/// Of `lethe deleted`.
#[derive(Debug, Args)]
pub struct DeletedArgs {
    /// Only rows of this type
    #[arg(long, value_enum)]
    pub entity_type: Option<String>,
    /// Only the row with this id
    #[arg(long, value_name = "ID")]
    pub entity_id: Option<String>,
    /// Only rows of this user
    #[arg(long, value_name = "ID")]
    pub user_id: Option<String>,
    /// Only rows that this actor deleted, as recorded
    #[arg(long, value_name = "ACTOR")]
    pub deleted_by: Option<String>,
    /// Only rows deleted at this time or later, such as 2026-11-24T18:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub deleted_after: Option<Timestamp>,
    /// Only rows deleted before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub deleted_before: Option<Timestamp>,
    /// Only rows whose open task has this status
    #[arg(long, value_enum)]
    pub task_status: Option<TaskStatus>,
    /// Which page, and how.
    #[command(flatten)]
    pub page: PageArgs,
    /// The settings given as flags.
    #[command(flatten)]
    pub settings: Settings<Queueing>,
}

/// Which page of a list is shown, and how.
#[derive(Debug, Args)]
pub struct PageArgs {
    /// How many items to show
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

fn time(text: &str) -> Result<Timestamp, &'static str> {
    Timestamp::parse(text).ok_or("is not a time such as 2026-11-24T18:00:00Z")
}

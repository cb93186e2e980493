//! `lethe pause`, `lethe resume` and `lethe erasures`: stop, look, and take back, straight on the database.

use poem_openapi::types::ToJSON;
use serde_json::json;
use sqlx::PgConnection;

use super::args::{CancelArgs, PauseArgs};
use crate::db::sqlstate::{Meaning, meaning};
use crate::evidence;
use crate::safety::{self, CancelOutcome};

/// Why such a command failed.
#[derive(Debug, thiserror::Error)]
pub enum SafetyError {
    /// The database refused.
    #[error("the database refuses")]
    Database(#[source] sqlx::Error),
    /// The tables are not there.
    #[error("the database is not migrated; run `lethe migrate`")]
    NotMigrated,
}

impl From<sqlx::Error> for SafetyError {
    fn from(error: sqlx::Error) -> Self {
        match meaning(&error) {
            Meaning::NotMigrated => Self::NotMigrated,
            _ => Self::Database(error),
        }
    }
}

/// What a command prints, and whether everything that was asked for was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafetyOutput {
    /// For standard output.
    pub text: String,
    /// For standard error, a line each; none if everything was done.
    pub refused: Vec<String>,
}

impl From<String> for SafetyOutput {
    fn from(text: String) -> Self {
        Self {
            text,
            refused: Vec::new(),
        }
    }
}

/// Stops all claiming.
///
/// # Errors
/// When the database refuses.
pub async fn pause(
    connection: &mut PgConnection,
    args: &PauseArgs,
    actor: &str,
) -> Result<SafetyOutput, SafetyError> {
    safety::pause(connection, actor, &args.reason).await?;
    let settings = safety::settings(connection).await?;
    if args.json {
        return Ok(format!("{:#}", settings.to_json().unwrap_or_default()).into());
    }
    let text = "paused: no worker begins a task until `lethe resume`; what is claimed is finished";
    Ok(text.to_owned().into())
}

/// Ends the pause, and releases what the limit holds.
///
/// # Errors
/// When the database refuses.
pub async fn resume(
    connection: &mut PgConnection,
    args: &PauseArgs,
    actor: &str,
) -> Result<SafetyOutput, SafetyError> {
    let released = safety::resume(connection, actor, &args.reason).await?;
    if args.json {
        return Ok(format!("{:#}", json!({ "released": released })).into());
    }
    Ok(format!("resumed; {released} held erasures were released").into())
}

/// Cancels erasures that have not begun.
///
/// # Errors
/// When the database refuses. What was cancelled before stays cancelled.
pub async fn cancel(
    connection: &mut PgConnection,
    args: &CancelArgs,
    actor: &str,
) -> Result<SafetyOutput, SafetyError> {
    if args.held {
        let total = safety::cancel_held(connection, actor, &args.reason).await?;
        let mut text = format!(
            "cancelled {} held erasures; the users of these who have rows are live again",
            total.cancelled
        );
        if total.left > 0 {
            text.push_str(&format!(
                "; {} were released or cancelled meanwhile",
                total.left
            ));
        }
        return Ok(text.into());
    }
    let mut lines = Vec::new();
    let mut refused = Vec::new();
    for user_id in &args.users {
        let id = user_id.clone().into();
        match safety::cancel(connection, &id, actor, Some(&args.reason)).await? {
            CancelOutcome::Cancelled => {
                let now = match evidence::is_user_known(connection, &id).await? {
                    true => "the user is live again",
                    false => "nobody knows this user, so no row came back; a user of this id can sign up again",
                };
                lines.push(format!("{user_id}: cancelled; {now}"));
            }
            CancelOutcome::Begun => refused.push(format!(
                "{user_id}: the erasure has begun or ended, so objects may be gone; it cannot be cancelled"
            )),
            CancelOutcome::Unknown => refused.push(format!("{user_id}: there is no erasure to cancel")),
        }
    }
    Ok(SafetyOutput {
        text: lines.join("\n"),
        refused,
    })
}

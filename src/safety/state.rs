//! What holds now, for people, health, metrics and the log.

use poem_openapi::Object;
use sqlx::{PgExecutor, query_file, query_file_as};

use crate::vocabulary::Timestamp;

/// Pause and limits. They hold for all processes, and for SQL of the application.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct SafetySettings {
    /// While this is true, no task is claimed.
    pub paused: bool,
    pub paused_at: Option<Timestamp>,
    pub paused_by: Option<String>,
    pub paused_reason: Option<String>,
    /// Most users erased within an hour by all sources together; more are held. 0: no limit.
    pub erasure_limit_per_hour: i32,
    /// How many of these the last hour has used up.
    pub erased_within_hour: i64,
    /// How long an erasure rests before its first object may be deleted, in milliseconds.
    pub user_erasure_delay_ms: i64,
    /// Erasures that wait for a person to release or cancel them.
    pub erasures_held: i64,
}

/// A pause of all claiming.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseState {
    pub at: Timestamp,
    pub by: String,
    pub reason: String,
}

/// What processes watch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SafetyState {
    /// `None` while tasks are claimed.
    pub pause: Option<PauseState>,
    /// Erasures that wait for a person to release or cancel them.
    pub held: i64,
    /// The applied erasure map does not speak of every reference.
    pub is_map_incomplete: bool,
}

impl SafetyState {
    /// # Errors
    /// Those of the database.
    pub async fn read(executor: impl PgExecutor<'_>) -> Result<Self, sqlx::Error> {
        let row = query_file!("sql/safety/watch.sql")
            .fetch_one(executor)
            .await?;
        let pause = row.paused_at.map(|at| PauseState {
            at,
            by: row.paused_by.unwrap_or_default(),
            reason: row.paused_reason.unwrap_or_default(),
        });
        Ok(Self {
            pause,
            held: row.held,
            is_map_incomplete: row.is_map_incomplete,
        })
    }
}

/// Reads pause and limits.
///
/// # Errors
/// Those of the database.
pub async fn settings(executor: impl PgExecutor<'_>) -> Result<SafetySettings, sqlx::Error> {
    struct Row {
        paused_at: Option<Timestamp>,
        paused_by: Option<String>,
        paused_reason: Option<String>,
        erasure_limit_per_hour: i32,
        user_erasure_delay_ms: i64,
        erased_within_hour: i64,
        erasures_held: i64,
    }
    let row = query_file_as!(Row, "sql/safety/state.sql")
        .fetch_one(executor)
        .await?;
    Ok(SafetySettings {
        paused: row.paused_at.is_some(),
        paused_at: row.paused_at,
        paused_by: row.paused_by,
        paused_reason: row.paused_reason,
        erasure_limit_per_hour: row.erasure_limit_per_hour,
        erased_within_hour: row.erased_within_hour,
        user_erasure_delay_ms: row.user_erasure_delay_ms,
        erasures_held: row.erasures_held,
    })
}

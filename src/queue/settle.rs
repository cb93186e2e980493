//! Ends claims. Only a claim whose token is still current may be written.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};

use super::backoff::RetryPolicy;
use super::claim::Claim;
use crate::vocabulary::{ErrorClass, SettleOutcome, TaskId, TaskStatus};

/// How a claim ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// No key of the task remains to be deleted, and no row.
    Completed,
    /// The task goes back to the queue and the attempt is not counted, because there is more to do, or because a
    /// shutdown or an outage ended the attempt.
    Released {
        delay: Duration,
        error: Option<(ErrorClass, String)>,
    },
    /// The attempt failed. The task is tried again after `delay`.
    Failed {
        delay: Duration,
        class: ErrorClass,
        error: String,
    },
    /// The task is not tried again unless a person requests it.
    Dead { class: ErrorClass, error: String },
}

impl Verdict {
    /// The task goes back to the queue at once, without an error.
    pub const RELEASED: Self = Self::Released {
        delay: Duration::ZERO,
        error: None,
    };

    /// `dead` if no retry can help, or if the class leads to `dead` and this was the last attempt. Otherwise another
    /// attempt is made later.
    #[must_use]
    pub fn failed(class: ErrorClass, error: String, attempts: i32, policy: RetryPolicy) -> Self {
        let is_last = class.leads_to_dead() && attempts >= policy.max_attempts;
        if class == ErrorClass::Permanent || is_last {
            return Self::Dead { class, error };
        }
        Self::Failed {
            delay: policy.backoff.random_delay(attempts),
            class,
            error,
        }
    }

    /// The verdict's name in the metrics.
    #[must_use]
    pub const fn outcome(&self) -> SettleOutcome {
        match self {
            Self::Completed => SettleOutcome::Completed,
            Self::Released { .. } => SettleOutcome::Released,
            Self::Failed { .. } => SettleOutcome::Failed,
            Self::Dead { .. } => SettleOutcome::Dead,
        }
    }

    /// Why the attempt did not complete the task, if there is an error to show.
    #[must_use]
    pub fn error(&self) -> Option<(ErrorClass, &str)> {
        match self {
            Self::Completed => None,
            Self::Released { error, .. } => error
                .as_ref()
                .map(|(class, error)| (*class, error.as_str())),
            Self::Failed { class, error, .. } | Self::Dead { class, error } => {
                Some((*class, error))
            }
        }
    }
}

/// A verdict for a task.
#[derive(Clone, Debug)]
pub struct TaskVerdict {
    /// The task.
    pub id: TaskId,
    /// How its claim ends.
    pub verdict: Verdict,
    /// Whether it runs alone from now on, in the bulk lane, because its rows are slow or held.
    pub to_bulk: bool,
}

/// Locks the claims whose tokens are still current, in id order, and returns their ids. A missing claim has ended:
/// the task was rescued, or an earlier try of this worker committed and only its answer was lost. The caller must not
/// change that task.
///
/// # Errors
/// When the database refuses; the transaction is to be rolled back.
pub async fn lock_claims(
    connection: &mut PgConnection,
    claims: &[&Claim],
) -> Result<Vec<TaskId>, sqlx::Error> {
    let mut claims: Vec<(TaskId, i64)> = claims.iter().map(|c| (c.id, c.lease_token)).collect();
    claims.sort_unstable();
    let (ids, tokens): (Vec<TaskId>, Vec<i64>) = claims.into_iter().unzip();
    sqlx::query_file_scalar!("sql/queue/lock_claims.sql", &ids as &[TaskId], &tokens)
        .fetch_all(connection)
        .await
}

/// Writes verdicts of locked claims. Completed tasks are no longer there and are left out.
///
/// # Errors
/// When the database refuses; the transaction is to be rolled back.
pub async fn finish(
    connection: &mut PgConnection,
    tasks: &[TaskVerdict],
) -> Result<(), sqlx::Error> {
    let mut rows = Rows::default();
    for task in tasks {
        rows.push(task);
    }
    if !rows.ids.is_empty() {
        sqlx::query_file!(
            "sql/queue/finish.sql",
            &rows.ids as &[TaskId],
            &rows.statuses as &[TaskStatus],
            &rows.attempts_not_counted,
            &rows.delays,
            &rows.errors as &[Option<&str>],
            &rows.classes as &[Option<ErrorClass>],
            &rows.to_bulk
        )
        .execute(connection)
        .await?;
    }
    Ok(())
}

/// The columns of `finish.sql`.
#[derive(Default)]
struct Rows<'a> {
    ids: Vec<TaskId>,
    statuses: Vec<TaskStatus>,
    attempts_not_counted: Vec<i32>,
    delays: Vec<f64>,
    errors: Vec<Option<&'a str>>,
    classes: Vec<Option<ErrorClass>>,
    to_bulk: Vec<bool>,
}

impl<'a> Rows<'a> {
    fn push(&mut self, task: &'a TaskVerdict) {
        let (status, attempts_not_counted, delay) = match &task.verdict {
            Verdict::Completed => return,
            Verdict::Released { delay, .. } => (TaskStatus::Pending, 1, *delay),
            Verdict::Failed { delay, .. } => (TaskStatus::Failed, 0, *delay),
            Verdict::Dead { .. } => (TaskStatus::Dead, 0, Duration::ZERO),
        };
        let (class, error) = task.verdict.error().unzip();
        self.ids.push(task.id);
        self.statuses.push(status);
        self.attempts_not_counted.push(attempts_not_counted);
        self.delays.push(delay.as_secs_f64());
        self.errors.push(error);
        self.classes.push(class);
        self.to_bulk.push(task.to_bulk);
    }
}

/// Stores in each task of `touched` its remaining keys only. `tasks` and `keys` are pairs of a task and a key.
///
/// # Errors
/// When the database refuses; the transaction is to be rolled back.
pub async fn keep_keys(
    connection: &mut PgConnection,
    touched: &[TaskId],
    tasks: &[TaskId],
    keys: &[String],
) -> Result<(), sqlx::Error> {
    if !touched.is_empty() {
        sqlx::query_file!(
            "sql/queue/keep_keys.sql",
            touched as &[TaskId],
            tasks as &[TaskId],
            keys
        )
        .execute(connection)
        .await?;
    }
    Ok(())
}

/// Which parts of a task hold it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// All that are not finished.
    Open,
    /// Those that are waiting or running for the first time.
    Fresh,
}

/// Wakes the parents which no part holds up any more. Call it after the commit that ended a part or an attempt.
///
/// # Errors
/// When the statement fails. A parent that is not woken runs by itself later.
pub async fn wake_parents(
    pool: &PgPool,
    parents: &[TaskId],
    parts: Parts,
) -> Result<(), sqlx::Error> {
    if !parents.is_empty() {
        sqlx::query_file!(
            "sql/queue/wake_parents.sql",
            parents as &[TaskId],
            parts == Parts::Open
        )
        .execute(pool)
        .await?;
    }
    Ok(())
}

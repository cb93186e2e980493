//! Ending claims: every write is fenced by the claim's token.

use std::time::Duration;

use sqlx::PgConnection;

use super::ErrorClass;
use super::claim::Claim;

/// What becomes of a claimed task.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Each key was answered for and nothing is left.
    Completed,
    /// There is more to do, or the attempt was ended by a shutdown or an outage: the attempt is given back.
    Continued {
        delay: Duration,
        error: Option<(ErrorClass, String)>,
    },
    /// Tried again after `delay`.
    Failed {
        delay: Duration,
        class: ErrorClass,
        error: String,
    },
    /// A person must look.
    Dead { class: ErrorClass, error: String },
}

/// A verdict for a task.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The task.
    pub id: i64,
    /// What becomes of it.
    pub verdict: Verdict,
}

/// Locks the claims that are still this worker's, in id order, and returns their ids. A claim that is
/// missing was taken by another: its worker lost the lease and must change nothing.
///
/// # Errors
/// When the database refuses; the transaction is to be rolled back.
pub async fn lock_claims(
    connection: &mut PgConnection,
    claims: &[&Claim],
) -> Result<Vec<i64>, sqlx::Error> {
    let mut claims: Vec<(i64, i64)> = claims.iter().map(|c| (c.id, c.lease_token)).collect();
    claims.sort_unstable();
    let (ids, tokens): (Vec<i64>, Vec<i64>) = claims.into_iter().unzip();
    sqlx::query_file_scalar!("sql/queue/lock_claims.sql", &ids, &tokens)
        .fetch_all(connection)
        .await
}

/// Writes verdicts of locked claims.
///
/// # Errors
/// When the database refuses; the transaction is to be rolled back.
pub async fn finish(connection: &mut PgConnection, settled: &[Settled]) -> Result<(), sqlx::Error> {
    let completed: Vec<i64> = settled
        .iter()
        .filter(|task| task.verdict == Verdict::Completed)
        .map(|task| task.id)
        .collect();
    if !completed.is_empty() {
        sqlx::query_file!("sql/queue/finish_completed.sql", &completed)
            .execute(&mut *connection)
            .await?;
    }
    let mut rows = Rows::default();
    for task in settled {
        rows.push(task);
    }
    if !rows.ids.is_empty() {
        sqlx::query_file!(
            "sql/queue/finish.sql",
            &rows.ids,
            &rows.statuses as &[&str],
            &rows.given_back,
            &rows.delays,
            &rows.errors as &[Option<&str>],
            &rows.classes as &[Option<&str>]
        )
        .execute(connection)
        .await?;
    }
    Ok(())
}

/// The columns of `finish.sql`.
#[derive(Default)]
struct Rows<'a> {
    ids: Vec<i64>,
    statuses: Vec<&'static str>,
    given_back: Vec<i32>,
    delays: Vec<f64>,
    errors: Vec<Option<&'a str>>,
    classes: Vec<Option<&'static str>>,
}

impl<'a> Rows<'a> {
    fn push(&mut self, task: &'a Settled) {
        let (status, given_back, delay, error) = match &task.verdict {
            Verdict::Completed => return,
            Verdict::Continued { delay, error } => (
                "pending",
                1,
                *delay,
                error.as_ref().map(|(class, error)| (*class, error)),
            ),
            Verdict::Failed {
                delay,
                class,
                error,
            } => ("failed", 0, *delay, Some((*class, error))),
            Verdict::Dead { class, error } => ("dead", 0, Duration::ZERO, Some((*class, error))),
        };
        self.ids.push(task.id);
        self.statuses.push(status);
        self.given_back.push(given_back);
        self.delays.push(delay.as_secs_f64());
        self.errors.push(error.map(|(_, error)| error.as_str()));
        self.classes.push(error.map(|(class, _)| class.as_str()));
    }
}

/// Keeps, for each of `touched`, only the keys that remain: pairs of task and key.
///
/// # Errors
/// When the database refuses; the transaction is to be rolled back.
pub async fn keep_keys(
    connection: &mut PgConnection,
    touched: &[i64],
    tasks: &[i64],
    keys: &[String],
) -> Result<(), sqlx::Error> {
    if !touched.is_empty() {
        sqlx::query_file!("sql/queue/keep_keys.sql", touched, tasks, keys)
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Wakes the roots whose last part has ended. Run after the commit that ended it.
///
/// # Errors
/// When the database cannot be asked; roots look by themselves too.
pub async fn wake_roots(pool: &sqlx::PgPool, roots: &[i64]) -> Result<(), sqlx::Error> {
    if !roots.is_empty() {
        sqlx::query_file!("sql/queue/wake_roots.sql", roots)
            .execute(pool)
            .await?;
    }
    Ok(())
}

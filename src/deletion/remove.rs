//! Removes the rows whose objects were answered for, within the settle's transaction. What is removed, and why a row
//! stays, is decided in one place: the functions of schema `lethe_map`, which know the application's tables.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use crate::vocabulary::{TaskId, WorkerId};

/// Numbers of removed rows, by the type that the map gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemovedRows(BTreeMap<String, u64>);

impl RemovedRows {
    /// Rows of one type.
    #[must_use]
    pub fn of(of_type: &str, rows: u64) -> Self {
        let mut removed = Self::default();
        removed.add(of_type, rows);
        removed
    }

    fn add(&mut self, of_type: &str, rows: u64) {
        if rows > 0 {
            *self.0.entry(of_type.to_owned()).or_default() += rows;
        }
    }

    /// From a JSON object of numbers, by type; null is none.
    fn add_json(&mut self, rows: Option<&serde_json::Value>) {
        for (of_type, rows) in rows
            .and_then(serde_json::Value::as_object)
            .into_iter()
            .flatten()
        {
            self.add(of_type, rows.as_u64().unwrap_or_default());
        }
    }

    /// Each type with its number of rows.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0
            .iter()
            .map(|(of_type, rows)| (of_type.as_str(), *rows))
    }

    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// What is left of a task after its rows were removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing: the task is finished.
    Nothing,
    /// More rows, which the task names now. It can go on at once.
    More,
    /// Parts of the erasure, which it waits for.
    Parts,
    /// A row of this table, which another transaction holds.
    Held(String),
    /// A row of this table, which is still there although its DELETE was not refused and nobody holds it.
    Stays(String),
}

impl Rest {
    /// From the words of `lethe_map.settle_tasks`.
    fn parse(result: &str, table: Option<String>) -> Result<Self, sqlx::Error> {
        let table = table.unwrap_or_default();
        match result {
            "completed" => Ok(Self::Nothing),
            "more" => Ok(Self::More),
            "parts" => Ok(Self::Parts),
            "held" => Ok(Self::Held(table)),
            "stays" => Ok(Self::Stays(table)),
            other => Err(sqlx::Error::Decode(
                format!("unknown result of a settle: {other}").into(),
            )),
        }
    }
}

/// A task after its rows were removed.
#[derive(Clone, Debug)]
pub struct TaskRest {
    pub task: TaskId,
    pub rest: Rest,
    pub removed: RemovedRows,
}

/// Pairs of a task and one of its keys or rows, as columns.
#[derive(Debug, Default)]
pub struct TaskPairs {
    pub tasks: Vec<TaskId>,
    pub values: Vec<String>,
}

impl TaskPairs {
    pub fn push(&mut self, task: TaskId, value: &str) {
        self.tasks.push(task);
        self.values.push(value.to_owned());
    }
}

/// Whether rows that another transaction holds are waited for or skipped. To skip them, each row is locked first,
/// which costs time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldRows {
    Wait,
    Skip,
}

/// Removes the rows of tasks whose every key was answered for, and ends the tasks that have nothing left. `kept` are
/// the keys that stayed because another row names them.
///
/// # Errors
/// When the database refuses. The caller must roll the transaction back.
pub async fn settle_tasks(
    connection: &mut PgConnection,
    worker: &WorkerId,
    tasks: &[TaskId],
    kept: &TaskPairs,
    held: HeldRows,
) -> Result<Vec<TaskRest>, sqlx::Error> {
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_file!(
        "sql/deletion/settle_tasks.sql",
        worker.as_str(),
        tasks as &[TaskId],
        &kept.tasks as &[TaskId],
        &kept.values,
        held == HeldRows::Skip
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let mut removed = RemovedRows::default();
            if let Some(of_type) = &row.row_type {
                removed.add(of_type, count(row.named_rows));
            }
            removed.add_json(row.other_rows.as_ref());
            Ok(TaskRest {
                task: TaskId(row.task_id),
                rest: Rest::parse(&row.result, row.error)?,
                removed,
            })
        })
        .collect()
}

/// Removes the rows of tasks of which keys remain: those whose key is one of `answered`. Returns task and row of each.
///
/// # Errors
/// When the database refuses. The caller must roll the transaction back.
pub async fn settle_partly(
    connection: &mut PgConnection,
    tasks: &[TaskId],
    answered: &[String],
) -> Result<TaskPairs, sqlx::Error> {
    let mut removed = TaskPairs::default();
    if tasks.is_empty() || answered.is_empty() {
        return Ok(removed);
    }
    let rows = sqlx::query_file!(
        "sql/deletion/settle_partly.sql",
        tasks as &[TaskId],
        answered
    )
    .fetch_all(connection)
    .await?;
    for row in rows {
        removed.push(TaskId(row.task_id), &row.row_id);
    }
    Ok(removed)
}

/// Makes the next step of an erasure that does not fit into one task. The caller has locked its root.
///
/// # Errors
/// When the database refuses. The caller must roll the transaction back.
pub async fn step_erasure(
    connection: &mut PgConnection,
    worker: &WorkerId,
    root: TaskId,
    held: HeldRows,
) -> Result<TaskRest, sqlx::Error> {
    let row = sqlx::query_file!(
        "sql/deletion/step_erasure.sql",
        worker.as_str(),
        root.0,
        held == HeldRows::Skip
    )
    .fetch_one(connection)
    .await?;
    let mut removed = RemovedRows::default();
    removed.add_json(row.other_rows.as_ref());
    Ok(TaskRest {
        task: root,
        rest: Rest::parse(&row.result, row.error)?,
        removed,
    })
}

fn count(rows: i32) -> u64 {
    u64::try_from(rows).unwrap_or_default()
}

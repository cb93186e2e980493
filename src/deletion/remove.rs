//! Removes the rows whose objects were answered for, within the settle's transaction. What is removed, and why a row
//! stays, is decided in one place: the functions of `migrations/0006_settle.sql`.

use sqlx::PgConnection;

use crate::vocabulary::{TaskId, WorkerId};

/// Numbers of removed rows, by table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemovedRows {
    pub images: u64,
    pub samples: u64,
    pub collections: u64,
    pub users: u64,
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
    /// From the words of `lethe.settle_tasks`.
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
            Ok(TaskRest {
                task: TaskId(row.task_id),
                rest: Rest::parse(&row.result, row.error)?,
                removed: RemovedRows {
                    images: count(row.images),
                    samples: count(row.samples),
                    collections: count(row.collections),
                    users: count(row.users),
                },
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
    Ok(TaskRest {
        task: root,
        rest: Rest::parse(&row.result, row.error)?,
        removed: RemovedRows {
            images: 0,
            samples: count(row.samples),
            collections: count(row.collections),
            users: count(row.users),
        },
    })
}

fn count(rows: i32) -> u64 {
    u64::try_from(rows).unwrap_or_default()
}

//! What the answers look like, and how they are read from the database.

use chrono::{DateTime, Utc};
use poem_openapi::{Enum, Object, Tags, types::Example};
use sqlx::{PgExecutor, query_file_as};
use uuid::Uuid;

use crate::deletion::restore::LiveSample;

/// The groups of operations in the spec.
#[derive(Debug, Tags)]
pub(super) enum Tag {
    /// What Clerk calls.
    Webhooks,
    /// What users do with their own samples.
    Samples,
    /// For admins: users, what is deleted, the queue and the audit trail.
    Admin,
    /// For the platform.
    Operations,
}

/// What a deletion is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "kebab-case")]
pub enum EntityType {
    User,
    Collection,
    Sample,
    SampleImage,
}

impl EntityType {
    /// As it stands in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Collection => "collection",
            Self::Sample => "sample",
            Self::SampleImage => "sample-image",
        }
    }
}

/// Where a task is. `failed` is tried again at `scheduledAt`; `dead` waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "kebab-case")]
pub enum TaskStatus {
    Pending,
    Running,
    Failed,
    Completed,
    Dead,
    Cancelled,
}

impl TaskStatus {
    /// As it stands in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Failed => "failed",
            Self::Completed => "completed",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What kind of error the last one was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "kebab-case")]
pub enum ErrorClass {
    Transient,
    Throttle,
    Outage,
    Blocked,
    Permanent,
    Crash,
}

impl ErrorClass {
    /// As it stands in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Throttle => "throttle",
            Self::Outage => "outage",
            Self::Blocked => "blocked",
            Self::Permanent => "permanent",
            Self::Crash => "crash",
        }
    }
}

/// What an entry of the audit trail records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "kebab-case")]
pub enum AuditEvent {
    UserDeletionRequested,
    SampleDeletionRequested,
    ImageDeletionRequested,
    SampleRestored,
    TaskCompleted,
    TaskContinued,
    TaskFailed,
    TaskDead,
    TaskRetried,
    UserErased,
}

impl AuditEvent {
    /// As it stands in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UserDeletionRequested => "user-deletion-requested",
            Self::SampleDeletionRequested => "sample-deletion-requested",
            Self::ImageDeletionRequested => "image-deletion-requested",
            Self::SampleRestored => "sample-restored",
            Self::TaskCompleted => "task-completed",
            Self::TaskContinued => "task-continued",
            Self::TaskFailed => "task-failed",
            Self::TaskDead => "task-dead",
            Self::TaskRetried => "task-retried",
            Self::UserErased => "user-erased",
        }
    }
}

/// A deletion that was promised, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct Task {
    /// A number, as a string: it may exceed what JavaScript can count to.
    pub id: String,
    /// `sample-delete`, `image-delete`, `user-delete` or `user-delete-part`.
    pub kind: String,
    /// `user`, `collection`, `sample` or `sample-image`.
    pub entity_type: String,
    pub entity_id: String,
    /// Whose data it is.
    pub user_id: String,
    /// What remains to be deleted from the bucket. Empty once completed.
    pub object_keys: Vec<String>,
    /// `pending`, `running`, `failed`, `completed`, `dead` or `cancelled`.
    pub status: String,
    pub attempts: i32,
    /// When it is tried next.
    pub scheduled_at: DateTime<Utc>,
    pub last_error: Option<String>,
    /// `transient`, `throttle`, `outage`, `blocked`, `permanent` or `crash`.
    pub error_class: Option<String>,
    /// The worker that has claimed it.
    pub lease_owner: Option<String>,
    pub lease_expires_at: Option<DateTime<Utc>>,
    /// The erasure that this is a part of.
    pub parent_id: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

pub(super) fn example_time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_268_800, 0).unwrap_or_default()
}

const EXAMPLE_USER: &str = "user_2NNEqL2nrIRdJ194ndJqAHwEfxC";
const EXAMPLE_SAMPLE: &str = "0190b6e2-7c1f-7a3e-9d54-3f1b2c4d5e6f";

impl Example for Task {
    fn example() -> Self {
        Self {
            id: "42".into(),
            kind: "sample-delete".into(),
            entity_type: "sample".into(),
            entity_id: EXAMPLE_SAMPLE.into(),
            user_id: EXAMPLE_USER.into(),
            object_keys: vec!["samples/0190b6e2/front.jpg".into()],
            status: "pending".into(),
            attempts: 0,
            scheduled_at: example_time(),
            last_error: None,
            error_class: None,
            lease_owner: None,
            lease_expires_at: None,
            parent_id: None,
            created_at: example_time(),
            updated_at: example_time(),
            finished_at: None,
        }
    }
}

/// A task as the queries select it.
#[derive(Debug)]
pub(super) struct TaskRow {
    pub id: i64,
    pub kind: String,
    pub entity_type: String,
    pub entity_id: String,
    pub user_id: String,
    pub object_keys: Vec<String>,
    pub status: String,
    pub attempts: i32,
    pub scheduled_at: DateTime<Utc>,
    pub last_error: Option<String>,
    pub error_class: Option<String>,
    pub lease_owner: Option<String>,
    pub lease_expires_at: Option<DateTime<Utc>>,
    pub parent_id: Option<i64>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

impl TaskRow {
    pub async fn find(executor: impl PgExecutor<'_>, id: i64) -> Result<Option<Self>, sqlx::Error> {
        query_file_as!(Self, "sql/http/show_task.sql", id)
            .fetch_optional(executor)
            .await
    }
}

impl From<TaskRow> for Task {
    fn from(row: TaskRow) -> Self {
        Self {
            id: row.id.to_string(),
            kind: row.kind,
            entity_type: row.entity_type,
            entity_id: row.entity_id,
            user_id: row.user_id,
            object_keys: row.object_keys,
            status: row.status,
            attempts: row.attempts,
            scheduled_at: row.scheduled_at,
            last_error: row.last_error,
            error_class: row.error_class,
            lease_owner: row.lease_owner,
            lease_expires_at: row.lease_expires_at,
            parent_id: row.parent_id.map(|id| id.to_string()),
            created_at: row.created_at,
            updated_at: row.updated_at,
            finished_at: row.finished_at,
        }
    }
}

/// An entry of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct AuditEntry {
    pub id: String,
    pub at: DateTime<Utc>,
    /// What happened, such as `task-completed`.
    pub event: String,
    /// Who asked: `clerk:user.deleted`, `user:<id>`, `admin:<name>` or what SQL passed. Absent for a worker's own acts.
    pub actor: Option<String>,
    pub worker: Option<String>,
    pub task_id: Option<String>,
    pub kind: Option<String>,
    pub entity_type: Option<String>,
    pub entity_id: Option<String>,
    pub user_id: Option<String>,
    pub attempt: Option<i32>,
    /// Objects that the store confirmed to be gone.
    pub object_keys: Vec<String>,
    /// Objects that were kept, because a live image names them.
    pub kept_keys: Vec<String>,
    /// Rows that were removed, by id.
    pub image_ids: Vec<Uuid>,
    pub sample_ids: Vec<Uuid>,
    pub collection_ids: Vec<Uuid>,
    /// Rows of `users` that were removed.
    pub user_rows: i32,
    pub error_class: Option<String>,
    /// An error, or the reason that an admin gave.
    pub detail: Option<String>,
}

impl Example for AuditEntry {
    fn example() -> Self {
        Self {
            id: "7".into(),
            at: example_time(),
            event: "sample-deletion-requested".into(),
            actor: Some(format!("user:{EXAMPLE_USER}")),
            worker: None,
            task_id: Some("42".into()),
            kind: Some("sample-delete".into()),
            entity_type: Some("sample".into()),
            entity_id: Some(EXAMPLE_SAMPLE.into()),
            user_id: Some(EXAMPLE_USER.into()),
            attempt: None,
            object_keys: vec![],
            kept_keys: vec![],
            image_ids: vec![],
            sample_ids: vec![],
            collection_ids: vec![],
            user_rows: 0,
            error_class: None,
            detail: None,
        }
    }
}

/// An entry as the queries select it.
#[derive(Debug)]
pub(super) struct AuditRow {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub event: String,
    pub actor: Option<String>,
    pub worker: Option<String>,
    pub task_id: Option<i64>,
    pub kind: Option<String>,
    pub entity_type: Option<String>,
    pub entity_id: Option<String>,
    pub user_id: Option<String>,
    pub attempt: Option<i32>,
    pub object_keys: Vec<String>,
    pub kept_keys: Vec<String>,
    pub image_ids: Vec<Uuid>,
    pub sample_ids: Vec<Uuid>,
    pub collection_ids: Vec<Uuid>,
    pub user_rows: i32,
    pub error_class: Option<String>,
    pub detail: Option<String>,
}

impl From<AuditRow> for AuditEntry {
    fn from(row: AuditRow) -> Self {
        Self {
            id: row.id.to_string(),
            at: row.at,
            event: row.event,
            actor: row.actor,
            worker: row.worker,
            task_id: row.task_id.map(|id| id.to_string()),
            kind: row.kind,
            entity_type: row.entity_type,
            entity_id: row.entity_id,
            user_id: row.user_id,
            attempt: row.attempt,
            object_keys: row.object_keys,
            kept_keys: row.kept_keys,
            image_ids: row.image_ids,
            sample_ids: row.sample_ids,
            collection_ids: row.collection_ids,
            user_rows: row.user_rows,
            error_class: row.error_class,
            detail: row.detail,
        }
    }
}

/// A sample that is not deleted.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct Sample {
    pub id: Uuid,
    pub user_id: String,
    pub collection_id: Option<Uuid>,
    pub name: Option<String>,
    pub created_at: DateTime<Utc>,
}

impl Example for Sample {
    fn example() -> Self {
        Self {
            id: EXAMPLE_SAMPLE.parse().unwrap_or_default(),
            user_id: EXAMPLE_USER.into(),
            collection_id: None,
            name: Some("Basalt, Mull".into()),
            created_at: example_time(),
        }
    }
}

impl From<LiveSample> for Sample {
    fn from(sample: LiveSample) -> Self {
        Self {
            id: sample.id,
            user_id: sample.user_id,
            collection_id: sample.collection_id,
            name: sample.name,
            created_at: sample.created_at,
        }
    }
}

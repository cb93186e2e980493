//! Groups of operations, and what several answers share.

use poem_openapi::{Object, Tags, types::Example};
use uuid::Uuid;

use chrono::{DateTime, Utc};

use super::parameter::{Cursor, Limit, Query};
use crate::cursor::Page;
use crate::deletion::restore::LiveEntity;
use crate::tasks::{EXAMPLE_SAMPLE, EXAMPLE_USER, example_time};
use crate::vocabulary::{TaskId, Timestamp};

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

/// A sample that is not deleted.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct Sample {
    pub id: Uuid,
    pub user_id: String,
    pub collection_id: Option<Uuid>,
    pub name: Option<String>,
    pub created_at: Timestamp,
}

impl Example for Sample {
    fn example() -> Self {
        Self {
            id: EXAMPLE_SAMPLE.parse().unwrap_or_default(),
            user_id: EXAMPLE_USER.into(),
            collection_id: None,
            name: Some("Basalt, Mull".into()),
            created_at: example_time().into(),
        }
    }
}

impl Sample {
    /// From a row of the built-in table; `None` for one of another table whose type has the same name.
    pub(super) fn of(id: Uuid, row: &LiveEntity) -> Option<Self> {
        let text = |name: &str| row.details.get(name)?.as_str();
        Some(Self {
            id,
            user_id: row.user_id.clone(),
            collection_id: text("collection_id").and_then(|id| id.parse().ok()),
            name: text("name").map(str::to_owned),
            created_at: text("created_at")?.parse::<DateTime<Utc>>().ok()?.into(),
        })
    }
}

/// The page of a list that a request asks for.
pub(super) fn page(limit: Option<Limit>, cursor: &Query<Cursor>) -> Page<'_> {
    Page {
        size: Limit::size(limit),
        cursor: cursor.0.as_ref().map(|cursor| cursor.0.as_str()),
    }
}

/// Where an admin finds a task.
pub(super) fn task_location(id: TaskId) -> String {
    format!("/admin/cleanup-tasks/{id}")
}

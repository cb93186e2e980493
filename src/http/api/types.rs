//! Groups of operations, and what several answers share.

use poem_openapi::{Object, Tags, types::Example};
use uuid::Uuid;

use super::parameter::{Cursor, Limit, Query};
use crate::cursor::Page;
use crate::deletion::restore::LiveSample;
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

impl From<LiveSample> for Sample {
    fn from(sample: LiveSample) -> Self {
        Self {
            id: sample.id,
            user_id: sample.user_id,
            collection_id: sample.collection_id,
            name: sample.name,
            created_at: sample.created_at.into(),
        }
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

//! A task as the API and the command line show it.

use chrono::{DateTime, Utc};
use poem_openapi::{Object, types::Example};

use crate::vocabulary::{EntityType, ErrorClass, TaskId, TaskKind, TaskStatus, Timestamp};

/// The user of the examples in the API document.
pub const EXAMPLE_USER: &str = "user_2NNEqL2nrIRdJ194ndJqAHwEfxC";
/// The sample of the examples in the API document.
pub const EXAMPLE_SAMPLE: &str = "0190b6e2-7c1f-7a3e-9d54-3f1b2c4d5e6f";

/// The time of the examples in the API document.
#[must_use]
pub fn example_time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_268_800, 0).unwrap_or_default()
}

/// A deletion that was promised, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct Task {
    /// A number, as a string: it may exceed what JavaScript can count to.
    pub id: TaskId,
    /// `sample-delete`, `image-delete`, `user-delete` or `user-delete-part`. A newer version may add others.
    pub kind: String,
    /// `user`, `collection`, `sample` or `sample-image`. A newer version may add others.
    pub entity_type: String,
    /// Of a composite key its parts, each percent-encoded, joined by `~`.
    pub entity_id: String,
    /// Whose data it is.
    pub user_id: String,
    /// What remains to be deleted from the bucket. Empty once completed.
    pub object_keys: Vec<String>,
    pub status: TaskStatus,
    pub attempts: i32,
    /// When it is tried next.
    pub scheduled_at: Timestamp,
    pub last_error: Option<String>,
    pub error_class: Option<ErrorClass>,
    /// Why a pending task is not claimed until a person decides.
    pub held_reason: Option<String>,
    /// The worker that has claimed it.
    pub lease_owner: Option<String>,
    pub lease_expires_at: Option<Timestamp>,
    /// The erasure that this is a part of.
    pub parent_id: Option<TaskId>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub finished_at: Option<Timestamp>,
}

impl Example for Task {
    fn example() -> Self {
        let time = example_time().into();
        Self {
            id: TaskId(42),
            kind: TaskKind::SampleDelete.to_string(),
            entity_type: EntityType::Sample.to_string(),
            entity_id: EXAMPLE_SAMPLE.into(),
            user_id: EXAMPLE_USER.into(),
            object_keys: vec!["samples/0190b6e2/front.jpg".into()],
            status: TaskStatus::Pending,
            attempts: 0,
            scheduled_at: time,
            last_error: None,
            error_class: None,
            held_reason: None,
            lease_owner: None,
            lease_expires_at: None,
            parent_id: None,
            created_at: time,
            updated_at: time,
            finished_at: None,
        }
    }
}

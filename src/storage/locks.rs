//! Finds out until when an object lock keeps the store from deleting a version.

use aws_sdk_s3::types::ObjectLockLegalHoldStatus;
use chrono::{DateTime, SecondsFormat, Utc};
use futures::TryFutureExt as _;
use futures::stream::{self, StreamExt as _};

use super::calls::Calls;
use super::classify::{self, Failure};
use super::target::{Target, TargetResult};
use crate::vocabulary::ErrorClass;

/// At most this many locks are read at the same time.
const LOCK_CONCURRENCY: usize = 8;

/// Finds out for each refused version whether a lock is the reason, and when the lock ends.
///
/// Stores refuse a locked version with the same code as a missing permission (AWS and radosgw: AccessDenied), so
/// the lock itself is read: its retention period and, if there is none, a legal hold, which has no end. Both
/// need a permission of their own (`s3:GetObjectRetention`, `s3:GetObjectLegalHold`), but not the permission to
/// read the object. If the retention period cannot be read, the object's headers are tried. A version that
/// has a period and a legal hold is tried again when the period is over.
pub(super) async fn explain(
    calls: &Calls<'_>,
    targets: &[Target],
    mut results: Vec<TargetResult>,
) -> Vec<TargetResult> {
    let refused: Vec<(usize, Failure)> = results
        .iter()
        .enumerate()
        .filter_map(|(place, result)| match result {
            TargetResult::Failed(failure) if failure.class == ErrorClass::Blocked => {
                Some((place, failure.clone()))
            }
            _ => None,
        })
        .collect();
    let explained: Vec<(usize, Failure)> = stream::iter(refused)
        .map(|(place, failure)| async move {
            let target = &targets[place];
            (place, explained(calls, target, failure).await)
        })
        .buffer_unordered(LOCK_CONCURRENCY)
        .collect()
        .await;
    for (place, failure) in explained {
        results[place] = TargetResult::Failed(failure);
    }
    results
}

async fn explained(calls: &Calls<'_>, target: &Target, failure: Failure) -> Failure {
    if calls.halted().is_some() || calls.store.capabilities.locks.is_unsupported() {
        return failure;
    }
    match lock_of(calls, target).await {
        Ok(Some(lock)) => Failure {
            retry_at: lock.ends,
            ..failure.saying(&format!("{}: {}", lock.name, failure.message))
        },
        Ok(None) => failure,
        Err(unread) => {
            calls.note(&unread);
            failure.saying(&format!(
                "{} (whether it is locked cannot be read: {unread})",
                failure.message
            ))
        }
    }
}

struct Lock {
    name: String,
    ends: Option<DateTime<Utc>>,
}

impl Lock {
    fn until(date: Option<&aws_sdk_s3::primitives::DateTime>, mode: Option<&str>) -> Option<Self> {
        let date = date?;
        let ends = DateTime::from_timestamp(date.secs(), date.subsec_nanos())?;
        let date = ends.to_rfc3339_opts(SecondsFormat::Secs, true);
        let mode = mode.unwrap_or("retention");
        Some(Self {
            name: format!("locked until {date} ({mode})"),
            ends: Some(ends),
        })
    }

    fn legal_hold() -> Self {
        Self {
            name: "under a legal hold".to_owned(),
            ends: None,
        }
    }
}

async fn lock_of(calls: &Calls<'_>, target: &Target) -> Result<Option<Lock>, Failure> {
    match retention(calls, target).await {
        Ok(Some(lock)) => return Ok(Some(lock)),
        Ok(None) => {}
        // moto 5.1 answers with the object itself, and credentials that may read objects may lack this permission.
        Err(failure) => {
            return match head(calls, target).await {
                Some(lock) => Ok(Some(lock)),
                None => Err(failure),
            };
        }
    }
    if calls.store.capabilities.locks.is_unsupported() {
        return Ok(None);
    }
    let held = legal_hold(calls, target).await?;
    Ok(held.then(Lock::legal_hold))
}

async fn retention(calls: &Calls<'_>, target: &Target) -> Result<Option<Lock>, Failure> {
    let request = calls
        .store
        .client
        .get_object_retention()
        .bucket(&*calls.store.bucket)
        .key(&*target.key)
        .set_version_id(target.version.clone())
        .send()
        .map_err(|error| classify::of_sdk_error(&error));
    let found = read(calls, "GetObjectRetention", request).await?;
    let Some(retention) = found.and_then(|answer| answer.retention) else {
        return Ok(None);
    };
    let mode = retention.mode().map(|mode| mode.as_str());
    Ok(Lock::until(retention.retain_until_date(), mode))
}

/// The lock that the object's own headers show, if any. They leave out what the credentials may not see, so a
/// missing lock proves nothing.
async fn head(calls: &Calls<'_>, target: &Target) -> Option<Lock> {
    let request = calls
        .store
        .client
        .head_object()
        .bucket(&*calls.store.bucket)
        .key(&*target.key)
        .set_version_id(target.version.clone())
        .send()
        .map_err(|error| classify::of_sdk_error(&error));
    let head = calls.send("HeadObject", request).await.ok()?;
    let mode = head.object_lock_mode().map(|mode| mode.as_str());
    let held = head.object_lock_legal_hold_status() == Some(&ObjectLockLegalHoldStatus::On);
    Lock::until(head.object_lock_retain_until_date(), mode).or(held.then(Lock::legal_hold))
}

async fn legal_hold(calls: &Calls<'_>, target: &Target) -> Result<bool, Failure> {
    let request = calls
        .store
        .client
        .get_object_legal_hold()
        .bucket(&*calls.store.bucket)
        .key(&*target.key)
        .set_version_id(target.version.clone())
        .send()
        .map_err(|error| classify::of_sdk_error(&error));
    let found = read(calls, "GetObjectLegalHold", request).await?;
    let status = found.and_then(|answer| answer.legal_hold?.status);
    Ok(status == Some(ObjectLockLegalHoldStatus::On))
}

/// Reads a lock; `None` where there is no such lock.
async fn read<T>(
    calls: &Calls<'_>,
    operation: &'static str,
    request: impl Future<Output = Result<T, Failure>>,
) -> Result<Option<T>, Failure> {
    let is_answer = |failure: &Failure| has_no_lock(failure) || has_no_locks(failure);
    match calls.send_expecting(operation, is_answer, request).await {
        Ok(found) => Ok(Some(found)),
        Err(failure) if has_no_lock(&failure) => Ok(None),
        Err(failure) if has_no_locks(&failure) => {
            calls.store.capabilities.locks.set_unsupported();
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

/// Whether the failure says that this version has no lock, or that there is nothing to lock, as for a delete
/// marker (405).
fn has_no_lock(failure: &Failure) -> bool {
    matches!(
        failure.code.as_str(),
        "NoSuchObjectLockConfiguration"
            | "ObjectLockConfigurationNotFoundError"
            | "NoSuchKey"
            | "NoSuchVersion"
            | "MethodNotAllowed"
    )
}

/// Whether the failure says that the bucket was made without locks (Amazon S3 API reference, "GetObjectRetention":
/// "Bucket is missing Object Lock Configuration"), or that the store does not support them.
fn has_no_locks(failure: &Failure) -> bool {
    matches!(
        failure.code.as_str(),
        "InvalidRequest" | "NotImplemented" | "Http501"
    )
}

//! Buckets that keep versions: an object is gone when every version and delete marker of it is.

use std::collections::HashSet;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use aws_sdk_s3::types::{BucketVersioningStatus, Delete, ObjectIdentifier};

use super::Store;
use super::classify::{self, Failure, FailureClass, class_of_code};

/// How long the bucket's word on versioning is believed.
const BELIEVED_FOR: Duration = Duration::from_secs(60);
/// Most pages of versions (of 1,000) of one key in one attempt; the next attempt goes on.
const MOST_PAGES: u32 = 1_000;

/// Whether the bucket keeps versions. A server that cannot say keeps none, until an answer shows a
/// delete marker.
pub(super) async fn are_kept(store: &Store) -> bool {
    if store.learned.seen_marker.load(Ordering::Relaxed) {
        return true;
    }
    let lock = || {
        store
            .learned
            .versioned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    };
    if let Some((kept, asked)) = *lock()
        && asked.elapsed() < BELIEVED_FOR
    {
        return kept;
    }
    let answer = store
        .client
        .get_bucket_versioning()
        .bucket(&*store.bucket)
        .send()
        .await;
    let kept = match answer {
        Ok(answer) => matches!(
            answer.status(),
            Some(BucketVersioningStatus::Enabled | BucketVersioningStatus::Suspended)
        ),
        Err(error) => {
            tracing::debug!(error = %classify::of_sdk_error(&error), "the bucket does not say whether it keeps versions");
            false
        }
    };
    *lock() = Some((kept, Instant::now()));
    kept
}

/// Deletes every version and marker of exactly this key.
pub(super) async fn delete_all(store: &Store, key: &str) -> Result<(), Failure> {
    for _ in 0..MOST_PAGES {
        let page = store
            .client
            .list_object_versions()
            .bucket(&*store.bucket)
            .prefix(key)
            .send()
            .await
            .map_err(|error| classify::of_sdk_error(&error))?;
        // `a` must not touch `ab`; versions of one key stand together, its own key first.
        let versions = page.versions().iter().map(|v| (v.key(), v.version_id()));
        let markers = page
            .delete_markers()
            .iter()
            .map(|m| (m.key(), m.version_id()));
        let ids: Vec<String> = versions
            .chain(markers)
            .filter(|(found, _)| *found == Some(key))
            .filter_map(|(_, id)| id.map(str::to_owned))
            .take(super::MAX_KEYS_PER_REQUEST)
            .collect();
        if ids.is_empty() {
            return Ok(());
        }
        delete_versions(store, key, &ids).await?;
    }
    Err(Failure::new(
        FailureClass::Transient,
        "ManyVersions",
        "more versions than one attempt deletes",
    ))
}

async fn delete_versions(store: &Store, key: &str, ids: &[String]) -> Result<(), Failure> {
    let not_built = |error: aws_sdk_s3::error::BuildError| {
        Failure::new(FailureClass::Permanent, "NotBuilt", &error.to_string())
    };
    let objects = ids
        .iter()
        .map(|id| ObjectIdentifier::builder().key(key).version_id(id).build())
        .collect::<Result<Vec<_>, _>>()
        .map_err(not_built)?;
    let delete = Delete::builder()
        .set_objects(Some(objects))
        .quiet(false)
        .build()
        .map_err(not_built)?;
    let answer = store
        .client
        .delete_objects()
        .bucket(&*store.bucket)
        .delete(delete)
        .send()
        .await
        .map_err(|error| classify::of_sdk_error(&error))?;
    if let Some(error) = answer.errors().first() {
        let code = error.code().unwrap_or("Unknown");
        let message = error.message().unwrap_or("a version cannot be deleted");
        return Err(Failure::new(class_of_code(code), code, message));
    }
    let answered: HashSet<&str> = answer
        .deleted()
        .iter()
        .filter_map(|deleted| deleted.version_id())
        .collect();
    if ids.iter().all(|id| answered.contains(id.as_str())) {
        Ok(())
    } else {
        Err(Failure::new(
            FailureClass::Transient,
            "NotAnswered",
            "the store's answer does not name every version",
        ))
    }
}

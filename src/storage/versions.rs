//! Buckets that keep versions: an object is gone when every version and delete marker of it is.

use std::cmp::Reverse;
use std::time::Duration;

use aws_sdk_s3::operation::list_object_versions::ListObjectVersionsOutput;
use aws_sdk_s3::types::{BucketVersioningStatus, EncodingType};
use futures::TryFutureExt as _;
use futures::stream::{self, StreamExt as _};

use super::batch::delete_targets;
use super::calls::Calls;
use super::classify::{self, Failure, UNREACHABLE};
use super::locks;
use super::target::{Target, TargetResult};
use super::urlcode::names;
use super::wire::ReadToEnd;
use crate::vocabulary::ErrorClass;

/// How long the bucket's answer about versioning is used. If versioning is enabled meanwhile, the answer to the
/// first deletion shows a delete marker.
const VERSIONING_FRESH_FOR: Duration = Duration::from_secs(60);
/// For how many keys the versions are listed before they are deleted. This limits the memory.
const KEYS_AT_ONCE: usize = 100;
/// Most listings in flight at the same time.
const LIST_CONCURRENCY: usize = 8;
/// Most pages (of 1,000) of one key's versions that are listed before they are deleted. The task's next attempt
/// deletes the rest.
const MAX_PAGES: usize = 4;

/// What the bucket says about versioning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Versioning {
    /// Versioning is enabled or suspended. In both cases there may be versions.
    Kept,
    /// Versioning was never enabled.
    None,
    /// The bucket does not say (501, an answer that cannot be read, no permission). This is treated as no
    /// versioning until an answer shows a delete marker.
    Unknown(Failure),
}

impl Versioning {
    pub(super) fn is_kept(&self) -> bool {
        *self == Self::Kept
    }
}

/// Whether the bucket keeps versions. An answer is used for a minute, unless it was a temporary failure. An error means
/// that the endpoint cannot be reached.
pub(super) async fn versioning(calls: &Calls<'_>) -> Result<Versioning, Failure> {
    let capabilities = &calls.store.capabilities;
    if let Some(known) = capabilities.versioning(VERSIONING_FRESH_FOR) {
        return Ok(known);
    }
    let request = calls
        .store
        .client
        .get_bucket_versioning()
        .bucket(&*calls.store.bucket)
        .send()
        .map_err(|error| classify::of_sdk_error(&error));
    let found = match calls.send("GetBucketVersioning", request).await {
        Ok(answer) => match answer.status() {
            Some(BucketVersioningStatus::Enabled | BucketVersioningStatus::Suspended) => {
                Versioning::Kept
            }
            // No status: versions were never switched on.
            _ => Versioning::None,
        },
        Err(failure) => Versioning::Unknown(failure),
    };
    match found {
        Versioning::Unknown(failure) if failure.code == UNREACHABLE => Err(failure),
        // A temporary failure does not answer the question, so the bucket is asked again next time.
        Versioning::Unknown(failure) if is_temporary(&failure) => Ok(Versioning::Unknown(failure)),
        found => {
            capabilities.set_versioning(found.clone());
            Ok(found)
        }
    }
}

fn is_temporary(failure: &Failure) -> bool {
    matches!(failure.class, ErrorClass::Transient | ErrorClass::Throttle)
        && failure.code != "UnreadableAnswer"
}

/// Deletes every version and marker of exactly these keys, by id, so that no new marker is created.
pub(super) async fn delete_all(calls: &Calls<'_>, keys: &[&str]) -> Vec<Result<(), Failure>> {
    let mut outcomes = Vec::with_capacity(keys.len());
    for keys in keys.chunks(KEYS_AT_ONCE) {
        let listings: Vec<Result<Listing, Failure>> = stream::iter(0..keys.len())
            .map(|place| list_unless_halted(calls, keys[place]))
            .buffered(LIST_CONCURRENCY)
            .collect()
            .await;
        let targets: Vec<Target> = keys
            .iter()
            .zip(&listings)
            .filter_map(|(key, listing)| Some((key, listing.as_ref().ok()?)))
            .flat_map(|(key, listing)| targets_of(key, listing))
            .collect();
        let results = delete_targets(calls, &targets).await;
        let mut results = locks::explain(calls, &targets, results).await.into_iter();
        for listing in listings {
            outcomes.push(outcome_of(listing, &mut results));
        }
    }
    outcomes
}

fn targets_of(key: &str, listing: &Listing) -> Vec<Target> {
    let key: std::sync::Arc<str> = key.into();
    listing
        .ids
        .iter()
        .map(|id| Target {
            key: key.clone(),
            version: Some(id.clone()),
        })
        .collect()
}

/// Takes one key's results from the front of all.
fn outcome_of(
    listing: Result<Listing, Failure>,
    results: &mut impl Iterator<Item = TargetResult>,
) -> Result<(), Failure> {
    let listing = listing?;
    // All results of this key are taken, even after a failure, because the next key's results follow.
    let taken: Vec<TargetResult> = results.take(listing.ids.len()).collect();
    let failures = taken.into_iter().filter_map(|result| match result {
        TargetResult::Failed(failure) => Some(failure),
        TargetResult::Gone | TargetResult::Hidden(_) => None,
    });
    // A lock on one version counts more than a temporary failure. Of several locks, the first to end counts.
    let failure = failures.max_by_key(|failure| {
        let ends = failure.retry_at.map(Reverse);
        (weight(failure.class), ends)
    });
    match failure {
        Some(failure) => Err(failure),
        None if listing.whole => Ok(()),
        None => Err(Failure::new(
            ErrorClass::Transient,
            "MoreVersions",
            "the key has more versions than one try deletes",
        )),
    }
}

fn weight(class: ErrorClass) -> u8 {
    match class {
        ErrorClass::Transient | ErrorClass::Crash => 0,
        ErrorClass::Permanent => 1,
        ErrorClass::Blocked => 2,
        ErrorClass::Throttle => 3,
        ErrorClass::Outage => 4,
    }
}

/// The versions and markers of one key.
struct Listing {
    ids: Vec<String>,
    /// Whether these are all.
    whole: bool,
}

async fn list_unless_halted(calls: &Calls<'_>, key: &str) -> Result<Listing, Failure> {
    if let Some(failure) = calls.halted() {
        return Err(failure);
    }
    let listing = list(calls, key).await;
    if let Err(failure) = &listing {
        calls.note(failure);
    }
    listing
}

async fn list(calls: &Calls<'_>, key: &str) -> Result<Listing, Failure> {
    let mut ids = Vec::new();
    let mut from: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let page = page(calls, key, from.take()).await?;
        let past = collect(&page, key, &mut ids)?;
        if past || page.is_truncated() != Some(true) {
            return Ok(Listing { ids, whole: true });
        }
        match page.next_version_id_marker() {
            Some(marker) => from = Some(marker.to_owned()),
            None => break,
        }
    }
    Ok(Listing { ids, whole: false })
}

/// Reads one page of versions whose keys begin with this key. It goes on
/// from one of the key's own versions, if given.
async fn page(
    calls: &Calls<'_>,
    key: &str,
    from: Option<String>,
) -> Result<ListObjectVersionsOutput, Failure> {
    let (read_to_end, complete) = ReadToEnd::watch("ListVersionsResult");
    let request = async {
        let answer = calls
            .store
            .client
            .list_object_versions()
            .bucket(&*calls.store.bucket)
            .prefix(key)
            // A key may have characters that XML cannot hold.
            .encoding_type(EncodingType::Url)
            .set_key_marker(from.is_some().then(|| key.to_owned()))
            .set_version_id_marker(from)
            .customize()
            .interceptor(read_to_end)
            .send()
            .await;
        let page = answer.map_err(|error| of_bucket(classify::of_sdk_error(&error)))?;
        complete.require("the list of versions broke off")?;
        Ok(page)
    };
    calls.send("ListObjectVersions", request).await
}

/// The permission to list belongs to the bucket. If it is denied for one key, it is denied for every key, so the
/// failure becomes an outage.
fn of_bucket(failure: Failure) -> Failure {
    if failure.is_denial() {
        Failure::new(
            ErrorClass::Outage,
            failure.code,
            &format!("versions cannot be listed: {}", failure.message),
        )
    } else {
        failure
    }
}

/// Collects the ids of exactly this key from a page. Returns whether the page went past the key: the
/// keys of a listing are sorted, so the key itself comes before longer ones, and a deletion of `a` never touches
/// `ab`.
fn collect(
    page: &ListObjectVersionsOutput,
    key: &str,
    ids: &mut Vec<String>,
) -> Result<bool, Failure> {
    let encoded = page.encoding_type() == Some(&EncodingType::Url);
    let versions = page.versions().iter().map(|v| (v.key(), v.version_id()));
    let markers = page
        .delete_markers()
        .iter()
        .map(|marker| (marker.key(), marker.version_id()));
    let mut past = false;
    for (found, id) in versions.chain(markers) {
        if !found.is_some_and(|found| names(found, key, encoded)) {
            past = true;
            continue;
        }
        let id = id.filter(|id| !id.is_empty()).ok_or_else(|| {
            Failure::new(
                ErrorClass::Transient,
                "VersionWithoutId",
                "the store lists a version without its id",
            )
        })?;
        ids.push(id.to_owned());
    }
    Ok(past)
}

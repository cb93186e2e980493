//! Aborts multipart uploads that were left open. They hold bytes under a key that no listing of objects shows.
//!
//! An upload that was open when its key's deletion was requested must be aborted, or the key is not gone. So open
//! uploads are listed **before** the objects are deleted. An upload that is completed before the listing is an
//! object by then, which is deleted with the rest. One that is completed after the listing is either aborted in
//! time, or it becomes an object before the objects are deleted. An earlier or cached listing would miss an
//! upload that began in between.
//!
//! The cost is one ListMultipartUploads for up to 1,000 keys, under the prefix that all of them share. Most buckets
//! have no open uploads and answer with an empty page. If so many uploads are open that they do not fit into
//! [`MAX_PAGES`], the sorted keys are halved, down to single keys, because fewer keys share a longer prefix.
//!
//! If the store has no such list, or does not permit it, this is remembered for ten minutes and logged once as a
//! warning. Deletion goes on without the list.

use std::collections::{HashMap, HashSet};

use aws_sdk_s3::operation::list_multipart_uploads::ListMultipartUploadsOutput;
use aws_sdk_s3::types::EncodingType;
use futures::stream::{self, StreamExt as _};

use super::calls::Calls;
use super::classify::{self, Failure};
use super::urlcode::{readings, readings_unsaid};
use super::wire::ReadToEnd;
use crate::vocabulary::ErrorClass;

/// Most pages (of 1,000) under one prefix before it is narrowed.
const MAX_PAGES: usize = 8;
/// Most aborts in flight at the same time.
const ABORT_CONCURRENCY: usize = 8;

/// Aborts the open uploads under exactly these keys, which are distinct. Returns the keys that may still have an
/// open upload, each with the reason.
pub(super) async fn abort_all(calls: &Calls<'_>, keys: &[&str]) -> HashMap<String, Failure> {
    let mut failures = HashMap::new();
    if calls.store.capabilities.uploads.is_unsupported() {
        return failures;
    }
    let mut sorted = keys.to_vec();
    sorted.sort_unstable();
    let mut waiting: Vec<&[&str]> = vec![&sorted];
    while let Some(keys) = waiting.pop() {
        let found = match calls.halted() {
            Some(failure) => Err(failure),
            None => list(calls, keys).await,
        };
        let found = match found {
            Ok(found) => found,
            Err(failure) if is_unsupported(&failure) => {
                remember_unsupported(calls, &failure);
                return failures;
            }
            Err(failure) => {
                calls.note(&failure);
                failures.extend(keys.iter().map(|key| ((*key).to_owned(), failure.clone())));
                continue;
            }
        };
        failures.extend(abort(calls, found.open).await);
        if found.whole {
            let doubtful = |key: &&str| found.doubtful.contains(*key);
            waiting.extend(
                (0..keys.len())
                    .filter(|&place| doubtful(&keys[place]))
                    .map(|place| &keys[place..=place]),
            );
        } else if let [key] = keys {
            let failure = Failure::new(
                ErrorClass::Transient,
                "MoreUploads",
                "more uploads are open under the key than one try aborts",
            );
            failures.entry((*key).to_owned()).or_insert(failure);
        } else {
            let (left, right) = keys.split_at(keys.len() / 2);
            waiting.extend([right, left]);
        }
    }
    failures
}

/// Lists open uploads once, for `lethe check`, and returns the failure, if any.
pub(super) async fn refusal_of_list(calls: &Calls<'_>, key: &str) -> Option<Failure> {
    page(calls, key, None).await.err()
}

/// Whether a failure says that this store cannot list uploads, or does not permit it. False if the store is only
/// unreachable or busy.
pub(super) fn is_unsupported(failure: &Failure) -> bool {
    match failure.class {
        ErrorClass::Blocked | ErrorClass::Permanent => true,
        ErrorClass::Outage => matches!(
            failure.code.as_str(),
            "NotImplemented" | "MethodNotAllowed" | "Http501" | "Http405"
        ),
        ErrorClass::Transient | ErrorClass::Throttle | ErrorClass::Crash => false,
    }
}

fn remember_unsupported(calls: &Calls<'_>, failure: &Failure) {
    if calls.store.capabilities.set_uploads_unsupported() {
        tracing::warn!(
            error = %failure,
            "open multipart uploads cannot be listed; those under deleted keys are not aborted"
        );
    }
}

/// An open upload.
struct OpenUpload {
    key: String,
    id: String,
}

/// What a listing found of some keys.
struct UploadList {
    open: Vec<OpenUpload>,
    /// Keys that must be listed one by one, because the listing has a name that may or may not mean them.
    doubtful: HashSet<String>,
    /// Whether the listing was read to its end.
    whole: bool,
}

/// Lists the open uploads of these keys, which are sorted.
async fn list(calls: &Calls<'_>, keys: &[&str]) -> Result<UploadList, Failure> {
    let prefix = common_prefix(keys);
    let wanted: HashSet<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
    let mut found = UploadList {
        open: Vec::new(),
        doubtful: HashSet::new(),
        whole: false,
    };
    let mut from = None;
    for _ in 0..MAX_PAGES {
        let page = page(calls, prefix, from.take()).await?;
        if let [key] = keys {
            collect_of_one(&page, key, &mut found.open)?;
        } else {
            collect(&page, &wanted, &mut found);
        }
        if page.is_truncated() != Some(true) {
            found.whole = true;
            break;
        }
        let (key, id) = (page.next_key_marker(), page.next_upload_id_marker());
        let Some(key) = key else { break };
        let encoded = page.encoding_type() == Some(&EncodingType::Url);
        from = Some((marker(key, encoded), id.unwrap_or_default().to_owned()));
    }
    Ok(found)
}

/// Reads one page of open uploads whose keys begin with the prefix.
async fn page(
    calls: &Calls<'_>,
    prefix: &str,
    from: Option<(String, String)>,
) -> Result<ListMultipartUploadsOutput, Failure> {
    let (read_to_end, complete) = ReadToEnd::watch("ListMultipartUploadsResult");
    let (key, id) = from.unzip();
    let request = async {
        let answer = calls
            .store
            .client
            .list_multipart_uploads()
            .bucket(&*calls.store.bucket)
            .set_prefix((!prefix.is_empty()).then(|| prefix.to_owned()))
            // A key may have characters that XML cannot hold.
            .encoding_type(EncodingType::Url)
            .set_key_marker(key)
            .set_upload_id_marker(id.filter(|id| !id.is_empty()))
            .customize()
            .interceptor(read_to_end)
            .send()
            .await;
        let page = answer.map_err(|error| classify::of_sdk_error(&error))?;
        complete.require("the list of open uploads broke off")?;
        Ok(page)
    };
    // A request to a store without this operation must not count as failed.
    calls
        .send_expecting("ListMultipartUploads", is_unsupported, request)
        .await
}

/// Collects the uploads of exactly one key, which was the prefix of the listing. Every listed name begins with the
/// key, so it is enough that one reading of a name matches. If a name is misread nevertheless, the store refuses
/// the abort, because the upload's id belongs to another key.
fn collect_of_one(
    page: &ListMultipartUploadsOutput,
    key: &str,
    open: &mut Vec<OpenUpload>,
) -> Result<(), Failure> {
    for upload in page.uploads() {
        let meanings = meanings(page, upload.key().unwrap_or_default());
        if !meanings.iter().any(|meaning| meaning == key.as_bytes()) {
            continue;
        }
        let id = upload.upload_id().ok_or_else(|| {
            Failure::new(
                ErrorClass::Transient,
                "UploadWithoutId",
                "the store lists an open upload without its id",
            )
        })?;
        open.push(OpenUpload {
            key: key.to_owned(),
            id: id.to_owned(),
        });
    }
    Ok(())
}

/// Collects the uploads of exactly the wanted keys. If a name can be read in several ways, the keys that it may mean
/// are listed one by one later, so that no other key's upload is aborted. The same is done if an upload has no id.
fn collect(page: &ListMultipartUploadsOutput, wanted: &HashSet<&[u8]>, found: &mut UploadList) {
    for upload in page.uploads() {
        let meanings = meanings(page, upload.key().unwrap_or_default());
        let certain = meanings.iter().all(|meaning| *meaning == meanings[0]);
        for meaning in &meanings {
            let Some(key) = wanted.get(meaning.as_slice()) else {
                continue;
            };
            let key = String::from_utf8_lossy(key).into_owned();
            match upload.upload_id().filter(|_| certain) {
                Some(id) => {
                    let id = id.to_owned();
                    found.open.push(OpenUpload { key, id });
                    break;
                }
                None => {
                    found.doubtful.insert(key);
                }
            }
        }
    }
}

fn meanings(page: &ListMultipartUploadsOutput, name: &str) -> Vec<Vec<u8>> {
    if page.encoding_type() == Some(&EncodingType::Url) {
        readings(name).into()
    } else {
        readings_unsaid(name).into()
    }
}

/// Where the next page begins. A `+` is read as a space, which sorts before `+`, so that no upload is skipped. An
/// upload that is therefore listed twice is aborted twice, which does no harm.
fn marker(key: &str, encoded: bool) -> String {
    if encoded {
        let [_, plus_is_space] = readings(key);
        String::from_utf8_lossy(&plus_is_space).into_owned()
    } else {
        key.to_owned()
    }
}

/// The prefix that all of these share. They are sorted, so it is the prefix that the first and the last share.
fn common_prefix<'a>(keys: &[&'a str]) -> &'a str {
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else {
        return "";
    };
    let same = first
        .chars()
        .zip(last.chars())
        .take_while(|(left, right)| left == right)
        .map(|(left, _)| left.len_utf8())
        .sum();
    &first[..same]
}

async fn abort(calls: &Calls<'_>, open: Vec<OpenUpload>) -> Vec<(String, Failure)> {
    stream::iter(open)
        .map(|upload| async move {
            let failure = match calls.halted() {
                Some(failure) => Some(failure),
                None => abort_one(calls, &upload).await.err(),
            };
            if let Some(failure) = &failure {
                calls.note(failure);
            }
            failure.map(|failure| (upload.key, failure))
        })
        .buffer_unordered(ABORT_CONCURRENCY)
        .filter_map(|failed| async move { failed })
        .collect()
        .await
}

async fn abort_one(calls: &Calls<'_>, upload: &OpenUpload) -> Result<(), Failure> {
    if upload.key.trim().is_empty() {
        // aws-sdk-s3 1.157 takes such a key for a missing one and builds no request.
        return Err(Failure::new(
            ErrorClass::Permanent,
            "UploadOfBlankKey",
            "an upload is open under a key of white space alone, which cannot be named in a URL",
        ));
    }
    let request = async {
        let answer = calls
            .store
            .client
            .abort_multipart_upload()
            .bucket(&*calls.store.bucket)
            .key(&upload.key)
            .upload_id(&upload.id)
            .send()
            .await;
        match answer.map_err(|error| classify::of_sdk_error(&error)) {
            Ok(_) => Ok(()),
            // Someone else completed or aborted it. A completed one is an object by now, which is deleted next.
            Err(failure) if matches!(failure.code.as_str(), "NoSuchUpload" | "NoSuchKey") => Ok(()),
            Err(failure) => Err(failure.saying(&format!(
                "an open upload cannot be aborted: {}",
                failure.message
            ))),
        }
    };
    calls.send("AbortMultipartUpload", request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_what_all_keys_share_in_whole_characters() {
        assert_eq!(common_prefix(&["a/1", "a/2", "a/33"]), "a/");
        assert_eq!(common_prefix(&["a"]), "a");
        assert_eq!(common_prefix(&["a", "ab"]), "a");
        assert_eq!(common_prefix(&["é", "è"]), "");
        assert_eq!(common_prefix(&["x", "y"]), "");
    }

    #[test]
    fn the_next_page_begins_no_later_than_the_last_one_ended() {
        assert_eq!(marker("a%20b%C3%A9", true), "a bé");
        assert_eq!(marker("a+b", true), "a b");
        assert_eq!(marker("a+b", false), "a+b");
    }
}

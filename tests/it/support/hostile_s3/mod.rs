//! An S3 server in the test, whose answers a test can bend. Path style; signatures are not checked; every
//! bucket name is the one bucket, unless a test says which exists, or which stand apart. Its store is real: what is deleted is
//! deleted, also when the answer is cut, withheld or lost.

// Made for every test to come; not each of its means has a user at all times.
#![allow(dead_code)]

mod answer;
mod bucket;
mod server;
mod xml;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tokio::sync::watch;

use bucket::{Bucket, Versions};

/// How often something happens; `None` is for ever.
pub type Times = Option<u32>;

/// What becomes of a delete request (multi or single).
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Refused as a whole, nothing deleted; without a code, the body is empty.
    Refuse(u16, &'static str, &'static str),
    /// Of a multi-delete, every second key stays as it is, and the answer does not name it.
    LeaveOut,
    /// Deleted, but the answer stops in the middle of a key, well framed.
    CutBody,
    /// Deleted, but the connection closes in the middle of the body that Content-Length promised.
    BreakBody,
    /// Deleted, but the answer names nothing.
    EmptyResult,
    /// Deleted, but the 200 has no body.
    NoBody,
    /// Deleted, but the answer is not XML.
    Garbage,
    /// Deleted, then headers and half a body, and then nothing any more.
    HangAfterHeaders,
    /// Deleted, but no answer ever comes.
    Hang,
    /// Deleted, but the connection closes without an answer.
    Drop,
    /// Deleted, then the answer comes byte by byte, one each so often.
    Drip(Duration),
    /// Deleted and answered, late.
    Delay(Duration),
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `DeleteObjects`, `DeleteObject`, `ListObjectVersions`, …
    pub operation: &'static str,
    /// The keys to delete, or the prefix to list.
    pub keys: Vec<String>,
    pub at: Instant,
}

#[derive(Default)]
struct State {
    bucket: Bucket,
    /// Buckets with objects of their own, by name.
    apart: BTreeMap<String, Bucket>,
    /// The only bucket that exists; `None` is any.
    only_bucket: Option<String>,
    key_errors: HashMap<String, (String, String, Times)>,
    omitted: HashMap<String, Times>,
    /// A request with one of these keys is refused as a whole.
    poison: HashMap<String, String>,
    behaviours: Vec<(Behaviour, Times)>,
    denies_all: bool,
    /// GetBucketVersioning is answered so.
    versioning_answer: Option<(u16, String)>,
    no_multi_delete: bool,
    wants_md5: bool,
    trims_slash: bool,
    page_size: Option<usize>,
    cut_listings: bool,
    /// Operations that are refused with a status and a code.
    refused: HashMap<&'static str, (u16, String)>,
    omits_key_of_errors: bool,
    /// Connections end with a reset in place of a farewell.
    resets: bool,
    asked: Vec<Asked>,
}

/// The server. It stops with the test.
pub struct HostileS3 {
    state: Arc<Mutex<State>>,
    held: watch::Sender<bool>,
    port: u16,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for HostileS3 {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl HostileS3 {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let held = watch::Sender::new(false);
        let server = tokio::spawn(server::run(listener, state.clone(), held.clone()));
        Self {
            state,
            held,
            port,
            server,
        }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap())
    }

    pub fn put(&self, key: &str) {
        self.with(|state| state.bucket.put(key, Bytes::from_static(b"x")));
    }

    /// From now on a bucket of this name has objects of its own.
    pub fn stand_apart(&self, bucket: &str) {
        self.with(|state| {
            state.apart.entry(bucket.to_owned()).or_default();
        });
    }

    pub fn put_in(&self, bucket: &str, key: &str) {
        self.with(|state| {
            state.in_bucket(bucket, |of| of.bucket.put(key, Bytes::from_static(b"x")))
        });
    }

    /// The keys of a bucket, in order.
    pub fn keys_in(&self, bucket: &str) -> Vec<String> {
        self.with(|state| state.in_bucket(bucket, |of| of.bucket.objects.keys().cloned().collect()))
    }

    /// Removes every object of every bucket.
    pub fn empty(&self) {
        self.with(|state| {
            let buckets = state.apart.values_mut().chain([&mut state.bucket]);
            buckets.for_each(|bucket| bucket.objects.clear());
        });
    }

    /// Whether anything of the key is left, be it an old version or a marker.
    pub fn contains(&self, key: &str) -> bool {
        self.with(|state| state.bucket.objects.contains_key(key))
    }

    /// Keys of which any version or marker is left, in order.
    pub fn keys(&self) -> Vec<String> {
        self.with(|state| state.bucket.objects.keys().cloned().collect())
    }

    /// When the last version of each key went, by the machine's clock.
    pub fn gone(&self) -> BTreeMap<String, SystemTime> {
        self.with(|state| state.bucket.gone.clone())
    }

    /// How many versions and markers are left of a key.
    pub fn versions(&self, key: &str) -> usize {
        self.with(|state| state.bucket.objects.get(key).map_or(0, Vec::len))
    }

    /// Buckets of another name do not exist.
    pub fn only_bucket(&self, name: &str) {
        self.with(|state| state.only_bucket = Some(name.to_owned()));
    }

    pub fn keep_versions(&self) {
        self.with(|state| state.bucket.keeps = Versions::Enabled);
    }

    pub fn suspend_versions(&self) {
        self.with(|state| state.bucket.keeps = Versions::Suspended);
    }

    /// GetBucketVersioning is answered with this status and body.
    pub fn answer_versioning(&self, status: u16, body: &str) {
        self.with(|state| state.versioning_answer = Some((status, body.to_owned())));
    }

    /// Listings come in pages of so many entries.
    pub fn page_listings(&self, entries: usize) {
        self.with(|state| state.page_size = Some(entries));
    }

    /// Listings of versions break off, well framed, before their first entry.
    pub fn cut_listings(&self, cut: bool) {
        self.with(|state| state.cut_listings = cut);
    }

    /// Deleting this key answers this error inside a 200 (or alone, for a single deletion, where a number as the code is
    /// a status without a body).
    pub fn fail_key(&self, key: &str, code: &str, times: Times) {
        self.fail_key_saying(key, code, "as the test wishes", times);
    }

    pub fn fail_key_saying(&self, key: &str, code: &str, message: &str, times: Times) {
        let error = (code.to_owned(), message.to_owned(), times);
        self.with(|state| state.key_errors.insert(key.to_owned(), error));
    }

    /// Errors inside a 200 do not name their key.
    pub fn omit_key_of_errors(&self) {
        self.with(|state| state.omits_key_of_errors = true);
    }

    /// Connections accepted from now on end with a reset.
    pub fn reset_connections(&self, reset: bool) {
        self.with(|state| state.resets = reset);
    }

    /// Each request of this operation is refused; without a code, the body is empty.
    pub fn refuse(&self, operation: &'static str, status: u16, code: &str) {
        self.with(|state| state.refused.insert(operation, (status, code.to_owned())));
    }

    /// Opens a multipart upload.
    pub fn open_upload(&self, key: &str) -> String {
        self.with(|state| state.bucket.open_upload(key))
    }

    /// Keys of open uploads, in order.
    pub fn uploads(&self) -> Vec<String> {
        self.with(|state| {
            state
                .bucket
                .uploads
                .iter()
                .map(|(key, _)| key.clone())
                .collect()
        })
    }

    /// Locks a key's versions until a date (RFC 3339).
    pub fn lock_until(&self, key: &str, until: &str) {
        self.with(|state| {
            state.bucket.locks.entry(key.to_owned()).or_default().until = Some(until.to_owned())
        });
    }

    /// Puts a key's versions under a legal hold.
    pub fn hold_legally(&self, key: &str) {
        self.with(|state| {
            state
                .bucket
                .locks
                .entry(key.to_owned())
                .or_default()
                .legal_hold = true
        });
    }

    pub fn unlock(&self, key: &str) {
        self.with(|state| state.bucket.locks.remove(key));
    }

    /// So many requests of this operation came.
    pub fn count(&self, operation: &str) -> usize {
        self.with(|state| {
            state
                .asked
                .iter()
                .filter(|asked| asked.operation == operation)
                .count()
        })
    }

    /// Each key of each request is denied, as by AWS without s3:DeleteObject.
    pub fn deny_all(&self, deny: bool) {
        self.with(|state| state.denies_all = deny);
    }

    /// A multi-delete that holds this key is refused as a whole; a single one too, unless the code is
    /// MalformedXML, for it has no XML.
    pub fn poison(&self, key: &str, code: &str) {
        self.with(|state| state.poison.insert(key.to_owned(), code.to_owned()));
    }

    /// What becomes of the next delete requests; several calls queue up.
    pub fn next_requests(&self, behaviour: Behaviour, times: Times) {
        self.with(|state| state.behaviours.push((behaviour, times)));
    }

    /// Forgets what was planned for the next requests.
    pub fn behave(&self) {
        self.with(|state| state.behaviours.clear());
    }

    /// So many delete requests are refused as a whole.
    pub fn fail_requests(&self, status: u16, code: &'static str, times: u32) {
        let refusal = Behaviour::Refuse(status, code, "as the test wishes");
        self.next_requests(refusal, Some(times));
    }

    /// The next delete answers are cut in the middle of a key, but well framed.
    pub fn cut_next(&self, times: u32) {
        self.next_requests(Behaviour::CutBody, Some(times));
    }

    /// The next delete answers name no key.
    pub fn empty_next(&self, times: u32) {
        self.next_requests(Behaviour::EmptyResult, Some(times));
    }

    /// The next answers leave out this key.
    pub fn omit_key(&self, key: &str, times: u32) {
        self.with(|state| state.omitted.insert(key.to_owned(), Some(times)));
    }

    /// Multi-deletes are answered with 501.
    pub fn lack_multi_delete(&self) {
        self.with(|state| state.no_multi_delete = true);
    }

    /// Multi-deletes without Content-MD5, or with newer checksums, are refused.
    pub fn want_md5(&self) {
        self.with(|state| state.wants_md5 = true);
    }

    /// Answers name keys without their leading slash, as MinIO does.
    pub fn trim_slashes(&self) {
        self.with(|state| state.trims_slash = true);
    }

    /// From here on deletions are applied, and their answers withheld until `release`.
    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    pub fn release(&self) {
        self.held.send_replace(false);
    }

    /// The keys of each delete request, in the order of arrival.
    pub fn asked(&self) -> Vec<Vec<String>> {
        self.requests()
            .into_iter()
            .filter(|asked| asked.operation.starts_with("Delete"))
            .map(|asked| asked.keys)
            .collect()
    }

    /// Every request, in the order of arrival.
    pub fn requests(&self) -> Vec<Asked> {
        self.with(|state| state.asked.clone())
    }
}

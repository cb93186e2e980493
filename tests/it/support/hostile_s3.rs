//! An S3 server in the test, whose answers a test can bend. One bucket, path style, no signature check;
//! versions are kept when a test asks for it.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::watch;

#[derive(Default)]
struct State {
    /// Key to its versions, the newest last; a marker is `None`.
    objects: BTreeMap<String, Vec<(u64, Option<Bytes>)>>,
    versioned: bool,
    next_version: u64,
    key_errors: HashMap<String, (String, Option<u32>)>,
    request_errors: Vec<(u16, String, u32)>,
    cut: u32,
    empty: u32,
    omitted: HashMap<String, u32>,
    /// A request with one of these keys is refused as a whole.
    poison: HashMap<String, String>,
    asked: Vec<Vec<String>>,
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
        let (serving, gate) = (state.clone(), held.clone());
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, gate) = (serving.clone(), gate.clone());
                let service =
                    service_fn(move |request| answer(state.clone(), gate.clone(), request));
                tokio::spawn(async move {
                    hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await
                        .ok();
                });
            }
        });
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
        self.with(|state| state.put(key, Bytes::from_static(b"x")));
    }

    pub fn contains(&self, key: &str) -> bool {
        self.with(|state| state.objects.contains_key(key))
    }

    /// Keys of which any version or marker is left.
    pub fn keys(&self) -> Vec<String> {
        self.with(|state| state.objects.keys().cloned().collect())
    }

    pub fn keep_versions(&self) {
        self.with(|state| state.versioned = true);
    }

    /// Deleting this key answers this error inside a 200, so many times or for ever.
    pub fn fail_key(&self, key: &str, code: &str, times: Option<u32>) {
        self.with(|state| state.key_errors.insert(key.into(), (code.into(), times)));
    }

    /// So many delete requests are refused as a whole.
    pub fn fail_requests(&self, status: u16, code: &str, times: u32) {
        self.with(|state| state.request_errors.push((status, code.into(), times)));
    }

    /// A request that holds this key is refused as a whole.
    pub fn poison(&self, key: &str, code: &str) {
        self.with(|state| state.poison.insert(key.into(), code.into()));
    }

    /// The next delete answers are cut in the middle, but well framed.
    pub fn cut_next(&self, times: u32) {
        self.with(|state| state.cut = times);
    }

    /// The next delete answers name no key.
    pub fn empty_next(&self, times: u32) {
        self.with(|state| state.empty = times);
    }

    /// The next answers leave out this key.
    pub fn omit_key(&self, key: &str, times: u32) {
        self.with(|state| state.omitted.insert(key.into(), times));
    }

    /// From here on deletions are applied, and their answers withheld until `release`.
    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    pub fn release(&self) {
        self.held.send_replace(false);
    }

    /// The keys of each delete request, in order.
    pub fn asked(&self) -> Vec<Vec<String>> {
        self.with(|state| state.asked.clone())
    }
}

impl State {
    fn put(&mut self, key: &str, body: Bytes) {
        self.next_version += 1;
        let versions = self.objects.entry(key.to_owned()).or_default();
        if !self.versioned {
            versions.clear();
        }
        versions.push((self.next_version, Some(body)));
    }

    /// Returns whether a marker was made.
    fn delete(&mut self, key: &str, version: Option<u64>) -> bool {
        if let Some(version) = version {
            if let Some(versions) = self.objects.get_mut(key) {
                versions.retain(|(id, _)| *id != version);
                if versions.is_empty() {
                    self.objects.remove(key);
                }
            }
            return false;
        }
        if self.versioned {
            self.next_version += 1;
            let marker = (self.next_version, None);
            self.objects.entry(key.to_owned()).or_default().push(marker);
        } else {
            self.objects.remove(key);
        }
        self.versioned
    }

    fn delete_many(&mut self, body: &str) -> (u16, String) {
        let wanted: Vec<(String, Option<u64>)> = elements(body, "Object")
            .map(|object| {
                let key = elements(object, "Key")
                    .next()
                    .map(unescape)
                    .unwrap_or_default();
                let version = elements(object, "VersionId")
                    .next()
                    .and_then(|id| id.parse().ok());
                (key, version)
            })
            .collect();
        self.asked
            .push(wanted.iter().map(|(key, _)| key.clone()).collect());
        if let Some((status, code, times)) = self.request_errors.first_mut() {
            let answer = (*status, error_body(code));
            *times -= 1;
            if *times == 0 {
                self.request_errors.remove(0);
            }
            return answer;
        }
        if wanted.len() > 1_000 || body.chars().any(|c| c < ' ' && c != '\n') {
            return (400, error_body("MalformedXML"));
        }
        if let Some(code) = wanted.iter().find_map(|(key, _)| self.poison.get(key)) {
            return (
                if code == "AccessDenied" { 403 } else { 400 },
                error_body(code),
            );
        }
        let mut entries = String::new();
        for (key, version) in wanted {
            if let Some((code, times)) = self.key_errors.get_mut(&key)
                && times.is_none_or(|times| times > 0)
            {
                entries += &format!(
                    "<Error><Key>{}</Key><Code>{code}</Code><Message>as the test wishes</Message></Error>",
                    escape(&key)
                );
                if let Some(times) = times {
                    *times -= 1;
                }
                continue;
            }
            let marker = self.delete(&key, version);
            if let Some(times) = self.omitted.get_mut(&key).filter(|times| **times > 0) {
                *times -= 1;
                continue;
            }
            let version =
                version.map_or_else(String::new, |v| format!("<VersionId>{v}</VersionId>"));
            let marker = if marker {
                "<DeleteMarker>true</DeleteMarker>"
            } else {
                ""
            };
            entries += &format!(
                "<Deleted><Key>{}</Key>{version}{marker}</Deleted>",
                escape(&key)
            );
        }
        let mut answer = format!("<?xml version=\"1.0\"?><DeleteResult>{entries}</DeleteResult>");
        if self.empty > 0 {
            self.empty -= 1;
            answer = "<DeleteResult></DeleteResult>".into();
        }
        if self.cut > 0 {
            self.cut -= 1;
            answer.truncate(
                answer
                    .find("</Deleted>")
                    .map_or(answer.len() / 2, |at| at + 10),
            );
        }
        (200, answer)
    }

    fn list_versions(&self, prefix: &str) -> String {
        let mut entries = String::new();
        for (key, versions) in self
            .objects
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
        {
            for (id, body) in versions.iter().rev() {
                let kind = if body.is_some() {
                    "Version"
                } else {
                    "DeleteMarker"
                };
                entries += &format!(
                    "<{kind}><Key>{}</Key><VersionId>{id}</VersionId><IsLatest>false</IsLatest></{kind}>",
                    escape(key)
                );
            }
        }
        format!(
            "<ListVersionsResult><IsTruncated>false</IsTruncated>{entries}</ListVersionsResult>"
        )
    }
}

async fn answer(
    state: Arc<Mutex<State>>,
    held: watch::Sender<bool>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let parameter = |name: &str| {
        query.split('&').find_map(|pair| {
            let (found, value) = pair.split_once('=').unwrap_or((pair, ""));
            (found == name).then(|| decode(value))
        })
    };
    let path = head.uri.path().trim_start_matches('/');
    let key = decode(path.split_once('/').map_or("", |(_, key)| key));
    let (status, text) = match (&head.method, key.is_empty()) {
        (&Method::POST, true) if parameter("delete").is_some() => {
            let answer = state
                .lock()
                .unwrap()
                .delete_many(&String::from_utf8_lossy(&body));
            held.subscribe().wait_for(|held| !held).await.ok();
            answer
        }
        (&Method::GET, true) if parameter("versioning").is_some() => {
            let status = if state.lock().unwrap().versioned {
                "<Status>Enabled</Status>"
            } else {
                ""
            };
            (
                200,
                format!("<VersioningConfiguration>{status}</VersioningConfiguration>"),
            )
        }
        (&Method::GET, true) if parameter("versions").is_some() => (
            200,
            state
                .lock()
                .unwrap()
                .list_versions(&parameter("prefix").unwrap_or_default()),
        ),
        (&Method::HEAD, true) => (200, String::new()),
        (&Method::PUT, false) => {
            state.lock().unwrap().put(&key, body);
            (200, String::new())
        }
        (&Method::DELETE, false) => {
            let mut state = state.lock().unwrap();
            state.asked.push(vec![key.clone()]);
            state.delete(&key, parameter("versionId").and_then(|id| id.parse().ok()));
            (204, String::new())
        }
        (&Method::HEAD, false) => {
            let found = state.lock().unwrap().objects.contains_key(&key);
            (if found { 200 } else { 404 }, String::new())
        }
        _ => (501, error_body("NotImplemented")),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    Ok(response)
}

fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

fn error_body(code: &str) -> String {
    format!("<Error><Code>{code}</Code><Message>as the test wishes</Message></Error>")
}

fn elements<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let start = rest.find(&open)? + open.len();
        let end = start + rest[start..].find(&close)?;
        let element = &rest[start..end];
        rest = &rest[end..];
        Some(element)
    })
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&#xD;", "\r")
        .replace("&#xA;", "\n")
        .replace("&amp;", "&")
}

//! What the server answers, before a behaviour bends it.

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::bucket::{Deleted, Versions};
use super::xml::{element, elements, error_body, escape, is_malformed, unescape, url_encode};
use super::{Asked, Behaviour, State, Times};

/// A request, taken apart.
pub struct Call {
    pub method: Method,
    pub bucket: String,
    pub key: String,
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Call {
    fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// An answer, and what else happens to it.
pub struct Answer {
    pub status: u16,
    pub body: String,
    pub marker: Option<String>,
    /// Whether it answers a deletion, so that it can be held.
    pub deletes: bool,
    pub behaviour: Option<Behaviour>,
}

impl Answer {
    fn new(status: u16, body: String) -> Self {
        Self {
            status,
            body,
            marker: None,
            deletes: false,
            behaviour: None,
        }
    }

    fn error(status: u16, code: &str) -> Self {
        Self::new(status, error_body(code, "as the test wishes"))
    }
}

/// Takes one off; whether there was one.
fn take(times: &mut Times) -> bool {
    match times {
        None => true,
        Some(0) => false,
        Some(left) => {
            *left -= 1;
            true
        }
    }
}

fn status_of(code: &str) -> u16 {
    match code {
        "AccessDenied" => 403,
        "NoSuchKey" | "NoSuchBucket" => 404,
        "SlowDown" | "ServiceUnavailable" => 503,
        "InternalError" => 500,
        _ => 400,
    }
}

impl State {
    pub fn answer(&mut self, call: &Call) -> Answer {
        self.in_bucket(&call.bucket, |state| state.answer_in(call))
    }

    /// Does something while a bucket that stands apart is in the place of the one bucket.
    pub fn in_bucket<T>(&mut self, name: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        let swap = |state: &mut Self| {
            if let Some(bucket) = state.apart.get_mut(name) {
                std::mem::swap(bucket, &mut state.bucket);
            }
        };
        swap(self);
        let done = work(self);
        swap(self);
        done
    }

    fn answer_in(&mut self, call: &Call) -> Answer {
        let operation = operation(call);
        let wanted = match operation {
            "DeleteObjects" => wanted(&String::from_utf8_lossy(&call.body)),
            "ListObjectVersions" | "ListObjectsV2" | "ListMultipartUploads" => {
                vec![(
                    call.parameter("prefix").unwrap_or_default().to_owned(),
                    None,
                )]
            }
            _ => vec![(
                call.key.clone(),
                call.parameter("versionId").map(str::to_owned),
            )],
        };
        self.asked.push(Asked {
            operation,
            keys: wanted.iter().map(|(key, _)| key.clone()).collect(),
            at: std::time::Instant::now(),
        });
        if self
            .only_bucket
            .as_ref()
            .is_some_and(|name| *name != call.bucket)
        {
            return Answer::error(404, "NoSuchBucket");
        }
        if let Some((status, code)) = self.refused.get(operation) {
            return match code.as_str() {
                "" => Answer::new(*status, String::new()),
                code => Answer::error(*status, code),
            };
        }
        match operation {
            "DeleteObjects" | "DeleteObject" => self.delete(call, operation, &wanted),
            "GetBucketVersioning" => self.versioning(),
            "ListObjectVersions" => self.list_versions(call),
            "ListObjectsV2" => self.list(call),
            "ListMultipartUploads" => self.list_uploads(call),
            "AbortMultipartUpload" => {
                let id = call.parameter("uploadId").unwrap_or_default();
                if self
                    .bucket
                    .uploads
                    .remove(&(call.key.clone(), id.to_owned()))
                {
                    Answer::new(204, String::new())
                } else {
                    Answer::error(404, "NoSuchUpload")
                }
            }
            "GetObjectRetention" | "GetObjectLegalHold" => self.lock(call, operation),
            "HeadBucket" | "CreateBucket" => Answer::new(200, String::new()),
            "PutObject" => {
                self.bucket.put(&call.key, call.body.clone());
                Answer::new(200, String::new())
            }
            "GetObject" | "HeadObject" => match self.bucket.get(&call.key) {
                Some(body) => Answer::new(200, String::from_utf8_lossy(&body).into_owned()),
                None => Answer::error(404, "NoSuchKey"),
            },
            _ => Answer::error(501, "NotImplemented"),
        }
    }

    fn delete(
        &mut self,
        call: &Call,
        operation: &str,
        wanted: &[(String, Option<String>)],
    ) -> Answer {
        let behaviour = self.next_behaviour();
        if let Some(Behaviour::Refuse(status, code, message)) = behaviour {
            let body = if code.is_empty() {
                String::new()
            } else {
                error_body(code, message)
            };
            return Answer::new(status, body);
        }
        let mut answer = if operation == "DeleteObjects" {
            let left_out = matches!(behaviour, Some(Behaviour::LeaveOut));
            let done = wanted.iter().skip(usize::from(left_out));
            let done: Vec<_> = done.step_by(1 + usize::from(left_out)).cloned().collect();
            self.delete_many(call, &done)
        } else {
            self.delete_one(&wanted[0].0, wanted[0].1.as_deref())
        };
        answer.deletes = true;
        answer.behaviour = behaviour;
        answer
    }

    fn next_behaviour(&mut self) -> Option<Behaviour> {
        while let Some((behaviour, times)) = self.behaviours.first_mut() {
            if take(times) {
                return Some(behaviour.clone());
            }
            self.behaviours.remove(0);
        }
        None
    }

    fn delete_many(&mut self, call: &Call, wanted: &[(String, Option<String>)]) -> Answer {
        if self.no_multi_delete {
            return Answer::error(501, "NotImplemented");
        }
        if self.wants_md5 {
            let newer = call.headers.keys().any(|name| {
                name.as_str().starts_with("x-amz-checksum-")
                    || name == "x-amz-sdk-checksum-algorithm"
            });
            if newer || !md5_matches(call) {
                let message = "Missing required header for this request: Content-MD5";
                return Answer::new(400, error_body("InvalidRequest", message));
            }
        }
        if wanted.len() > 1_000 || is_malformed(&String::from_utf8_lossy(&call.body)) {
            return Answer::error(400, "MalformedXML");
        }
        if let Some(code) = wanted.iter().find_map(|(key, _)| self.poison.get(key)) {
            return Answer::error(status_of(code), code);
        }
        let mut entries = String::new();
        for (key, id) in wanted {
            entries += &self.delete_entry(key, id.as_deref());
        }
        Answer::new(
            200,
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DeleteResult \
                 xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{entries}</DeleteResult>"
            ),
        )
    }

    /// The element of the answer that one key has.
    fn delete_entry(&mut self, key: &str, id: Option<&str>) -> String {
        let named = if self.trims_slash {
            escape(key.trim_start_matches('/'))
        } else {
            escape(key)
        };
        if let Some((code, message)) = self.error_of(key, id) {
            let named = if self.omits_key_of_errors {
                String::new()
            } else {
                format!("<Key>{named}</Key>")
            };
            return format!(
                "<Error>{named}<Code>{code}</Code><Message>{}</Message></Error>",
                escape(&message)
            );
        }
        let deleted = self.bucket.delete(key, id);
        if self.omitted.get_mut(key).is_some_and(take) {
            return String::new();
        }
        let marker = |id: &str| {
            format!(
                "<DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>{id}</DeleteMarkerVersionId>"
            )
        };
        let rest = match deleted {
            Deleted::Object => String::new(),
            Deleted::Marker(id) => marker(&id),
            Deleted::Version(id, false) => format!("<VersionId>{id}</VersionId>"),
            Deleted::Version(id, true) => format!("{}<VersionId>{id}</VersionId>", marker(&id)),
        };
        format!("<Deleted><Key>{named}</Key>{rest}</Deleted>")
    }

    fn lock(&self, call: &Call, operation: &str) -> Answer {
        let Some(lock) = self.bucket.locks.get(&call.key) else {
            return if self.bucket.locks.is_empty() {
                let message = "Bucket is missing Object Lock Configuration";
                Answer::new(400, error_body("InvalidRequest", message))
            } else {
                Answer::error(404, "NoSuchObjectLockConfiguration")
            };
        };
        let body = match (operation, &lock.until) {
            ("GetObjectRetention", Some(until)) => format!(
                "<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>"
            ),
            ("GetObjectLegalHold", _) if lock.legal_hold => {
                "<LegalHold><Status>ON</Status></LegalHold>".to_owned()
            }
            _ => return Answer::error(404, "NoSuchObjectLockConfiguration"),
        };
        Answer::new(200, body)
    }

    fn list_uploads(&self, call: &Call) -> Answer {
        let prefix = call.parameter("prefix").unwrap_or_default();
        let url = call.parameter("encoding-type") == Some("url");
        let encode = |key: &str| if url { url_encode(key) } else { escape(key) };
        let key = call.parameter("key-marker").unwrap_or_default();
        let id = call.parameter("upload-id-marker").unwrap_or("\u{ffff}");
        let mut found = self
            .bucket
            .uploads
            .iter()
            .filter(|(k, i)| {
                k.starts_with(prefix) && (key.is_empty() || (k.as_str(), i.as_str()) > (key, id))
            })
            .peekable();
        let mut body = String::new();
        let mut last = None;
        for (key, id) in found.by_ref().take(self.page_size.unwrap_or(1_000)) {
            body += &format!(
                "<Upload><Key>{}</Key><UploadId>{id}</UploadId></Upload>",
                encode(key)
            );
            last = Some((key, id));
        }
        let more = found.peek().is_some();
        if let (true, Some((key, id))) = (more, last) {
            body += &format!(
                "<NextKeyMarker>{}</NextKeyMarker><NextUploadIdMarker>{id}</NextUploadIdMarker>",
                encode(key)
            );
        }
        body += &format!("<IsTruncated>{more}</IsTruncated>");
        if url {
            body += "<EncodingType>url</EncodingType>";
        }
        let end = if self.cut_listings {
            ""
        } else {
            "</ListMultipartUploadsResult>"
        };
        Answer::new(200, format!("<ListMultipartUploadsResult>{body}{end}"))
    }

    fn error_of(&mut self, key: &str, id: Option<&str>) -> Option<(String, String)> {
        if id.is_some() && self.bucket.locks.contains_key(key) {
            return Some(("AccessDenied".to_owned(), "Access Denied".to_owned()));
        }
        if self.denies_all {
            return Some(("AccessDenied".to_owned(), "Access Denied".to_owned()));
        }
        let (code, message, times) = self.key_errors.get_mut(key)?;
        take(times).then(|| (code.clone(), message.clone()))
    }

    fn delete_one(&mut self, key: &str, id: Option<&str>) -> Answer {
        if let Some(code) = self.poison.get(key).filter(|code| *code != "MalformedXML") {
            return Answer::error(status_of(code), code);
        }
        if let Some((code, message)) = self.error_of(key, id) {
            // A bare status, as a proxy answers.
            if let Ok(status) = code.parse() {
                return Answer::new(status, String::new());
            }
            return Answer::new(status_of(&code), error_body(&code, &message));
        }
        let mut answer = Answer::new(204, String::new());
        if let Deleted::Marker(id) = self.bucket.delete(key, id) {
            answer.marker = Some(id);
        }
        answer
    }

    fn versioning(&self) -> Answer {
        if let Some((status, body)) = &self.versioning_answer {
            return Answer::new(*status, body.clone());
        }
        let status = match self.bucket.keeps {
            Versions::None => "",
            Versions::Enabled => "<Status>Enabled</Status>",
            Versions::Suspended => "<Status>Suspended</Status>",
        };
        Answer::new(
            200,
            format!("<VersioningConfiguration>{status}</VersioningConfiguration>"),
        )
    }

    fn list_versions(&self, call: &Call) -> Answer {
        let prefix = call.parameter("prefix").unwrap_or_default();
        let url = call.parameter("encoding-type") == Some("url");
        let encode = |key: &str| if url { url_encode(key) } else { escape(key) };
        let all: Vec<(&str, &str, bool)> = self
            .bucket
            .objects
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
            .flat_map(|(key, versions)| {
                let newest_first = versions.iter().rev();
                newest_first.map(|v| (key.as_str(), v.id.as_str(), v.body.is_some()))
            })
            .collect();
        let from = call.parameter("key-marker").map_or(0, |key| {
            let id = call.parameter("version-id-marker").unwrap_or_default();
            // The marker itself may be deleted by now: what is behind it has a greater key, or is older.
            all.iter()
                .position(|(k, v, _)| *k == key && *v == id)
                .map_or_else(
                    || all.iter().take_while(|(k, _, _)| *k < key).count(),
                    |at| at + 1,
                )
        });
        let to = all.len().min(from + self.page_size.unwrap_or(1_000));
        let mut body = String::new();
        if to < all.len() {
            let (key, id, _) = all[to - 1];
            body += &format!(
                "<NextKeyMarker>{}</NextKeyMarker><NextVersionIdMarker>{id}</NextVersionIdMarker>",
                encode(key)
            );
        }
        body += &format!("<IsTruncated>{}</IsTruncated>", to < all.len());
        if url {
            body += "<EncodingType>url</EncodingType>";
        }
        if self.cut_listings {
            return Answer::new(200, format!("<ListVersionsResult>{body}"));
        }
        for (key, id, object) in &all[from..to] {
            let kind = if *object { "Version" } else { "DeleteMarker" };
            body += &format!(
                "<{kind}><Key>{}</Key><VersionId>{id}</VersionId><IsLatest>false</IsLatest></{kind}>",
                encode(key)
            );
        }
        Answer::new(
            200,
            format!("<ListVersionsResult>{body}</ListVersionsResult>"),
        )
    }

    fn list(&self, call: &Call) -> Answer {
        let prefix = call.parameter("prefix").unwrap_or_default();
        let keys = self.bucket.objects.keys();
        let found: String = keys
            .filter(|key| key.starts_with(prefix) && self.bucket.get(key).is_some())
            .map(|key| format!("<Contents><Key>{}</Key></Contents>", escape(key)))
            .collect();
        Answer::new(
            200,
            format!("<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>"),
        )
    }
}

fn operation(call: &Call) -> &'static str {
    let has = |name| call.parameter(name).is_some();
    match (call.method.as_str(), call.key.is_empty()) {
        ("POST", true) if has("delete") => "DeleteObjects",
        ("GET", true) if has("versioning") => "GetBucketVersioning",
        ("GET", true) if has("versions") => "ListObjectVersions",
        ("GET", true) if has("uploads") => "ListMultipartUploads",
        ("GET", true) => "ListObjectsV2",
        ("HEAD", true) => "HeadBucket",
        ("PUT", true) => "CreateBucket",
        ("PUT", false) => "PutObject",
        ("DELETE", false) if has("uploadId") => "AbortMultipartUpload",
        ("DELETE", false) => "DeleteObject",
        ("GET", false) if has("retention") => "GetObjectRetention",
        ("GET", false) if has("legal-hold") => "GetObjectLegalHold",
        ("GET", false) => "GetObject",
        ("HEAD", false) => "HeadObject",
        _ => "Unknown",
    }
}

fn wanted(body: &str) -> Vec<(String, Option<String>)> {
    elements(body, "Object")
        .map(|object| {
            let key = element(object, "Key").map(unescape).unwrap_or_default();
            (key, element(object, "VersionId").map(unescape))
        })
        .collect()
}

fn md5_matches(call: &Call) -> bool {
    use base64::Engine as _;
    use md5::Digest as _;
    let digest = md5::Md5::digest(&call.body);
    let expected = base64::engine::general_purpose::STANDARD.encode(digest);
    call.headers
        .get("content-md5")
        .is_some_and(|found| found.as_bytes() == expected.as_bytes())
}

//! Texts that stay the same while the process runs, such as the documentation: made at the first request, shared in
//! memory by all answers, compressed once, and not sent again to a client that has them.

use std::sync::{Arc, OnceLock};

use flate2::Compression;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::body::Bytes;
use poem::{Endpoint, Request, Response, Result};
use sha2::{Digest, Sha256};

use super::{answer::SharedBody, compression, problem::Problem};

/// How many bytes of the digest an entity tag shows.
const TAG_BYTES: usize = 12;

/// An endpoint that answers with one text.
pub(super) struct StaticText {
    content_type: &'static str,
    /// Other headers of each answer, made from the text.
    headers: fn(&str) -> Vec<(&'static str, String)>,
    make: fn() -> String,
    made: Arc<OnceLock<Made>>,
}

/// The text in both codings.
struct Made {
    plain: Bytes,
    gzip: Bytes,
    tag: String,
    headers: Vec<(&'static str, String)>,
}

impl StaticText {
    /// `make` is called at the first request.
    pub(super) fn new(content_type: &'static str, make: fn() -> String) -> Self {
        Self {
            content_type,
            headers: |_| Vec::new(),
            make,
            made: Arc::default(),
        }
    }

    pub(super) fn with_headers(self, headers: fn(&str) -> Vec<(&'static str, String)>) -> Self {
        Self { headers, ..self }
    }

    async fn made(&self) -> Result<&Made, Problem> {
        if self.made.get().is_none() {
            let (made, make, headers) = (Arc::clone(&self.made), self.make, self.headers);
            // It takes tens of milliseconds to make and compress the largest of them.
            let work = move || made.get_or_init(|| Made::new(make(), headers)).tag.len();
            tokio::task::spawn_blocking(work)
                .await
                .map_err(|error| Problem::internal(&error))?;
        }
        Ok(self
            .made
            .get_or_init(|| Made::new((self.make)(), self.headers)))
    }
}

impl Made {
    fn new(text: String, headers: fn(&str) -> Vec<(&'static str, String)>) -> Self {
        let digest = Sha256::digest(text.as_bytes());
        let tag = digest[..TAG_BYTES]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let gzip = compression::gzip(text.as_bytes(), Compression::best()).unwrap_or_default();
        Self {
            headers: headers(&text),
            gzip: gzip.into(),
            plain: text.into(),
            tag,
        }
    }
}

impl Endpoint for StaticText {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let made = self.made().await?;
        let takes_gzip = compression::takes_gzip(request.headers()) && !made.gzip.is_empty();
        // Another coding is another representation, with a tag of its own (RFC 9110, 8.8.3).
        let tag = match takes_gzip {
            true => format!("\"{}-gzip\"", made.tag),
            false => format!("\"{}\"", made.tag),
        };
        let is_known = has_tag(request.headers(), &tag);
        let mut response = Response::builder()
            .header(header::ETAG, tag)
            .header(header::VARY, "accept-encoding")
            // It may be kept, and is asked for again with its tag: another version may have been started.
            .header(header::CACHE_CONTROL, "public, no-cache");
        for (name, value) in &made.headers {
            response = response.header(*name, value);
        }
        if is_known {
            return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
        }
        if takes_gzip {
            response = response.header(header::CONTENT_ENCODING, "gzip");
        }
        let body = if takes_gzip { &made.gzip } else { &made.plain };
        Ok(response
            .content_type(self.content_type)
            .extension(SharedBody)
            .body(body.clone()))
    }
}

/// Whether `If-None-Match` has this tag, weak or strong, or is `*`.
fn has_tag(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value: &HeaderValue| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        .any(|given| given == "*" || given.strip_prefix("W/").unwrap_or(given) == tag)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn text() -> String {
        "all answers share this ".repeat(1000)
    }

    async fn ask(endpoint: &StaticText, headers: &[(&str, &str)]) -> Response {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        endpoint.call(request.finish()).await.unwrap()
    }

    #[tokio::test]
    async fn a_text_is_compressed_for_those_who_take_it_and_not_sent_twice() {
        let endpoint = StaticText::new("text/plain", text)
            .with_headers(|_| vec![("x-test", "yes".to_owned())]);
        let plain = ask(&endpoint, &[]).await;
        assert_eq!(plain.headers()["x-test"], "yes");
        let plain_tag = plain.headers()[header::ETAG].to_str().unwrap().to_owned();
        let body = plain.into_body().into_bytes().await.unwrap();
        assert_eq!(body, text().as_bytes());

        let small = ask(&endpoint, &[("accept-encoding", "gzip, br")]).await;
        assert_eq!(small.headers()[header::CONTENT_ENCODING], "gzip");
        let small_tag = small.headers()[header::ETAG].to_str().unwrap().to_owned();
        assert_ne!(plain_tag, small_tag);
        let body = small.into_body().into_bytes().await.unwrap();
        let mut unpacked = String::new();
        flate2::read::GzDecoder::new(&body[..])
            .read_to_string(&mut unpacked)
            .unwrap();
        assert_eq!(unpacked, text());

        let weak = format!("\"other\", W/{plain_tag}");
        for tag in ["*", &plain_tag, &weak] {
            let again = ask(&endpoint, &[("if-none-match", tag)]).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{tag}");
        }
        let other = ask(&endpoint, &[("if-none-match", &small_tag)]).await;
        assert_eq!(other.status(), StatusCode::OK);
    }
}

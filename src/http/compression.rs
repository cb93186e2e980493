//! Compression of answers with gzip, which every client knows.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue, header};
use hyper::body::Bytes;
use poem::{Body, IntoResponse, Response};

use super::problem::Problem;

/// Smaller answers are sent as they are: they fit into a few packets anyway.
const MIN_BYTES: usize = 2048;
/// Larger answers are compressed on a thread of their own, because that takes milliseconds.
const MAX_INLINE_BYTES: usize = 256 * 1024;
/// The types that become smaller.
const TYPES: &[&str] = &["application/json", "application/problem+json", "text/plain"];

/// Whether the client accepts gzip (RFC 9110, 12.5.3).
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let codings = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let weights = codings.filter_map(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let weight = weight
            .trim()
            .strip_prefix("q=")?
            .trim()
            .parse::<f32>()
            .ok()?;
        Some((name.trim().to_ascii_lowercase(), weight))
    });
    // A coding that is named goes before the `*`.
    let weights: Vec<(String, f32)> = weights.collect();
    let weight_of = |name: &str| weights.iter().find(|(other, _)| other == name);
    weight_of("gzip")
        .or_else(|| weight_of("*"))
        .is_some_and(|(_, weight)| *weight > 0.0)
}

/// The answer with a compressed body, if that is worth it and its client takes it. An answer that has its coding
/// already stays as it is.
pub(super) async fn compressed(mut response: Response, takes_gzip: bool) -> Response {
    let headers = response.headers();
    if headers.contains_key(header::CONTENT_ENCODING)
        || headers.contains_key(header::VARY)
        || !has_compressible_type(headers)
    {
        return response;
    }
    let body = match response.take_body().into_bytes().await {
        Ok(body) => body,
        Err(error) => return Problem::internal(&error).into_response(),
    };
    if body.len() < MIN_BYTES {
        response.set_body(body);
        return response;
    }
    let vary = HeaderValue::from_static("accept-encoding");
    response.headers_mut().insert(header::VARY, vary);
    let small = if takes_gzip {
        gzip_where_it_fits(body.clone()).await
    } else {
        None
    };
    match small {
        Some(small) => {
            let gzip = HeaderValue::from_static("gzip");
            response
                .headers_mut()
                .insert(header::CONTENT_ENCODING, gzip);
            response.headers_mut().remove(header::CONTENT_LENGTH);
            response.set_body(small);
        }
        None => response.set_body(Body::from(body)),
    }
    response
}

fn has_compressible_type(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    TYPES.contains(&essence)
}

async fn gzip_where_it_fits(body: Bytes) -> Option<Vec<u8>> {
    if body.len() <= MAX_INLINE_BYTES {
        return gzip(&body, Compression::fast());
    }
    let work = move || gzip(&body, Compression::fast());
    tokio::task::spawn_blocking(work).await.ok().flatten()
}

/// `None` only if memory cannot be had.
pub(super) fn gzip(bytes: &[u8], level: Compression) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), level);
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::ACCEPT_ENCODING, value.parse().unwrap());
        }
        takes_gzip(&headers)
    }

    #[test]
    fn gzip_is_sent_only_to_those_who_take_it() {
        for values in [
            &["gzip"][..],
            &["br, GZIP;q=0.5"],
            &["br", "gzip"],
            &["*"],
            &["br;q=1.0, *;q=0.1"],
        ] {
            assert!(accepts(values), "{values:?}");
        }
        for values in [
            &[][..],
            &["br"],
            &["identity"],
            &["gzip;q=0"],
            &["*, gzip;q=0"],
            &["gzip;q=x"],
        ] {
            assert!(!accepts(values), "{values:?}");
        }
    }

    #[tokio::test]
    async fn only_larger_text_is_compressed() {
        let answer = |content_type: &str, bytes: usize| {
            Response::builder()
                .content_type(content_type)
                .body("x".repeat(bytes))
        };
        for (content_type, bytes, is_compressed) in [
            ("application/json; charset=utf-8", MIN_BYTES, true),
            ("application/json; charset=utf-8", MIN_BYTES - 1, false),
            ("application/problem+json", MAX_INLINE_BYTES + 1, true),
            ("image/png", MIN_BYTES, false),
        ] {
            let response = compressed(answer(content_type, bytes), true).await;
            let coding = response.headers().get(header::CONTENT_ENCODING);
            assert_eq!(coding.is_some(), is_compressed, "{content_type}, {bytes}");
        }
        let response = compressed(answer("application/json", MIN_BYTES), false).await;
        assert_eq!(response.headers()[header::VARY], "accept-encoding");
        let body = response.into_body().into_bytes().await.unwrap();
        assert_eq!(body.len(), MIN_BYTES);
    }
}

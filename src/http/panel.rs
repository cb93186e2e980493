//! The admin panel: static files of the folder `panel`, which are a part of the binary. Anyone may load them; the
//! data come from the API, which asks for a token.
//!
//! The page's address names the digest of all files (`/panel/assets/<digest>/…`), so browsers keep the files for
//! ever, and a new version has new addresses. Only the page itself is asked for again each time.

use std::io::{self, Write as _};
use std::sync::Arc;

use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use hyper::body::Bytes;
use poem::{
    Endpoint, IntoResponse, Request, Response, Route, endpoint::make_sync, get, web::Redirect,
};
use sha2::{Digest, Sha256};

use super::{answer::SharedBody, problem::Problem};

/// Everything comes from this address, nothing may frame the page, and no text may become markup or script.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";
const PANEL: &str = "/panel/";
const ASSETS: &str = "/panel/assets/";
/// The page asks for the files below this address. It is replaced by the address with the digest.
const ASSETS_IN_PAGE: &str = "/panel/assets/@/";
/// Here the page names all modules, so that a browser fetches them at once and not one after the other.
const PRELOADS_IN_PAGE: &str = "<!-- preloads -->";
const PAGE: &str = include_str!("../../panel/index.html");

macro_rules! files {
    ($($path:literal,)+) => {
        &[$(($path, include_bytes!(concat!("../../panel/", $path)))),+]
    };
}

/// Each file of the panel but its page. A test compares the list with the folder.
const FILES: &[(&str, &[u8])] = files![
    "app/api.js",
    "app/format.js",
    "app/html.js",
    "app/live.js",
    "app/main.js",
    "app/pages/audit.js",
    "app/pages/deleted.js",
    "app/pages/erase.js",
    "app/pages/erasure.js",
    "app/pages/erasures.js",
    "app/pages/overview.js",
    "app/pages/sign-in.js",
    "app/pages/system.js",
    "app/pages/task.js",
    "app/pages/tasks.js",
    "app/parts/basic.js",
    "app/parts/chart.js",
    "app/parts/dialog.js",
    "app/parts/filters.js",
    "app/parts/save.js",
    "app/parts/shell.js",
    "app/parts/table.js",
    "app/router.js",
    "app/session.js",
    "app/signature.js",
    "app/theme.js",
    "style/icon.svg",
    "style/panel.css",
    "style/theme.js",
    "vendor/LICENSES.txt",
    "vendor/hooks.js",
    "vendor/htm.js",
    "vendor/preact.js",
    "vendor/signals-core.js",
    "vendor/signals.js",
];

/// The routes of the panel, with `/admin` leading to it.
pub(super) fn routes() -> Route {
    let digest = digest();
    let page = File::new("index.html", page(&digest).into_bytes());
    let page = Arc::new(make_sync(move |request| {
        guarded(page.answer(&request, Caching::Revalidate))
    }));
    let redirect = || get(make_sync(|_| Redirect::temporary(PANEL)));
    let mut routes = Route::new()
        .at("/admin", redirect())
        .at("/panel", redirect())
        .at(PANEL, get(Arc::clone(&page)))
        .at("/panel/*page", get(page))
        .at(format!("{ASSETS}*unknown"), get(make_sync(|_| missing())));
    for (path, bytes) in FILES {
        let file = File::new(path, bytes.to_vec());
        let serve = make_sync(move |request| guarded(file.answer(&request, Caching::Forever)));
        routes = routes.at(format!("{ASSETS}{digest}/{path}"), get(serve));
    }
    routes
}

/// Leads from `/` to the panel, around all routes: next to a nested `/` a route of the same path is never reached.
pub(super) async fn redirect_root<E: Endpoint>(
    routes: Arc<E>,
    request: Request,
) -> poem::Result<Response> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if is_read && request.uri().path() == "/" {
        return Ok(Redirect::temporary(PANEL).into_response());
    }
    Ok(routes.call(request).await?.into_response())
}

/// A file of an older or a newer version: reloading the page names the right ones.
fn missing() -> Problem {
    Problem::not_found("This version of Lethe has no such file of the panel. Reload the page.")
}

fn guarded(mut answer: Response) -> Response {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        answer
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// The digest of all files, for their addresses: 16 hexadecimal digits.
fn digest() -> String {
    let mut hash = Sha256::new();
    for (path, bytes) in FILES {
        hash.update(path.as_bytes());
        hash.update(bytes.len().to_be_bytes());
        hash.update(bytes);
    }
    short_hex(hash)
}

fn short_hex(hash: Sha256) -> String {
    hash.finalize()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn page(digest: &str) -> String {
    let preloads: String = FILES
        .iter()
        .filter(|(path, _)| path.starts_with("app/") || path.starts_with("vendor/"))
        .filter(|(path, _)| path.ends_with(".js"))
        .map(|(path, _)| format!("<link rel=\"modulepreload\" href=\"{ASSETS_IN_PAGE}{path}\">\n"))
        .collect();
    PAGE.replace(PRELOADS_IN_PAGE, &preloads)
        .replace(ASSETS_IN_PAGE, &format!("{ASSETS}{digest}/"))
}

#[derive(Clone, Copy)]
enum Caching {
    /// The address changes with the content.
    Forever,
    /// The browser asks each time whether its copy is still right.
    Revalidate,
}

/// A file as it is and compressed. All answers share these bytes.
struct File {
    content_type: &'static str,
    plain: Variant,
    compressed: Variant,
}

struct Variant {
    bytes: Bytes,
    etag: HeaderValue,
}

impl File {
    fn new(path: &str, bytes: Vec<u8>) -> Self {
        // Writing to memory cannot fail.
        let compressed = gzip(&bytes).unwrap_or_default();
        Self {
            content_type: content_type(path),
            plain: Variant::new(bytes),
            compressed: Variant::new(compressed),
        }
    }

    fn answer(&self, request: &Request, caching: Caching) -> Response {
        let accepts = accepts_gzip(request.headers());
        let variant = if accepts {
            &self.compressed
        } else {
            &self.plain
        };
        let mut answer = Response::builder()
            .header(header::ETAG, variant.etag.clone())
            .header(header::VARY, "accept-encoding")
            .header(
                header::CACHE_CONTROL,
                match caching {
                    Caching::Forever => "public, max-age=31536000, immutable",
                    Caching::Revalidate => "no-cache",
                },
            );
        if is_current(request.headers(), &variant.etag) {
            return answer.status(StatusCode::NOT_MODIFIED).finish();
        }
        if accepts {
            answer = answer.header(header::CONTENT_ENCODING, "gzip");
        }
        answer
            .content_type(self.content_type)
            .extension(SharedBody)
            .body(variant.bytes.clone())
    }
}

impl Variant {
    fn new(bytes: Vec<u8>) -> Self {
        let hash = short_hex(Sha256::new_with_prefix(&bytes));
        // Hexadecimal digits are always a valid value.
        let etag = HeaderValue::from_str(&format!("\"{hash}\""))
            .unwrap_or(HeaderValue::from_static("\"\""));
        Self {
            bytes: bytes.into(),
            etag,
        }
    }
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

/// Whether the client takes gzip (RFC 9110, 12.5.3). A weight of zero means that it does not.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let is_gzip = parts
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
            is_gzip
                && !parts.any(|part| {
                    part.strip_prefix("q=")
                        .and_then(|weight| weight.parse::<f32>().ok())
                        .is_some_and(|weight| weight <= 0.0)
                })
        })
}

/// Whether the client's copy is the same (RFC 9110, 13.1.2).
fn is_current(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let Ok(etag) = etag.to_str() else {
        return false;
    };
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|known| known.trim().trim_start_matches("W/"))
        .any(|known| known == etag || known == "*")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// The folders of `panel` that are served. What else stands there, and types (`.d.ts`), are for developers.
    const SERVED: &[&str] = &["app", "vendor", "style"];

    fn files_below(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files_below(&path, root, found);
            } else if !path.to_str().unwrap().ends_with(".d.ts") {
                found.insert(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }

    #[test]
    fn every_file_of_the_panel_is_in_the_binary() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("panel");
        let mut there = BTreeSet::new();
        for folder in SERVED {
            files_below(&root.join(folder), &root, &mut there);
        }
        let listed: BTreeSet<String> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(listed, there);
    }

    #[test]
    fn the_whole_panel_takes_less_than_250_kb_over_the_wire() {
        let page = gzip(page(&digest()).as_bytes()).unwrap().len();
        let files: usize = FILES
            .iter()
            .map(|(_, bytes)| gzip(bytes).unwrap().len())
            .sum();
        assert!(page + files < 250_000, "{page} + {files} bytes");
    }

    #[test]
    fn gzip_is_sent_only_to_those_who_take_it() {
        for (value, accepted) in [
            ("gzip, deflate, br", true),
            ("br;q=1, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("br", false),
            ("x-gzip", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, value.parse().unwrap());
            assert_eq!(accepts_gzip(&headers), accepted, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_copy_is_current_if_its_tag_is_the_same() {
        let etag = HeaderValue::from_static("\"0a\"");
        for (value, current) in [
            ("\"0a\"", true),
            ("\"ff\", W/\"0a\"", true),
            ("*", true),
            ("\"0\"", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, value.parse().unwrap());
            assert_eq!(is_current(&headers, &etag), current, "{value}");
        }
    }
}

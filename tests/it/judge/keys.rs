//! Which objects a value names. Written from the description of the format alone.

use serde_json::Value;

use super::case::Bucket;

/// What a string in an object column means.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    Key(String),
    /// A URL below none of the bucket's bases.
    Foreign(String),
}

/// The strings of a column's value: of a text itself, of an array its elements, of JSON what the path finds.
pub fn strings(value: &Value, path: Option<&str>) -> Vec<String> {
    let found = match (path, value) {
        (Some(path), value) => at_path(value, path),
        (None, Value::Array(elements)) => elements.iter().collect(),
        (None, value) => vec![value],
    };
    let strings = found.into_iter().filter_map(Value::as_str);
    strings.map(str::to_owned).collect()
}

/// A path of `.name` and `[*]` steps in the lax mode of SQL/JSON: an array is opened where a member is asked for,
/// what is no array is an array of one where elements are asked for, and what is missing is nothing.
fn at_path<'v>(value: &'v Value, path: &str) -> Vec<&'v Value> {
    let path = path.strip_prefix("lax $").unwrap_or(path);
    let mut found = vec![value];
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("[*]") {
            found = found.into_iter().flat_map(elements).collect();
            rest = after;
        } else {
            let name = rest.trim_start_matches('.');
            let end = name.find(['.', '[']).unwrap_or(name.len());
            let opened = found.into_iter().flat_map(elements);
            found = opened.filter_map(|value| value.get(&name[..end])).collect();
            rest = &name[end..];
        }
    }
    found
}

fn elements(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(elements) => elements.iter().collect(),
        other => vec![other],
    }
}

/// What one string names; nothing if it is empty, or ends where its base does.
pub fn named(text: &str, bucket: &Bucket) -> Option<Named> {
    if text.is_empty() {
        return None;
    }
    let url = match text.starts_with("//") {
        true => format!("https:{text}"),
        false => text.to_owned(),
    };
    let Some((origin, path)) = split_url(&url) else {
        return Some(Named::Key(text.to_owned()));
    };
    let bases = bucket.urls.iter().filter_map(|base| split_url(base));
    let mut bases: Vec<(String, String)> = bases
        .map(|(origin, path)| {
            let path = path.trim_end_matches('/');
            (origin, format!("{path}/"))
        })
        .filter(|(base, below)| *base == origin && path.starts_with(below.as_str()))
        .collect();
    bases.sort_by_key(|(_, path)| path.len());
    let foreign = Some(Named::Foreign(text.to_owned()));
    let Some((_, base)) = bases.pop() else {
        return foreign;
    };
    match percent_decoded(&path[base.len()..]) {
        None => foreign,
        Some(key) if key.is_empty() => None,
        Some(key) => Some(Named::Key(key)),
    }
}

/// Scheme and authority in lower case, and the path without query and fragment.
fn split_url(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let mut letters = scheme.chars();
    let begins_well = letters.next().is_some_and(|c| c.is_ascii_alphabetic());
    if !begins_well || !letters.all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c)) {
        return None;
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let origin = format!("{scheme}://{authority}").to_lowercase();
    Some((origin, path.to_owned()))
}

/// None if the bytes are no UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3);
        let hex = hex.filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        match (bytes[at], hex) {
            (b'%', Some(hex)) => {
                let hex = std::str::from_utf8(hex).ok()?;
                decoded.push(u8::from_str_radix(hex, 16).ok()?);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    // PostgreSQL has no text with a zero byte in it.
    String::from_utf8(decoded)
        .ok()
        .filter(|text| !text.contains('\0'))
}

#[test]
fn urls_and_paths_are_read_as_the_manual_says() {
    let bucket = Bucket {
        alias: "b".into(),
        name: None,
        urls: vec![
            "https://CDN.acme.com".into(),
            "https://s3.acme.com/acme".into(),
        ],
    };
    let key = |text: &str| Some(Named::Key(text.to_owned()));
    for (text, expected) in [
        ("a/b.png", key("a/b.png")),
        ("https://cdn.ACME.com/a%20b+c?x=1#y", key("a b+c")),
        ("//cdn.acme.com/a%2Fb", key("a/b")),
        ("https://s3.acme.com/acme/k", key("k")),
        ("https://cdn.acme.com/%2500", key("%00")),
        ("https://cdn.acme.com/", None),
        ("", None),
    ] {
        assert_eq!(named(text, &bucket), expected, "{text}");
    }
    for text in [
        "http://cdn.acme.com/a",
        "https://cdn.acme.com.evil/a",
        "https://s3.acme.com/acme2/k",
        "https://cdn.acme.com/%ff",
        "https://cdn.acme.com?a",
    ] {
        assert_eq!(named(text, &bucket), Some(Named::Foreign(text.into())));
    }
    let value = serde_json::json!([{"key": "a"}, {"key": 1}, [{"key": "b"}], "c", {"key": ["d"]}]);
    assert_eq!(strings(&value, Some("lax $[*].key")), ["a", "b"]);
    assert_eq!(strings(&value, Some("lax $[*].key[*]")), ["a", "b", "d"]);
    assert_eq!(strings(&value, Some("lax $[*]")), ["c"]);
}

//! `[bucket.A]`: the buckets and the URLs below which their objects are stored in columns.

use super::fault::Faults;
use super::reader::Item;
use super::types::{BaseUrl, Bucket};

pub(super) fn buckets(item: &Item<'_>, faults: &mut Faults<'_>) -> Vec<Bucket> {
    let named = item.named(faults);
    named
        .into_iter()
        .filter_map(|(alias, item)| bucket(alias, &item, faults))
        .collect()
}

fn bucket(alias: String, item: &Item<'_>, faults: &mut Faults<'_>) -> Option<Bucket> {
    let mut fields = item.table(faults)?;
    let name = fields.text("name", faults);
    let urls = fields.take("urls", faults);
    let items = urls.map_or_else(Vec::new, |urls| urls.list(faults));
    let bases = items.iter().filter_map(|item| base_url(item, faults));
    let bucket = Bucket {
        alias,
        name,
        bases: bases.collect(),
    };
    fields.finish(faults, "name, urls");
    Some(bucket)
}

fn base_url(item: &Item<'_>, faults: &mut Faults<'_>) -> Option<BaseUrl> {
    let text = item.text(faults)?;
    let base = parse_base_url(&text);
    if base.is_none() {
        let remedy = "Give https://host/path/, without a query.";
        item.fault(faults, "is no base URL.", remedy);
    }
    base
}

fn parse_base_url(text: &str) -> Option<BaseUrl> {
    let (scheme, rest) = text.split_once("://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_http = ["http", "https"].contains(&scheme.to_ascii_lowercase().as_str());
    let has_more = text.contains(['?', '#', '@']) || text.chars().any(char::is_whitespace);
    if !is_http || authority.is_empty() || has_more {
        return None;
    }
    let slash = if path.is_empty() || path.ends_with('/') {
        ""
    } else {
        "/"
    };
    Some(BaseUrl {
        origin: format!("{scheme}://{authority}").to_lowercase(),
        path: format!("/{path}{slash}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_ends_in_a_slash_and_its_host_has_no_case() {
        let base = |text| parse_base_url(text).map(|base| (base.origin, base.path));
        let is = |origin: &str, path: &str| Some((origin.to_owned(), path.to_owned()));
        assert_eq!(
            base("https://CDN.Acme.com"),
            is("https://cdn.acme.com", "/")
        );
        assert_eq!(base("https://s3/Bucket"), is("https://s3", "/Bucket/"));
        assert_eq!(base("https://s3:9000/b/"), is("https://s3:9000", "/b/"));
        for bad in [
            "cdn.acme.com",
            "ftp://a/",
            "https:///x",
            "https://a/?b",
            "https://u@a/",
        ] {
            assert_eq!(base(bad), None, "{bad}");
        }
    }
}

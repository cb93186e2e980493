//! Trying the object store: the bucket of S3_BUCKET, and those that the erasure map names.

use std::collections::BTreeMap;

use super::table::{Finding, TrialResult};
use super::urls::without_user;
use crate::config::Worker;
use crate::map::format::ErasureMap;
use crate::storage::{KeyPrefixes, Store};

/// `map` is the map that is applied.
pub(super) async fn check(
    worker: &Worker,
    store: &Store,
    map: Option<&ErasureMap>,
) -> Vec<Finding> {
    let endpoint = worker.storage.endpoint.as_deref().unwrap_or("AWS");
    let probes = store.probe().await;
    // If one probe did not get through, the success of another proves little: no uploads listed may mean none.
    let success = if probes.iter().all(|probe| probe.ok) {
        TrialResult::Works
    } else {
        TrialResult::Note
    };
    let mut findings = vec![Finding::new("store", success, without_user(endpoint), "")];
    findings.extend(probes.into_iter().map(|probe| {
        if probe.ok {
            Finding::new(probe.name, success, probe.detail, "")
        } else {
            Finding::wrong(probe.name, probe.detail, probe.remedy)
        }
    }));
    findings.push(prefixes(&worker.storage.key_prefixes));
    if let Some(map) = map {
        findings.extend(two_names(store, map));
        findings.extend(named_buckets(store, map).await);
    }
    findings
}

/// Tries each bucket that the map names, as that of S3_BUCKET is tried.
async fn named_buckets(store: &Store, map: &ErasureMap) -> Vec<Finding> {
    let named = map.buckets.iter().filter_map(|bucket| {
        let name = bucket.name.as_deref()?;
        (name != store.bucket()).then_some((name, bucket.alias.as_str()))
    });
    let named: BTreeMap<&str, &str> = named.collect();
    let mut findings = Vec::new();
    for (name, alias) in named {
        for probe in store.with_bucket(name).probe().await {
            let what = format!("{} ({name})", probe.name);
            let setting = format!("`name` of [bucket.{alias}] in the erasure map");
            findings.push(match probe.ok {
                true => Finding::works(&what, probe.detail),
                false => Finding::wrong(
                    &what,
                    probe.detail,
                    &probe.remedy.replace("S3_BUCKET", &setting),
                ),
            });
        }
    }
    findings
}

/// A key of the bucket of S3_BUCKET and the same key under the bucket's name count as two objects. A row that names the
/// one would not protect the other.
fn two_names(store: &Store, map: &ErasureMap) -> Option<Finding> {
    let is_named = |name: Option<&str>| {
        let mut buckets = map.buckets.iter();
        buckets.find(|bucket| bucket.name.as_deref() == name)
    };
    let (named, unnamed) = (is_named(Some(store.bucket()))?, is_named(None)?);
    let detail = format!(
        "[bucket.{}] and [bucket.{}] of the erasure map are both {}, so an object that one of them still needs could be \
         deleted by way of the other",
        named.alias,
        unnamed.alias,
        store.bucket()
    );
    let remedy = format!(
        "Take the `name` out of [bucket.{}], and run `lethe map apply`.",
        named.alias
    );
    Some(Finding::wrong("bucket names", detail, &remedy))
}

fn prefixes(prefixes: &KeyPrefixes) -> Finding {
    const NAME: &str = "key prefixes";
    let listed: Vec<&str> = prefixes.iter().collect();
    if listed.is_empty() {
        return Finding::note(
            NAME,
            "none: every key that a row names may be deleted",
            "Set S3_KEY_PREFIXES to what your application writes, and end the policy of the credentials there.",
        );
    }
    let detail = format!("only keys that begin with {}", listed.join(", "));
    if let Some(open) = listed.iter().find(|prefix| !prefix.ends_with('/')) {
        let remedy = format!(
            "{open} also allows keys such as {open}-old/1. If it is a folder, end it with / in S3_KEY_PREFIXES."
        );
        return Finding::note(NAME, detail, &remedy);
    }
    Finding::works(NAME, detail)
}

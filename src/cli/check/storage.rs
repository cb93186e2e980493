//! Trying the object store.

use super::table::{Finding, TrialResult};
use super::urls::without_user;
use crate::config::Worker;
use crate::storage::{KeyPrefixes, Store};

pub(super) async fn check(worker: &Worker, store: &Store) -> Vec<Finding> {
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
    findings
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

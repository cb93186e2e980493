//! The judge's numbers in the form of `lethe map plan`, and where the two differ.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::case::Action;
use super::verdict::{ObjectFate, Verdict};

/// Most keys outside of their prefix that a plan names.
const MAX_OUTSIDE: usize = 1_000;

pub fn expected(verdict: &Verdict) -> Value {
    let mut rows: BTreeMap<(String, &str), BTreeSet<(usize, usize)>> = BTreeMap::new();
    for ((name, action, _), places) in &verdict.changed {
        let of_action = rows.entry((name.clone(), action.word())).or_default();
        of_action.extend(places);
    }
    for ((name, action), places) in &verdict.leftovers {
        if *action == Action::Delete {
            rows.entry((name.clone(), "delete"))
                .or_default()
                .extend(places);
        }
    }
    let rows = rows.iter().map(|((name, action), places)| {
        let mut keys = verdict.keys.iter();
        let keys = keys.find(|((of, by), _)| of == name && by.word() == *action);
        let keys = keys.map_or(0, |(_, keys)| keys.len());
        json!({"type": name, "action": action, "rows": places.len(), "keys": keys})
    });
    let kept = verdict
        .changed
        .iter()
        .filter(|((_, action, _), _)| *action == Action::Keep);
    let kept = kept
        .map(|((name, _, why), places)| json!({"type": name, "rows": places.len(), "why": why}));
    let count = |fate| verdict.objects.values().filter(|one| **one == fate).count();
    let outside = verdict
        .objects
        .iter()
        .filter(|(_, fate)| **fate == ObjectFate::Outside);
    let outside: BTreeSet<&str> = outside.map(|((_, key), _)| key.as_str()).collect();
    let objects = json!({
        "delete": count(ObjectFate::Deleted),
        "shared": count(ObjectFate::Shared),
        "foreign": verdict.foreign.len(),
        "outside": Vec::from_iter(outside.into_iter().take(MAX_OUTSIDE)),
    });
    json!({"rows": Vec::from_iter(rows), "kept": Vec::from_iter(kept), "objects": objects})
}

/// The differences of two plans as lines, the judge's with a minus and the plan's with a plus.
pub fn differences(expected: &Value, seen: &Value) -> Vec<String> {
    let (expected, seen) = (lines(expected), lines(seen));
    let missing = expected.difference(&seen).map(|line| format!("- {line}"));
    let extra = seen.difference(&expected).map(|line| format!("+ {line}"));
    missing.chain(extra).collect()
}

fn lines(plan: &Value) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for row in plan["rows"].as_array().into_iter().flatten() {
        let (name, action) = (&row["type"], &row["action"]);
        lines.insert(format!(
            "{name} {action}: {} rows, {} keys",
            row["rows"], row["keys"]
        ));
    }
    for row in plan["kept"].as_array().into_iter().flatten() {
        lines.insert(format!(
            "{} kept because {}: {} rows",
            row["type"], row["why"], row["rows"]
        ));
    }
    for count in ["delete", "shared", "foreign"] {
        lines.insert(format!("objects {count}: {}", plan["objects"][count]));
    }
    for key in plan["objects"]["outside"].as_array().into_iter().flatten() {
        lines.insert(format!("object outside: {key}"));
    }
    lines
}

/// What `leftovers` says as long as nothing is erased, each as `type action rows`.
pub fn leftovers(verdict: &Verdict) -> BTreeSet<String> {
    let rows = verdict.leftovers.iter();
    let rows = rows.filter(|(_, places)| !places.is_empty());
    rows.map(|((name, action), places)| format!("{name} {} {}", action.word(), places.len()))
        .collect()
}

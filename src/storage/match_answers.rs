//! Matches the answer of a DeleteObjects to the targets of the request: each target is in `deleted`, in `errors` or
//! missing from the answer. This code is pure.

use std::collections::HashMap;

use aws_sdk_s3::types::{DeletedObject, Error as KeyError};

use super::classify::{Failure, class_of_key_code, is_missing_key};
use super::target::{Target, TargetResult};
use crate::vocabulary::ErrorClass;

/// Returns one result for each target, in the same order. A target that the answer does not name has failed.
///
/// `complete` is whether the answer was read to its end. A body cut in the middle parses without an
/// error in aws-sdk-s3 1.157, and its last element may name half a key: that element does not count.
pub(super) fn match_answers(
    targets: &[Target],
    deleted: &[DeletedObject],
    errors: &[KeyError],
    complete: bool,
) -> Vec<TargetResult> {
    let (deleted, errors) = if complete {
        (deleted, errors)
    } else {
        (without_last(deleted), without_last(errors))
    };
    let mut results = vec![unanswered(complete); targets.len()];
    let mut places: HashMap<&str, Vec<usize>> = HashMap::with_capacity(targets.len());
    for (place, target) in targets.iter().enumerate() {
        places.entry(&target.key).or_default().push(place);
    }
    for entry in deleted {
        let Some(places) = entry.key().and_then(|key| places.get(key)) else {
            continue;
        };
        for &place in places {
            if let Some(result) = result_of(entry, targets[place].version.as_deref()) {
                results[place] = result;
            }
        }
    }
    // Errors come last: if an answer has a key in both lists, the key is not gone.
    for error in errors {
        let named = error.key().and_then(|key| places.get(key));
        let alone = [0];
        let places = match named {
            Some(places) => places.as_slice(),
            // Some stores leave the key out. If only one target was sent, the error must be about that one.
            None if targets.len() == 1 && error.key().is_none_or(str::is_empty) => &alone,
            None => continue,
        };
        for &place in places {
            let version = error.version_id().filter(|id| !id.is_empty());
            if version.is_none() || version == targets[place].version.as_deref() {
                results[place] = result_of_error(error);
            }
        }
    }
    results
}

fn without_last<T>(entries: &[T]) -> &[T] {
    entries.split_last().map_or(entries, |(_, rest)| rest)
}

fn unanswered(complete: bool) -> TargetResult {
    let (code, message) = if complete {
        ("NotAnswered", "the store's answer does not name this key")
    } else {
        ("IncompleteAnswer", "the store's answer broke off")
    };
    TargetResult::Failed(Failure::new(ErrorClass::Transient, code, message))
}

/// What an entry says about a target with its key. `None` if the entry is about another version.
fn result_of(entry: &DeletedObject, version: Option<&str>) -> Option<TargetResult> {
    let marker = entry.delete_marker_version_id();
    match version {
        Some(_) => {
            (entry.version_id() == version || marker == version).then_some(TargetResult::Gone)
        }
        None if entry.delete_marker() == Some(true) || marker.is_some() => {
            Some(TargetResult::Hidden(marker.map(str::to_owned)))
        }
        None => Some(TargetResult::Gone),
    }
}

fn result_of_error(error: &KeyError) -> TargetResult {
    let code = error
        .code()
        .filter(|code| !code.is_empty())
        .unwrap_or("Unknown");
    // This is how Garage reports a missing key.
    if is_missing_key(code) {
        return TargetResult::Gone;
    }
    let message = error.message().unwrap_or("the store gave no reason");
    TargetResult::Failed(Failure::new(class_of_key_code(code), code, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(keys: &[&str]) -> Vec<Target> {
        keys.iter().map(|key| Target::of_key(key)).collect()
    }

    fn deleted(key: &str) -> DeletedObject {
        DeletedObject::builder().key(key).build()
    }

    fn refused(key: &str, code: &str) -> KeyError {
        KeyError::builder().key(key).code(code).build()
    }

    fn class(result: &TargetResult) -> Option<ErrorClass> {
        match result {
            TargetResult::Failed(failure) => Some(failure.class),
            TargetResult::Gone | TargetResult::Hidden(_) => None,
        }
    }

    #[test]
    fn a_key_that_the_answer_does_not_name_is_not_gone() {
        let results = match_answers(&asked(&["a", "b"]), &[deleted("a")], &[], true);
        assert_eq!(results[0], TargetResult::Gone);
        assert_eq!(class(&results[1]), Some(ErrorClass::Transient));
    }

    #[test]
    fn the_last_element_of_a_broken_answer_does_not_count() {
        // `<Deleted><Key>ab` of "abc": another key that was asked for as well.
        let answer = [deleted("x"), deleted("ab")];
        let results = match_answers(&asked(&["x", "ab", "abc"]), &answer, &[], false);
        assert_eq!(results[0], TargetResult::Gone);
        assert_eq!(class(&results[1]), Some(ErrorClass::Transient));
        assert_eq!(class(&results[2]), Some(ErrorClass::Transient));
    }

    #[test]
    fn an_error_outweighs_a_deletion_of_the_same_key() {
        let results = match_answers(
            &asked(&["a"]),
            &[deleted("a")],
            &[refused("a", "AccessDenied")],
            true,
        );
        assert_eq!(class(&results[0]), Some(ErrorClass::Blocked));
    }

    #[test]
    fn a_missing_key_is_gone_and_a_missing_bucket_is_not() {
        let errors = [refused("a", "NoSuchKey"), refused("b", "NoSuchBucket")];
        let results = match_answers(&asked(&["a", "b"]), &[], &errors, true);
        assert_eq!(results[0], TargetResult::Gone);
        assert_eq!(class(&results[1]), Some(ErrorClass::Outage));
    }

    #[test]
    fn a_delete_marker_only_hides() {
        let marker = DeletedObject::builder()
            .key("a")
            .delete_marker(true)
            .delete_marker_version_id("m1")
            .build();
        let results = match_answers(&asked(&["a"]), &[marker], &[], true);
        assert_eq!(results[0], TargetResult::Hidden(Some("m1".to_owned())));
    }

    #[test]
    fn versions_are_matched_one_by_one() {
        let version = |id: &str| Target {
            key: "a".into(),
            version: Some(id.to_owned()),
        };
        let entry = DeletedObject::builder().key("a").version_id("1").build();
        let results = match_answers(&[version("1"), version("2")], &[entry], &[], true);
        assert_eq!(results[0], TargetResult::Gone);
        assert_eq!(class(&results[1]), Some(ErrorClass::Transient));
    }

    #[test]
    fn keys_that_were_not_asked_for_change_nothing() {
        let results = match_answers(&asked(&["/lead"]), &[deleted("lead")], &[], true);
        assert_eq!(class(&results[0]), Some(ErrorClass::Transient));
    }
}

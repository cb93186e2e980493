//! What a deletion request names, and the result for it.

use std::sync::Arc;

use super::classify::Failure;

/// S3's limit for a key, in bytes of UTF-8 (Amazon S3 user guide, "Naming Amazon S3 objects").
pub const MAX_KEY_BYTES: usize = 1_024;

/// An object, or one version of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) key: Arc<str>,
    pub(super) version: Option<String>,
}

impl Target {
    pub(super) fn of_key(key: &str) -> Self {
        Self {
            key: key.into(),
            version: None,
        }
    }
}

/// The result for one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TargetResult {
    /// The store says that it does not exist. It may never have existed.
    Gone,
    /// A delete marker (of this id) hides it; the bytes are still there.
    Hidden(Option<String>),
    /// It may still be there.
    Failed(Failure),
}

/// Whether XML 1.0 can hold a key unchanged (W3C XML 1.0, production 2, "Char"). It could hold `\r`, but a parser
/// may turn that into `\n` (section 2.11), and the answer would name another key.
pub(super) fn fits_in_xml(key: &str) -> bool {
    key.chars().all(
        |c| matches!(c, '\t' | '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..),
    )
}

/// Why no object can have this key: a code and a message. `None` if the key is valid.
pub(super) fn flaw_of(key: &str) -> Option<(&'static str, &'static str)> {
    if key.is_empty() {
        // In a single deletion, the URL would name the bucket itself.
        return Some(("EmptyKey", "an empty key names no object"));
    }
    if key.len() > MAX_KEY_BYTES {
        return Some(("KeyTooLongError", "a key has at most 1,024 bytes of UTF-8"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_fit_in_xml() {
        for bad in [
            "\u{0}", "a\u{1}b", "\r", "x\r\n", "\u{1f}", "\u{fffe}", "\u{ffff}",
        ] {
            assert!(!fits_in_xml(bad), "{bad:?}");
        }
        for good in [
            "a&<b>\"é",
            " lead",
            "tab\there",
            "line\nbreak",
            "../x",
            "\u{1f600}",
        ] {
            assert!(fits_in_xml(good), "{good:?}");
        }
    }

    #[test]
    fn the_limit_of_a_key_is_in_bytes() {
        assert!(flaw_of(&"k".repeat(MAX_KEY_BYTES)).is_none());
        assert!(flaw_of(&"k".repeat(MAX_KEY_BYTES + 1)).is_some());
        assert!(flaw_of(&"é".repeat(513)).is_some());
        assert!(flaw_of("").is_some());
    }
}

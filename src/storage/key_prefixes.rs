//! Which keys may be deleted at all (`S3_KEY_PREFIXES`). An application that lets its clients choose keys must not
//! become a way to delete what else lies in the bucket.

use uuid::Uuid;

use super::classify::Failure;
use crate::vocabulary::ErrorClass;

/// The prefixes of the keys that may be deleted; none allows every key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPrefixes(Vec<String>);

impl KeyPrefixes {
    /// Keys may begin with any of these.
    #[must_use]
    pub fn new(prefixes: Vec<String>) -> Self {
        Self(prefixes)
    }

    /// The prefixes.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Why this key may not be deleted. A key with a `..` in it is outside: a store that keeps objects as files may take
    /// it for a folder.
    pub(super) fn refusal_of(&self, key: &str) -> Option<Failure> {
        let climbs = || key.split(['/', '\\']).any(|part| part == "..");
        let is_inside = self.iter().any(|prefix| key.starts_with(prefix)) && !climbs();
        if self.0.is_empty() || is_inside {
            return None;
        }
        Some(Failure::new(
            ErrorClass::Blocked,
            "KeyOutsidePrefixes",
            &format!(
                "the store was not asked for {key:?}, because it is outside of S3_KEY_PREFIXES"
            ),
        ))
    }

    /// Makes a random key that may be deleted and never existed.
    pub(super) fn unknown_key(&self) -> String {
        let prefix = self.0.first().map_or("", String::as_str);
        format!("{prefix}lethe-probe-{}", Uuid::new_v4())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(prefixes: &[&str], key: &str) -> bool {
        let prefixes = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
        KeyPrefixes::new(prefixes).refusal_of(key).is_none()
    }

    #[test]
    fn only_keys_below_a_prefix_may_be_deleted() {
        let prefixes = ["samples/", "avatars/"];
        for inside in ["samples/1", "avatars/a/b", "samples/a..b", "samples/"] {
            assert!(allows(&prefixes, inside), "{inside}");
        }
        for outside in [
            "backups/db.dump",
            "Samples/1",
            "/samples/1",
            "samples",
            "samples/../backups/db.dump",
            "samples/..",
            "samples/a\\..\\b",
            "",
        ] {
            assert!(!allows(&prefixes, outside), "{outside}");
        }
        assert!(allows(&[], "../backups/db.dump"), "no prefixes, no limit");
    }

    #[test]
    fn a_refusal_names_the_key_and_a_probe_stays_inside() {
        let prefixes = KeyPrefixes::new(vec!["samples/".to_owned()]);
        let refusal = prefixes.refusal_of("backups/db.dump").unwrap();
        assert_eq!(refusal.class, ErrorClass::Blocked);
        assert!(
            refusal.to_string().contains("\"backups/db.dump\""),
            "{refusal}"
        );
        assert!(prefixes.refusal_of(&prefixes.unknown_key()).is_none());
    }
}

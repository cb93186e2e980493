//! Reads keys in listings with `encoding-type=url`. This code is pure.

use percent_encoding::percent_decode_str;

/// Whether a listing's `found` is `key`. AWS writes a space as `+`, other stores as `%20`.
/// Both readings are tried. That is safe, because the key was the prefix of the listing.
pub(super) fn names(found: &str, key: &str, encoded: bool) -> bool {
    if !encoded {
        return found == key;
    }
    readings(found).iter().any(|read| read == key.as_bytes())
}

/// The two names that an encoded name may mean: with `+` as itself, and with `+` as a space.
pub(super) fn readings(found: &str) -> [Vec<u8>; 2] {
    [decoded(found, false), decoded(found, true)]
}

/// The names that a name may mean if the request asked for encoded names and the answer does not say whether they
/// are: radosgw 16.2 encodes the names of open uploads without saying so, and moto 5.1 does not encode them.
pub(super) fn readings_unsaid(found: &str) -> [Vec<u8>; 3] {
    let [plain, plus_is_space] = readings(found);
    [found.into(), plain, plus_is_space]
}

fn decoded(text: &str, plus_is_space: bool) -> Vec<u8> {
    if plus_is_space {
        percent_decode_str(&text.replace('+', " ")).collect()
    } else {
        percent_decode_str(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_in_both_ways_of_writing_a_space() {
        assert!(names("a+b%26%C3%A9", "a b&é", true));
        assert!(names("a%20b", "a b", true));
        assert!(names("a%2Bb", "a+b", true));
        assert!(names("%01/100%25", "\u{1}/100%", true));
        assert!(names("100%", "100%", true));
        assert!(names("a%20b", "a%20b", false));
    }

    #[test]
    fn a_longer_key_is_another() {
        assert!(!names("ab", "a", true));
        assert!(!names("a%20b", "a b", false));
        assert!(!names("a%2Bb", "a b", true));
    }
}

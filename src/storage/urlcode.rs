//! Keys in listings with `encoding-type=url`. Pure.

use percent_encoding::percent_decode_str;

/// Whether a listing's `found` is `key`. Stores differ in how they write a space: AWS as `+`, others as
/// `%20`; both readings are tried, which is safe as the listing was asked for by the key as its prefix.
pub(super) fn names(found: &str, key: &str, encoded: bool) -> bool {
    if !encoded {
        return found == key;
    }
    readings(found).iter().any(|read| read == key.as_bytes())
}

/// What an encoded name may mean: with `+` as itself, and as a space.
pub(super) fn readings(found: &str) -> [Vec<u8>; 2] {
    [decoded(found, false), decoded(found, true)]
}

/// What a name may mean in a listing that was asked for encoded names and does not say whether they are:
/// radosgw 16.2 encodes those of open uploads without a word, moto 5.1 does not.
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

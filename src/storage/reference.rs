//! How a task names an object.

/// An object as a task names it: `key` in the bucket of `S3_BUCKET`, `s3://bucket/key` in another one. `s3:///key` is a
/// key of the first that looks like one of these forms. `outside:` before it marks a key that the erasure map does not
/// allow to be deleted. `lethe_map.key_ref` writes this form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectRef<'a> {
    /// `None` is the bucket of `S3_BUCKET`.
    pub bucket: Option<&'a str>,
    pub key: &'a str,
    /// The map does not allow its deletion.
    pub is_outside: bool,
}

impl<'a> ObjectRef<'a> {
    /// Reads the form of a task.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        let (text, is_outside) = match text.strip_prefix("outside:") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let named = text
            .strip_prefix("s3://")
            .and_then(|rest| rest.split_once('/'));
        let (bucket, key) = match named {
            Some(("", key)) => (None, key),
            Some((bucket, key)) => (Some(bucket), key),
            None => (None, text),
        };
        Self {
            bucket,
            key,
            is_outside,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_names_one_object() {
        let parse = |text| {
            let object = ObjectRef::parse(text);
            (object.bucket, object.key, object.is_outside)
        };
        assert_eq!(parse("a/b.png"), (None, "a/b.png", false));
        assert_eq!(parse("s3://one/a/b"), (Some("one"), "a/b", false));
        assert_eq!(parse("s3:///s3://x/y"), (None, "s3://x/y", false));
        assert_eq!(parse("outside:s3://one/a"), (Some("one"), "a", true));
        assert_eq!(parse("s3:///outside:a"), (None, "outside:a", false));
    }
}

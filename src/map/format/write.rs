//! Names and texts as TOML has them, for what a person is to paste into a map.

use std::fmt::Write as _;

/// A string on one line, with everything escaped that could end it.
#[must_use]
pub fn toml_string(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// A key, in quotes where it needs them.
#[must_use]
pub fn toml_key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(is_bare) {
        name.to_owned()
    } else {
        toml_string(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_on_its_line_and_in_its_quotes() {
        for name in [
            "a\"b'; drop table x; --\n\t\r",
            "größe",
            "a.b",
            "",
            "\\",
            "\u{7f}\u{85}",
        ] {
            let text = format!("{} = {}", toml_key(name), toml_string(name));
            assert_eq!(text.lines().count(), 1, "{text}");
            let table: toml::Table = toml::from_str(&text).unwrap();
            assert_eq!(table[name].as_str(), Some(name), "{text}");
        }
        assert_eq!(toml_key("user_id-2"), "user_id-2");
    }
}

//! Makes ids from the database safe to print: an id may hold any character, and a terminal acts on some of them.

use std::fmt::Write as _;

/// Escapes the characters that a terminal would act on, for example as `\u{1b}`. The result is for people to read.
pub(super) fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        // Quotes and backslashes are escaped by `escape_debug`, too, but are harmless.
        if matches!(char, '\'' | '"' | '\\') {
            safe.push(char);
        } else {
            safe.extend(char.escape_debug());
        }
    }
    safe
}

/// Makes text safe to paste into a shell. It is quoted if it holds a character that a shell might act on. If it
/// holds a control character, it is written in the form `$'\x1b'`, which bash and zsh understand.
pub(super) fn in_shell(text: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "_-./+=:@".contains(char);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    if !text.chars().any(char::is_control) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    let mut quoted = "$'".to_owned();
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'\'' && byte != b'\\' {
            quoted.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(quoted, "\\x{byte:02x}");
        }
    }
    quoted + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_steer_a_terminal_are_escaped() {
        assert_eq!(
            printable("a\u{1b}[2J\n\u{202e}\u{fc}'"),
            "a\\u{1b}[2J\\n\\u{202e}\u{fc}'"
        );
    }

    #[test]
    fn text_that_is_pasted_into_a_shell_stays_one_word() {
        assert_eq!(in_shell("whsec_a+b/c="), "whsec_a+b/c=");
        assert_eq!(in_shell("it's"), r"'it'\''s'");
        assert_eq!(in_shell("a\u{1b} '"), r"$'a\x1b\x20\x27'");
    }
}

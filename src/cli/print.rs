//! How commands print: tables for people, or the API's own JSON.

use comfy_table::{Table, presets};
use poem_openapi::types::ToJSON;

/// What a command prints, and whether everything that was asked for was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TasksOutput {
    /// For standard output.
    pub text: String,
    /// For standard error, a line each; none if everything was done.
    pub refused: Vec<String>,
}

impl From<String> for TasksOutput {
    fn from(text: String) -> Self {
        let refused = Vec::new();
        Self { text, refused }
    }
}

/// The API's own JSON, or text for people.
pub(super) fn output<T: ToJSON>(
    as_json: bool,
    value: &T,
    text: impl Fn(&T) -> String,
) -> TasksOutput {
    if as_json {
        format!("{:#}", value.to_json().unwrap_or_default()).into()
    } else {
        text(value).into()
    }
}

pub(super) fn new_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if !header.is_empty() {
        table.set_header(header.to_vec());
    }
    table
}

/// Text that came from outside, without the control characters that a terminal would act on.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_control() { '\u{fffd}' } else { char })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_move_the_cursor() {
        assert_eq!(plain("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }
}

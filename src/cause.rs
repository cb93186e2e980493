//! An error with its causes in one line.

use std::error::Error;

/// The error and its causes, joined by `: `, each said once. Many errors repeat their cause in their own text
/// (`database error: relation "users" does not exist: relation "users" does not exist`), so a cause that the
/// text so far contains is left out. So is PostgreSQL's ` at line N`, which is a line of the server's own
/// source code.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = without_server_line(&error.to_string());
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = without_server_line(&error.to_string());
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

/// sqlx adds ` at line N` to PostgreSQL's messages.
fn without_server_line(text: &str) -> String {
    match text.rsplit_once(" at line ") {
        Some((before, line)) if !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit()) => {
            before.to_owned()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct TestError {
        text: &'static str,
        #[source]
        cause: Option<Box<TestError>>,
    }

    fn layers(texts: &[&'static str]) -> TestError {
        let (text, rest) = texts.split_first().unwrap();
        TestError {
            text,
            cause: (!rest.is_empty()).then(|| Box::new(layers(rest))),
        }
    }

    #[test]
    fn each_cause_is_said_once() {
        let repeated = layers(&["cannot migrate: no relation", "no relation", "no relation"]);
        assert_eq!(chain(&repeated), "cannot migrate: no relation");
        let distinct = layers(&["cannot migrate", "connection refused", "os error 111"]);
        assert_eq!(
            chain(&distinct),
            "cannot migrate: connection refused: os error 111"
        );
    }

    #[test]
    fn the_servers_own_source_line_is_left_out() {
        let error = layers(&["password failed at line 334", "password failed at line 334"]);
        assert_eq!(chain(&error), "password failed");
        assert_eq!(
            chain(&layers(&["stopped at line up"])),
            "stopped at line up"
        );
    }
}

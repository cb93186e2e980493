//! The findings, and the table in which a person reads them.

use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};

/// Columns of the table when the terminal does not say: it must be legible in a log, too.
const WIDTH: u16 = 120;

/// How one trial went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialResult {
    /// It works.
    Works,
    /// It works, or is not configured; here is something to know.
    Note,
    /// It does not work.
    Wrong,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was tried.
    pub name: String,
    pub result: TrialResult,
    /// What was seen; never a secret.
    pub detail: String,
    /// What to do about it; empty if nothing.
    pub remedy: String,
}

impl Finding {
    pub fn works(name: &str, detail: impl Into<String>) -> Self {
        Self::new(name, TrialResult::Works, detail, "")
    }

    pub fn note(name: &str, detail: impl Into<String>, remedy: &str) -> Self {
        Self::new(name, TrialResult::Note, detail, remedy)
    }

    pub fn wrong(name: &str, detail: impl Into<String>, remedy: &str) -> Self {
        Self::new(name, TrialResult::Wrong, detail, remedy)
    }

    pub fn new(name: &str, result: TrialResult, detail: impl Into<String>, remedy: &str) -> Self {
        Self {
            name: name.to_owned(),
            result,
            detail: detail.into(),
            remedy: remedy.to_owned(),
        }
    }
}

/// The table, and a last line that counts what is wrong.
pub fn render(findings: &[Finding]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH)
        .set_header(["", "what", "found", "remedy"]);
    for finding in findings {
        let mark = match finding.result {
            TrialResult::Works => "ok",
            TrialResult::Note => "-",
            TrialResult::Wrong => "WRONG",
        };
        table.add_row([mark, &finding.name, &finding.detail, &finding.remedy]);
    }
    let mut text = table.to_string();
    let _ = match wrong(findings).count() {
        0 => write!(text, "\neverything that is configured works"),
        1 => write!(text, "\n1 thing is wrong"),
        several => write!(text, "\n{several} things are wrong"),
    };
    text
}

/// The findings for a program: each with `name`, `result` (`ok`, `note` or `wrong`), `detail` and `remedy`.
pub fn json(findings: &[Finding]) -> String {
    let items: Vec<Value> = findings
        .iter()
        .map(|finding| {
            let result = match finding.result {
                TrialResult::Works => "ok",
                TrialResult::Note => "note",
                TrialResult::Wrong => "wrong",
            };
            json!({
                "name": finding.name, "result": result, "detail": finding.detail, "remedy": finding.remedy,
            })
        })
        .collect();
    format!(
        "{:#}",
        json!({"ok": !is_anything_wrong(findings), "findings": items})
    )
}

/// Whether something must be mended.
pub fn is_anything_wrong(findings: &[Finding]) -> bool {
    wrong(findings).next().is_some()
}

fn wrong(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings
        .iter()
        .filter(|finding| finding.result == TrialResult::Wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_is_wrong_and_how_to_mend_it() {
        let findings = [
            Finding::works("a", "fine"),
            Finding::wrong("b", "broken", "Mend it."),
        ];
        let text = render(&findings);
        assert!(
            text.contains("WRONG") && text.contains("Mend it."),
            "{text}"
        );
        assert!(text.ends_with("1 thing is wrong"), "{text}");
        assert!(is_anything_wrong(&findings) && !is_anything_wrong(&findings[..1]));
    }
}

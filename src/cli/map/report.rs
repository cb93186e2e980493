//! The findings of the gate in three forms.

use std::fmt::Write as _;

use serde_json::json;

use super::load::LoadedMap;
use crate::map::gate::{Finding, Report, Severity};

/// For people: each finding with its place, what it is, why it matters, and how to mend it.
pub(super) fn text(map: &LoadedMap, report: &Report) -> String {
    let digest = &map.map.digest[..12];
    let server = &report.server;
    let mut text = format!(
        "{} ({digest}) against {} (PostgreSQL {}) as {}: {} of {} tables are mapped\n",
        map.file, server.database, server.version, server.role, report.mapped, report.tables
    );
    for finding in &report.findings {
        let Finding {
            code,
            severity,
            place,
            what,
            remedy,
            line,
            ..
        } = finding;
        let line = line.map_or(String::new(), |line| format!(" (line {line})"));
        let _ = writeln!(text, "\n{severity:<10}  {}  {place}{line}", code.as_str());
        let _ = writeln!(text, "            {what} {}", code.reason());
        for line in remedy.lines() {
            let _ = writeln!(text, "            -> {line}");
        }
    }
    if let (true, Some(applied)) = (report.differs, &report.applied) {
        let applied = applied.get(..12).unwrap_or(applied);
        let _ = writeln!(text, "\nThe map that is applied is another ({applied}).");
    }
    let _ = writeln!(text, "\n{}", counts(report));
    text
}

fn counts(report: &Report) -> String {
    let counts = Severity::ALL.iter().filter_map(|severity| {
        let count = report.count(*severity);
        (count > 0).then(|| match severity {
            Severity::Danger => format!("{count} dangerous"),
            Severity::Incomplete => format!("{count} incomplete"),
            Severity::Note if count == 1 => "1 note".to_owned(),
            Severity::Note => format!("{count} notes"),
        })
    });
    let counts: Vec<String> = counts.collect();
    match counts.as_slice() {
        [] => "Nothing was found.".to_owned(),
        counts => counts.join(", "),
    }
}

/// For programs.
pub(super) fn json(map: &LoadedMap, report: &Report, exit_code: u8) -> String {
    let findings = report.findings.iter().map(|finding| {
        json!({
            "code": finding.code.as_str(),
            "severity": finding.severity.as_str(),
            "place": finding.place,
            "what": finding.what,
            "why": finding.code.reason(),
            "remedy": finding.remedy,
            "line": finding.line,
            "accept": finding.accept,
        })
    });
    let document = json!({
        "file": map.file,
        "digest": map.map.digest,
        "appliedDigest": report.applied,
        "differs": report.differs,
        "database": report.server.database,
        "serverVersion": report.server.version,
        "role": report.server.role,
        "mappedTables": report.mapped,
        "tables": report.tables,
        "findings": Vec::from_iter(findings),
        "exitCode": exit_code,
    });
    format!("{document:#}")
}

/// Annotations of GitHub Actions, each at its line of the map.
pub(super) fn github(map: &LoadedMap, report: &Report) -> String {
    let mut lines: Vec<String> = report
        .findings
        .iter()
        .map(|finding| {
            let level = match finding.severity {
                Severity::Note => "notice",
                Severity::Incomplete | Severity::Danger => "error",
            };
            let message = format!(
                "{}: {} {}\n{}",
                finding.place,
                finding.what,
                finding.code.reason(),
                finding.remedy
            );
            github_line(
                level,
                &map.file,
                finding.line,
                finding.code.as_str(),
                &message,
            )
        })
        .collect();
    if report.differs {
        lines.push(github_line(
            "error",
            &map.file,
            None,
            "differs",
            "The map that is applied is another.",
        ));
    }
    lines.join("\n")
}

/// One annotation. Names in it are the application's, so what could end the line or begin another is escaped.
pub(super) fn github_line(
    level: &str,
    file: &str,
    line: Option<usize>,
    title: &str,
    message: &str,
) -> String {
    let message = message
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A");
    let file = file
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
        .replace(':', "%3A")
        .replace(',', "%2C");
    let line = line.unwrap_or(1);
    format!("::{level} file={file},line={line},title={title}::{message}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_an_annotation() {
        let line = github_line("error", "a,b:c.toml", Some(3), "no-rule", "x\n::error::y%");
        assert_eq!(
            line,
            "::error file=a%2Cb%3Ac.toml,line=3,title=no-rule::x%0A::error::y%25"
        );
    }
}

//! What is printed for a file that is no map.

use serde_json::json;

use super::load::InvalidFile;
use super::output::{INVALID, MapOutput};
use super::report::github_line;
use crate::cli::args::{MapCommand, MapFormat};

/// All faults of a file, in the format that was asked for.
pub fn tell_invalid(invalid: &InvalidFile, command: &MapCommand) -> MapOutput {
    let InvalidFile { file, faults } = invalid;
    let format = match command {
        MapCommand::Check { format, .. } => *format,
        _ => MapFormat::Text,
    };
    let lines = |line: &dyn Fn(&crate::map::format::MapFault) -> String| {
        faults.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    let (text, errors) = match format {
        MapFormat::Text => {
            let errors = lines(&|fault| format!("error: {file}: {fault}"));
            (String::new(), errors)
        }
        MapFormat::Json => {
            let faults = faults.iter().map(|fault| {
                json!({"line": fault.line, "key": fault.key, "problem": fault.problem, "remedy": fault.remedy})
            });
            let faults: Vec<_> = faults.collect();
            let document = json!({"file": file, "faults": faults, "exitCode": INVALID});
            (format!("{document:#}"), String::new())
        }
        MapFormat::Github => {
            let text = lines(&|fault| {
                let message = format!("{}: {} {}", fault.key, fault.problem, fault.remedy);
                let message = message.trim_start_matches(": ");
                github_line("error", file, Some(fault.line), "invalid", message)
            });
            (text, String::new())
        }
    };
    MapOutput {
        text,
        errors,
        exit_code: INVALID,
    }
}

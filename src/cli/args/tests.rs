use clap::CommandFactory;
use clap::error::ErrorKind;

use super::*;
use crate::config::Section;
use crate::config::variables::{ALL, Kind};
use crate::tasks::Reason;
use crate::worker::Cleanup;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

fn help(line: &str) -> String {
    let error = parse(line).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DisplayHelp, "{error}");
    error.to_string()
}

/// The commands, and whether each has examples and exit codes of its own.
const COMMANDS: &[(&str, bool)] = &[
    #[cfg(feature = "dev")]
    ("dev", true),
    #[cfg(feature = "dev")]
    ("send-webhook", true),
    #[cfg(feature = "dev")]
    ("bench", true),
    ("serve", true),
    ("worker", true),
    ("migrate", true),
    ("openapi", true),
    ("check", true),
    ("tasks", true),
    ("tasks list", false),
    ("tasks show", false),
    ("tasks retry", false),
    ("tasks stats", false),
    ("receipts", true),
    ("receipts export", false),
    ("receipts verify", false),
    ("receipts replay", false),
    ("map", true),
    ("map check", true),
    ("map init", true),
    ("map plan", true),
    ("map sql", true),
    ("map grants", true),
    ("reconcile", true),
    ("reconcile clerk", true),
];

#[test]
fn the_definitions_hold_together() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_help_and_the_log_format() {
    for (command, whole) in COMMANDS {
        let help = help(&format!("lethe {command} --help"));
        assert!(help.contains("--log-format"), "{command}: {help}");
        if *whole {
            assert!(
                help.contains("Examples:") && help.contains("Exit codes:"),
                "{command}"
            );
        }
    }
}

#[test]
fn help_shows_the_meaning_the_default_and_the_variable_of_every_setting() {
    let help = help("lethe check --help")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    for variable in ALL {
        let environment = match variable.file_name() {
            Some(file) => format!("[env: {} or {file}]", variable.name),
            None => format!("[env: {}]", variable.name),
        };
        for part in [
            &environment,
            &variable.help_when_unset(),
            &format!("--{} ", variable.flag()),
        ] {
            assert!(help.contains(part.as_str()), "{part}");
        }
    }
}

#[test]
fn every_setting_is_a_flag_and_reaches_the_parser() {
    for variable in ALL {
        let line = format!("lethe check --{} x", variable.flag());
        let pair = (variable.name.to_owned(), "x".to_owned());
        assert_eq!(parse(&line).unwrap().flags(), [pair]);
        if let Some(file) = variable.file_name() {
            let line = format!("lethe check --{}-file /x", variable.flag());
            assert_eq!(parse(&line).unwrap().flags(), [(file, "/x".to_owned())]);
        }
    }
}

#[test]
fn bad_values_are_left_to_our_own_parser() {
    for variable in ALL
        .iter()
        .filter(|variable| matches!(variable.kind, Kind::Number { .. }))
    {
        let cli = parse(&format!("lethe check --{} -1", variable.flag())).unwrap();
        assert_eq!(cli.flags()[0].1, "-1");
    }
    let cli = parse("lethe worker --cleanup-lease-ms -1 --cleanup-claim-batch 0").unwrap();
    let source = Source::empty().with(crate::config::Origin::Flag, cli.flags());
    assert_eq!(Cleanup::parse(&source).unwrap_err().faults.len(), 2);
}

#[test]
fn a_pem_may_be_given_as_a_flag() {
    let cli = Cli::try_parse_from(["lethe", "serve", "--clerk-jwt-key", "-----BEGIN X"]);
    assert_eq!(cli.unwrap().flags()[0].1, "-----BEGIN X");
}

#[test]
fn global_flags_may_stand_anywhere() {
    for line in [
        "lethe --log-format json tasks --database-url postgres://db stats",
        "lethe tasks stats --log-format json --database-url postgres://db",
    ] {
        let flags = parse(line).unwrap().flags();
        assert_eq!(
            flags,
            [("LOG_FORMAT", "json"), ("DATABASE_URL", "postgres://db")]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
            "{line}"
        );
    }
}

#[test]
fn a_parsed_command_line_shows_no_secret() {
    const LINES: &[&str] = &[
        "lethe serve --database-url postgres://u:hunter2@db --admin-api-tokens a:hunter2",
        #[cfg(feature = "dev")]
        "lethe send-webhook user_1 --secret hunter2",
    ];
    for line in LINES {
        let cli = parse(line).unwrap();
        assert!(!format!("{cli:?}").contains("hunter2"), "{cli:?}");
        assert!(
            cli.flags()
                .iter()
                .any(|(_, value)| value.contains("hunter2"))
        );
    }
}

#[cfg(feature = "dev")]
#[test]
fn dev_needs_no_flags() {
    let Command::Dev(dev) = parse("lethe dev").unwrap().command else {
        panic!()
    };
    assert_eq!(dev.data_dir, std::path::PathBuf::from("./.lethe"));
    assert_eq!((dev.seed, dev.workers), (None, 2));
    let line = "lethe dev --seed 9 --samples-per-user 4 --images-per-sample 5 --workers 1";
    let Command::Dev(dev) = parse(line).unwrap().command else {
        panic!()
    };
    assert_eq!(
        (dev.seed, dev.samples_per_user, dev.images_per_sample),
        (Some(9), 4, 5)
    );
}

#[test]
fn a_retry_names_tasks_or_all_dead_ones_and_always_a_reason() {
    assert!(parse("lethe tasks retry 1 2 --reason x").is_ok());
    assert!(parse("lethe tasks retry --all-dead --reason x").is_ok());
    for bad in [
        "retry --reason x",
        "retry 1 --all-dead --reason x",
        "retry 1",
        "retry 0 --reason x",
    ] {
        assert_eq!(
            parse(&format!("lethe tasks {bad}"))
                .unwrap_err()
                .exit_code(),
            2,
            "{bad}"
        );
    }
    assert!(Reason::parse("  ").is_err() && Reason::parse(&"x".repeat(501)).is_err());
    assert!(Reason::parse(&"ä".repeat(500)).is_ok());
}

#[test]
fn a_reconciliation_changes_nothing_unless_told_to() {
    for (line, clerk, apply) in [
        ("lethe reconcile", false, false),
        ("lethe reconcile --apply", false, true),
        ("lethe reconcile clerk", true, false),
        ("lethe reconcile clerk --apply --json", true, true),
        ("lethe reconcile --apply clerk", true, true),
    ] {
        let Command::Reconcile(args) = parse(line).unwrap().command else {
            panic!()
        };
        assert_eq!(
            (args.command.is_some(), args.apply),
            (clerk, apply),
            "{line}"
        );
    }
    let line = "lethe reconcile clerk --clerk-secret-key hunter2 --database-url postgres://db";
    let cli = parse(line).unwrap();
    assert!(!format!("{cli:?}").contains("hunter2"), "{cli:?}");
    assert_eq!(cli.flags().len(), 2);
}

//! What can be typed after `lethe`: every command with its flags and help.

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use super::settings::{
    Everything, Logging, Migrating, Queueing, Reconciling, Serving, Settings, Working,
};
#[cfg(feature = "dev")]
use crate::bench::{Case, Scale};
use crate::config::Source;
use crate::cursor;
#[cfg(feature = "dev")]
use crate::secret::Secret;
use crate::tasks::Reason;
use crate::vocabulary::{EntityType, ErrorClass, TaskId, TaskStatus};

/// The most tasks that one listing shows, as in the API.
const MAX_LISTING: u16 = 200;

/// Erases users and their files from applications built on Clerk, PostgreSQL and S3:
/// completely, provably, and never by accident.
///
/// Settings come from flags, then the environment, then the file .env; --help of each command
/// shows all of its settings. Bad settings are listed all at once, before anything starts.
#[derive(Debug, Parser)]
#[command(
    name = "lethe",
    version,
    arg_required_else_help = true,
    after_help = "Begin with `lethe dev`: it needs no configuration.",
    after_long_help = "\
Begin with `lethe dev`: it needs no configuration.

Exit codes:
  0  done, or stopped by SIGTERM or SIGINT
  1  failed, or `check` found something wrong
  2  bad flags or bad configuration; nothing was started"
)]
pub struct Cli {
    /// What to log, and how.
    #[command(flatten)]
    pub logging: Settings<Logging>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything on this machine with no configuration
    ///
    /// Starts what the environment lacks: a private PostgreSQL (from installed binaries) and an
    /// embedded S3 server. Applies the migrations, then runs the API and the workers, and prints
    /// the URLs, an admin token, the webhook signing secret and curl lines to paste. Its state
    /// survives restarts; Ctrl-C stops all of it.
    #[cfg(feature = "dev")]
    #[command(after_long_help = "\
Examples:
  lethe dev
  lethe dev --seed 100 --images-per-sample 5
  DATABASE_URL=postgres://localhost/app lethe dev      # your database, the rest embedded

Exit codes:
  0  stopped by Ctrl-C or SIGTERM
  1  something could not be started
  2  bad flags or bad configuration; nothing was started")]
    Dev(DevArgs),

    /// Run the API alone; any number of replicas
    ///
    /// Starts without a database or before the migrations: alive, not ready, saying why, trying
    /// again. On SIGTERM or SIGINT it answers what is in flight, then exits.
    #[command(after_long_help = "\
Examples:
  lethe serve --bind-addr 0.0.0.0:8080
  DATABASE_URL_FILE=/run/secrets/database-url lethe serve --metrics-addr 0.0.0.0:9090

Exit codes:
  0  stopped by SIGTERM or SIGINT
  1  failed, such as an address that is taken
  2  bad flags or bad configuration; nothing was started")]
    Serve {
        /// The settings given as flags.
        #[command(flatten)]
        settings: Settings<Serving>,
    },

    /// Run a worker alone; any number of replicas
    ///
    /// Claims due tasks, deletes their objects, then their rows. Starts without a database or
    /// before the migrations and tries again. On SIGTERM or SIGINT it stops claiming and finishes
    /// or hands back what is in flight within --shutdown-timeout-ms.
    #[command(after_long_help = "\
Examples:
  lethe worker --metrics-addr 0.0.0.0:9090
  lethe worker --cleanup-concurrency 32 --s3-delete-rate 2000

Exit codes:
  0  stopped by SIGTERM or SIGINT
  1  failed
  2  bad flags or bad configuration; nothing was started")]
    Worker {
        /// The settings given as flags.
        #[command(flatten)]
        settings: Settings<Working>,
    },

    /// Apply the database's migrations
    ///
    /// Needs the rights of the database's owner, not a superuser's. Running it again changes
    /// nothing.
    #[command(after_long_help = "\
Examples:
  lethe migrate
  lethe migrate --check        # in a pipeline: fails while migrations are due

Exit codes:
  0  the database is migrated
  1  failed, or with --check: migrations are due
  2  bad flags or bad configuration; nothing was started")]
    Migrate {
        /// Only tell whether migrations are due; change nothing
        #[arg(long)]
        check: bool,
        /// The settings given as flags.
        #[command(flatten)]
        settings: Settings<Migrating>,
    },

    /// Print the OpenAPI spec
    ///
    /// Needs no configuration. The files in openapi/ are this output.
    #[command(after_long_help = "\
Examples:
  lethe openapi > openapi.json
  lethe openapi --format yaml > openapi.yaml

Exit codes:
  0  printed
  2  bad flags")]
    Openapi {
        /// How to print it
        #[arg(long, value_enum, default_value_t = SpecFormat::Json)]
        format: SpecFormat,
    },

    /// Try every configured thing and say what is wrong and how to mend it
    ///
    /// Tries the database, LISTEN, the bucket, the permission to delete, versioning and Clerk's
    /// keys, and prints one table. Deletes nothing but a probe key that never existed.
    #[command(after_long_help = "\
Examples:
  lethe check
  lethe check --s3-bucket sample-images --aws-endpoint-url-s3 http://localhost:9000

Exit codes:
  0  everything works
  1  something does not; the table says what
  2  bad flags or bad configuration; nothing was tried")]
    Check {
        /// The settings given as flags.
        #[command(flatten)]
        settings: Settings<Everything>,
    },

    /// Look at the queue, and retry what is stuck
    #[command(after_long_help = "\
Examples:
  lethe tasks stats
  lethe tasks list --status dead --json | jq .items
  lethe tasks show 42
  lethe tasks retry 42 43 --reason \"object lock lifted\"

Exit codes:
  0  done
  1  failed, such as a task that does not exist
  2  bad flags or bad configuration")]
    Tasks(TasksArgs),

    /// Find what was soft-deleted without a task, and with --apply write the task
    ///
    /// Looks for users and samples whose deleted_at was set by something else than Lethe, and for
    /// users who were erased and whose row is there again, as after a backup was restored.
    /// Reports what it finds and changes nothing, unless --apply is given. Workers do the same
    /// every RECONCILE_INTERVAL_MS. What would take more than RECONCILE_MAX_USER_SHARE percent of
    /// all users within 24 hours takes nothing: look at it, and if it is right, apply it with a
    /// higher --reconcile-max-user-share.
    #[command(after_long_help = "\
Examples:
  lethe reconcile                                       # report, change nothing
  lethe reconcile --apply
  lethe reconcile --apply --reconcile-max-user-share 60 # after a look at the report
  lethe reconcile clerk --help                          # users that Clerk no longer has

Exit codes:
  0  done
  1  failed, or stopped because too many users would be taken
  2  bad flags or bad configuration; nothing was looked at")]
    Reconcile(ReconcileArgs),

    /// Send the webhook that Clerk would send when a user is deleted
    ///
    /// Signs a `user.deleted` event for USER_ID and posts it. The user is erased for good, as if
    /// Clerk had asked for it.
    #[cfg(feature = "dev")]
    #[command(after_long_help = "\
Examples:
  lethe send-webhook user_2abc
  lethe send-webhook user_2abc --url https://staging.example/webhooks/clerk

Exit codes:
  0  answered with 2xx
  1  answered otherwise, or not at all
  2  bad flags or bad configuration; nothing was sent")]
    SendWebhook(SendWebhookArgs),

    /// Measure queue, erasure and API on this machine, beside the bare statements they consist of
    ///
    /// Starts a private PostgreSQL (or uses a server of yours, in databases of its own named
    /// `lethe_bench_*`), an S3 server that keeps keys in memory, and Lethe's own processes. Shows
    /// progress, prints a table, and writes JSON and charts where asked. Use a release build.
    #[cfg(feature = "dev")]
    #[command(after_long_help = "\
Examples:
  lethe bench
  lethe bench queue wake --scale smoke
  lethe bench --scale full --json bench.json --charts docs/charts

Exit codes:
  0  measured
  1  something could not be started, or did not do what it was measured at
  2  bad flags")]
    Bench(BenchArgs),
}

/// Of `lethe bench`.
#[cfg(feature = "dev")]
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure; all when none is named
    #[arg(value_enum, value_name = "CASE")]
    pub cases: Vec<Case>,
    /// How large the cases are
    #[arg(long, value_enum, default_value_t = Scale::Standard)]
    pub scale: Scale,
    /// How many workers, each a process of its own
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u32).range(1..=64))]
    pub workers: u32,
    /// A PostgreSQL server on which databases may be made and dropped; default: a private one
    #[arg(long, value_name = "URL", value_parser = secret)]
    pub server_url: Option<Secret>,
    /// Write what was measured there
    #[arg(long, value_name = "FILE")]
    pub json: Option<std::path::PathBuf>,
    /// Draw the charts into this folder, as SVG
    #[arg(long, value_name = "FOLDER")]
    pub charts: Option<std::path::PathBuf>,
    /// Be the S3 server of a benchmark
    #[arg(long, hide = true)]
    pub serve_s3: bool,
    /// Keep both servers running for another benchmark, and print their URLs
    #[arg(long, conflicts_with = "serve_s3")]
    pub serve: bool,
}

/// Of `lethe dev`.
#[cfg(feature = "dev")]
#[derive(Debug, Args)]
pub struct DevArgs {
    /// Where everything is kept between runs
    #[arg(long, value_name = "PATH", default_value = "./.lethe")]
    pub data_dir: std::path::PathBuf,
    /// Add so many sample users with images (rows and real objects)
    #[arg(long, value_name = "USERS", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub seed: Option<u32>,
    /// Samples of each sample user
    #[arg(long, value_name = "N", default_value_t = 3, requires = "seed",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub samples_per_user: u32,
    /// Images of each of their samples
    #[arg(long, value_name = "N", default_value_t = 2, requires = "seed",
          value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub images_per_sample: u32,
    /// How many workers to run
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u32).range(0..=64))]
    pub workers: u32,
    /// The settings given as flags.
    #[command(flatten)]
    pub settings: Settings<Everything>,
}

/// Of `lethe openapi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SpecFormat {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// Of `lethe tasks`.
#[derive(Debug, Args)]
pub struct TasksArgs {
    /// What to do with the queue.
    #[command(subcommand)]
    pub command: TasksCommand,
    /// The settings given as flags.
    #[command(flatten)]
    pub settings: Settings<Queueing>,
}

/// What to do with the queue.
#[derive(Debug, Subcommand)]
pub enum TasksCommand {
    /// List tasks, the newest first
    #[command(after_long_help = "\
Examples:
  lethe tasks list
  lethe tasks list --status dead --user-id user_2abc")]
    List(ListArgs),
    /// Show one task with its attempts, its last error and what remains of it
    #[command(after_long_help = "\
Examples:
  lethe tasks show 42
  lethe tasks show 42 --json")]
    Show {
        /// The task's id
        #[arg(value_name = "ID", value_parser = task_id)]
        id: TaskId,
        /// Print JSON, as the API does
        #[arg(long)]
        json: bool,
    },
    /// Have tasks tried again now
    ///
    /// The reason goes to the audit trail. A completed or cancelled task cannot be retried.
    #[command(after_long_help = "\
Examples:
  lethe tasks retry 42 43 --reason \"object lock lifted\"
  lethe tasks retry --all-dead --reason \"bucket policy mended\"")]
    Retry(RetryArgs),
    /// Count tasks by status, and show the age of the oldest that is due
    Stats {
        /// Print JSON, as the API does
        #[arg(long)]
        json: bool,
    },
}

/// Of `lethe tasks list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only tasks with this status
    #[arg(long, value_enum)]
    pub status: Option<TaskStatus>,
    /// Only tasks of this user
    #[arg(long, value_name = "ID")]
    pub user_id: Option<String>,
    /// Only tasks about this type of thing
    #[arg(long, value_enum)]
    pub entity_type: Option<EntityType>,
    /// Only tasks about the sample, image or user with this id
    #[arg(long, value_name = "ID")]
    pub entity_id: Option<String>,
    /// Only tasks whose last attempt ended with this class of error
    #[arg(long, value_enum)]
    pub error_class: Option<ErrorClass>,
    /// How many tasks to show
    #[arg(long, value_name = "N", default_value_t = 50,
          value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_LISTING)))]
    pub limit: u16,
    /// Go on where the last page ended: its nextCursor
    #[arg(long, value_name = "CURSOR", value_parser = task_cursor)]
    pub cursor: Option<TaskId>,
    /// Print JSON, as the API does
    #[arg(long)]
    pub json: bool,
}

/// Of `lethe tasks retry`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["ids", "all_dead"])))]
pub struct RetryArgs {
    /// The tasks' ids
    #[arg(value_name = "ID", value_parser = task_id)]
    pub ids: Vec<TaskId>,
    /// All tasks that are dead
    #[arg(long)]
    pub all_dead: bool,
    /// Why, for the audit trail; 1 to 500 characters
    #[arg(long, value_name = "TEXT", value_parser = Reason::parse)]
    pub reason: Reason,
}

/// Of `lethe reconcile`.
#[derive(Debug, Args)]
pub struct ReconcileArgs {
    /// What to compare with, if not the queue.
    #[command(subcommand)]
    pub command: Option<ReconcileCommand>,
    /// Write the tasks that are missing; else only report them
    #[arg(long, global = true)]
    pub apply: bool,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// The settings given as flags.
    #[command(flatten)]
    pub settings: Settings<Reconciling>,
}

/// What to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum ReconcileCommand {
    /// Find users that Clerk no longer has, and with --apply erase them
    ///
    /// Asks Clerk's Backend API for every live user here, and a second time and alone for each that
    /// its list leaves out. Reports who is missing and changes nothing, unless --apply is given.
    /// Any failure, an empty or cut answer, or too many missing users ends it with nothing erased.
    /// Users younger than a minute, and ids that are none of Clerk's, are left alone. Workers do the
    /// same every RECONCILE_CLERK_INTERVAL_MS, if that is set.
    #[command(after_long_help = "\
Examples:
  lethe reconcile clerk                                 # report, change nothing
  lethe reconcile clerk --apply
  CLERK_SECRET_KEY_FILE=/run/secrets/clerk lethe reconcile clerk --json

Exit codes:
  0  done
  1  failed, or stopped because too many users would be taken
  2  bad flags or bad configuration; nothing was looked at")]
    Clerk,
}

/// Of `lethe send-webhook`.
#[cfg(feature = "dev")]
#[derive(Debug, Args)]
pub struct SendWebhookArgs {
    /// The Clerk user to delete
    #[arg(value_name = "USER_ID")]
    pub user_id: String,
    /// Where the webhook is received
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080/webhooks/clerk"
    )]
    pub url: String,
    #[arg(long, value_name = "SECRET", visible_alias = "clerk-webhook-signing-secret",
          value_parser = secret,
          help = "Signing secret (whsec_…); of several the first one signs [required] \
                  [env: CLERK_WEBHOOK_SIGNING_SECRET or CLERK_WEBHOOK_SIGNING_SECRET_FILE]")]
    pub secret: Option<Secret>,
}

impl Cli {
    /// The settings that were given as flags, as pairs of variable and text.
    pub fn flags(&self) -> Vec<(String, String)> {
        let of_command: &[(String, String)] = match &self.command {
            #[cfg(feature = "dev")]
            Command::Dev(dev) => dev.settings.pairs(),
            Command::Serve { settings } => settings.pairs(),
            Command::Worker { settings } => settings.pairs(),
            Command::Migrate { settings, .. } => settings.pairs(),
            Command::Openapi { .. } => &[],
            Command::Check { settings } => settings.pairs(),
            Command::Tasks(tasks) => tasks.settings.pairs(),
            Command::Reconcile(reconcile) => reconcile.settings.pairs(),
            #[cfg(feature = "dev")]
            Command::SendWebhook(send) => {
                let secret = send.secret.iter().map(|secret| {
                    (
                        "CLERK_WEBHOOK_SIGNING_SECRET".to_owned(),
                        secret.expose().to_owned(),
                    )
                });
                return self.logging.pairs().iter().cloned().chain(secret).collect();
            }
            #[cfg(feature = "dev")]
            Command::Bench(_) => &[],
        };
        self.logging
            .pairs()
            .iter()
            .chain(of_command)
            .cloned()
            .collect()
    }

    /// The flags, the environment and `.env`, ready to be parsed.
    pub fn source(&self) -> Source {
        Source::of_process(self.flags())
    }
}

#[cfg(feature = "dev")]
fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

fn task_cursor(text: &str) -> Result<TaskId, &'static str> {
    cursor::decode(text)
        .and_then(|[id]: [String; 1]| TaskId::parse(&id))
        .ok_or("is not a cursor that a list of tasks gave out")
}

fn task_id(text: &str) -> Result<TaskId, &'static str> {
    TaskId::parse(text)
        .filter(|id| id.0 > 0)
        .ok_or("is not a task's id, a whole number")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;
    use crate::config::Section;
    use crate::config::variables::{ALL, Kind};
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
}

//! What can be typed after `lethe`: every command with its help. The flags of the larger commands have files of
//! their own.

#[cfg(feature = "dev")]
mod dev;
mod evidence;
mod map;
mod migrate;
mod notices;
mod receipts;
mod reconcile;
mod safety;
mod tasks;
#[cfg(test)]
mod tests;

use clap::{Parser, Subcommand, ValueEnum};

#[cfg(feature = "dev")]
pub use self::dev::{BenchArgs, DevArgs, SendWebhookArgs};
pub use self::evidence::{AuditArgs, DeletedArgs, EraseArgs, ReceiptArgs};
pub use self::map::{MapArgs, MapCommand, MapFormat};
pub use self::migrate::MigrateArgs;
pub use self::notices::{NoticesArgs, NoticesCommand, RetryNoticesArgs};
pub use self::receipts::{ExportArgs, ReceiptsArgs, ReceiptsCommand};
pub use self::reconcile::{ReconcileArgs, ReconcileCommand};
pub use self::safety::{CancelArgs, ErasuresArgs, ErasuresCommand, PauseArgs};
pub use self::tasks::{ListArgs, RetryArgs, TasksArgs, TasksCommand};
use super::settings::{Everything, Logging, Serving, Settings, Working};
use crate::config::Source;
use crate::vocabulary::ProcessRole;

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

    /// Apply the database's migrations, then the erasure map
    ///
    /// The map is that of ERASURE_MAP, else the one that the database has, else the built-in one.
    /// Needs the rights of the database's owner, not a superuser's. Running it again changes nothing.
    #[command(after_long_help = "\
Examples:
  lethe migrate
  lethe migrate --check        # in a pipeline: fails while migrations are due

Exit codes:
  0  the database is migrated
  1  failed, or with --check: migrations or the map are due
  2  bad flags or bad configuration; nothing was started
  3  the map is dangerous, or incomplete without --allow-incomplete; it was not applied")]
    Migrate(MigrateArgs),

    /// Print the OpenAPI spec
    ///
    /// Needs no configuration. The file openapi/openapi.json of the sources is this output.
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
  lethe check --role worker --json
  lethe check --s3-bucket sample-images --aws-endpoint-url-s3 http://localhost:9000

Exit codes:
  0  everything works
  1  something does not; the table says what
  2  bad flags or bad configuration; nothing was tried")]
    Check {
        /// Try what one kind of process needs, and nothing else
        #[arg(long, value_enum)]
        role: Option<ProcessRole>,
        /// Print JSON
        #[arg(long)]
        json: bool,
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

    /// Erase a user, as Clerk's webhook and the API do
    ///
    /// Shows the plan (the rows and objects that go and those that stay) and asks for the id to be typed
    /// again. There is no way back. `lethe receipt` shows how far it is.
    #[command(after_long_help = "\
Examples:
  lethe erase user_2abc
  lethe erase user_2abc --yes --json | jq .id

Exit codes:
  0  the erasure is committed; a worker does it
  1  failed, or the id was not typed again
  2  bad flags or bad configuration")]
    Erase(EraseArgs),

    /// Show the receipt of a user's erasure
    #[command(after_long_help = "\
Examples:
  lethe receipt user_2abc
  lethe receipt user_2abc --json | jq .status

Exit codes:
  0  shown, whatever its status
  1  failed, or the erasure was never asked for
  2  bad flags or bad configuration")]
    Receipt(ReceiptArgs),

    /// List the audit trail: who deleted what, and when
    #[command(after_long_help = "\
Examples:
  lethe audit --user-id user_2abc
  lethe audit --event task-dead --after 2026-11-01T00:00:00Z --json | jq .items

Exit codes:
  0  done
  1  failed
  2  bad flags or bad configuration")]
    Audit(AuditArgs),

    /// List the rows that are soft-deleted and not yet purged
    #[command(after_long_help = "\
Examples:
  lethe deleted
  lethe deleted --entity-type sample --deleted-by admin:alice

Exit codes:
  0  done
  1  failed
  2  bad flags or bad configuration")]
    Deleted(DeletedArgs),

    /// Print the completions for a shell
    #[command(after_long_help = "\
Examples:
  lethe completions bash > /etc/bash_completion.d/lethe
  lethe completions zsh > \"${fpath[1]}/_lethe\"

Exit codes:
  0  printed
  2  bad flags")]
    Completions {
        /// The shell
        #[arg(value_enum, value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Work on the erasure map: what a user consists of in your own tables
    ///
    /// The map is one TOML file; docs/erasure-map.md is its manual. Only `apply` writes to the database. Without --map
    /// and ERASURE_MAP each command takes the map that the database has, and the built-in one if it has none.
    #[command(after_long_help = "\
Examples:
  lethe map init > lethe.toml         # a draft; replace each \"TODO\" by a decision
  lethe map check --map lethe.toml
  lethe map check --map lethe.toml --no-values --format github   # in CI
  lethe map plan user_2abc --map lethe.toml

Exit codes:
  0  done; `check`: the map is complete
  1  the database cannot be reached, or refuses
  2  bad flags or bad configuration, or the map's file is invalid
  3  `check`: the map is incomplete, or something is dangerous
  4  `check`: the map that is applied differs from the file")]
    Map(MapArgs),

    /// Stop all claiming, at once and in every worker
    ///
    /// Workers finish what they have claimed and begin nothing more, until `lethe resume`. Requests are still accepted.
    #[command(after_long_help = "\
Examples:
  lethe pause --reason \"the signing secret has leaked\"

Exit codes:
  0  paused
  1  failed
  2  bad flags or bad configuration")]
    Pause(PauseArgs),

    /// Let workers claim again, and release what ERASURE_LIMIT_PER_HOUR holds
    #[command(after_long_help = "\
Examples:
  lethe resume --reason \"looked at: the bulk deletion is meant\"

Exit codes:
  0  resumed
  1  failed
  2  bad flags or bad configuration")]
    Resume(PauseArgs),

    /// Cancel erasures of users that have not begun
    #[command(after_long_help = "\
Examples:
  lethe erasures cancel user_2abc --reason \"deleted by mistake\"
  lethe erasures cancel --held --reason \"the signing secret has leaked\"

Exit codes:
  0  done
  1  failed, or an erasure cannot be cancelled
  2  bad flags or bad configuration")]
    Erasures(ErasuresArgs),

    /// Show and retry the notices that NOTIFY_WEBHOOK_URL did not take
    #[command(after_long_help = notices::HELP)]
    Notices(NoticesArgs),

    /// Find what was soft-deleted without a task, and with --apply write the task
    ///
    /// Looks for users and samples whose deleted_at was set by something else than Lethe, and for users who were
    /// erased and whose row is there again, as after a backup was restored. Reports what it finds and changes
    /// nothing, unless --apply is given. Workers do the same every RECONCILE_INTERVAL_MS. What would take more than
    /// RECONCILE_MAX_USER_SHARE percent of all users within 24 hours takes nothing: look at it, and if it is right,
    /// apply it with a higher --reconcile-max-user-share.
    #[command(after_long_help = "\
Examples:
  lethe reconcile                                       # report, change nothing
  lethe reconcile --apply
  lethe reconcile --apply --reconcile-max-user-share 60 # after a look at the report
  lethe reconcile clerk --help                          # users that Clerk no longer has

Exit codes:
  0  done
  1  failed, or stopped because too many users would be taken
  2  bad flags or bad configuration; nothing was compared")]
    Reconcile(ReconcileArgs),

    /// Export the signed receipts of erasures, verify an export, replay it after a restore
    #[command(after_long_help = "\
Examples:
  lethe receipts export > receipts.jsonl
  lethe receipts verify receipts.jsonl --public-key lethe-receipts.json
  lethe receipts replay receipts.jsonl --apply

Exit codes:
  0  done, or the chain is valid
  1  failed, or a receipt is missing, changed, not in its place or forged
  2  bad flags or bad configuration")]
    Receipts(ReceiptsArgs),

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

/// Of `lethe openapi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SpecFormat {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

impl Cli {
    /// The settings that were given as flags, as pairs of variable and text.
    pub fn flags(&self) -> Vec<(String, String)> {
        let of_command: &[(String, String)] = match &self.command {
            #[cfg(feature = "dev")]
            Command::Dev(dev) => dev.settings.pairs(),
            Command::Serve { settings } => settings.pairs(),
            Command::Worker { settings } => settings.pairs(),
            Command::Migrate(migrate) => migrate.settings.pairs(),
            Command::Openapi { .. } | Command::Completions { .. } => &[],
            Command::Check { settings, .. } => settings.pairs(),
            Command::Tasks(tasks) => tasks.settings.pairs(),
            Command::Erase(erase) => erase.settings.pairs(),
            Command::Receipt(receipt) => receipt.settings.pairs(),
            Command::Audit(audit) => audit.settings.pairs(),
            Command::Deleted(deleted) => deleted.settings.pairs(),
            Command::Map(map) => {
                let pairs = self.logging.pairs().iter().cloned();
                return pairs.chain(map.pairs()).collect();
            }
            Command::Pause(args) | Command::Resume(args) => args.settings.pairs(),
            Command::Erasures(erasures) => erasures.settings.pairs(),
            Command::Notices(notices) => notices.settings.pairs(),
            Command::Reconcile(reconcile) => reconcile.settings.pairs(),
            Command::Receipts(receipts) => receipts.settings.pairs(),
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

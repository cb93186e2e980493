//! The flags of `lethe map`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::settings::{Mapping, Settings};

/// Of `lethe map`.
#[derive(Debug, Args)]
pub struct MapArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: MapCommand,
    /// File with the erasure map; ERASURE_MAP if not given, without both the map that the database has, and the
    /// built-in one if it has none
    #[arg(long, value_name = "FILE", global = true)]
    pub map: Option<PathBuf>,
    /// The settings given as flags.
    #[command(flatten)]
    pub settings: Settings<Mapping>,
}

impl MapArgs {
    /// The settings that were given as flags; `--map` is one of them.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (String, String)> {
        let map = self.map.as_ref().map(|path| {
            let path = path.to_string_lossy().into_owned();
            ("ERASURE_MAP".to_owned(), path)
        });
        map.into_iter().chain(self.settings.pairs().iter().cloned())
    }
}

/// What to do with the map.
#[derive(Debug, Subcommand)]
pub enum MapCommand {
    /// Say what in the database the map does not speak of, and what would be dangerous
    #[command(after_long_help = "\
Examples:
  lethe map check --map lethe.toml
  lethe map check --map lethe.toml --no-values --format github   # in CI, after your migrations

Exit codes:
  0  the map is complete
  1  the database cannot be reached, or refuses
  2  bad flags or bad configuration, or the map's file is invalid
  3  the map is incomplete, or something is dangerous
  4  the map that is applied differs from the file")]
    Check {
        /// How to print the findings
        #[arg(long, value_enum, default_value_t = MapFormat::Text)]
        format: MapFormat,
        /// Do not look at statistics and samples of values
        #[arg(long)]
        no_values: bool,
        /// Notes count as findings
        #[arg(long)]
        strict: bool,
    },

    /// Draft a map from the database, and print it
    ///
    /// Every decision that a person must make is "TODO", which `check` refuses.
    #[command(after_long_help = "\
Examples:
  lethe map init > lethe.toml

Exit codes:
  0  printed
  1  the database cannot be reached, or refuses
  2  bad flags or bad configuration")]
    Init,

    /// Compile the map and install its functions in the database, in one transaction
    #[command(after_long_help = "\
Run it as the database's owner, after `lethe migrate`, and again whenever the map or a mapped table changes.

Examples:
  lethe map apply --map lethe.toml
  lethe map apply --map lethe.toml --sweep         # who was erased before the map had its new rules?
  lethe map apply --map lethe.toml --sweep --yes   # erase the rest of them

Exit codes:
  0  applied, or applied already
  1  the database cannot be reached, refuses, or lacks `lethe migrate`; or open tasks need a type that the map does not have
  2  bad flags or bad configuration, or the map's file is invalid
  3  the map is dangerous, or incomplete without --allow-incomplete; `lethe map check` says where")]
    Apply {
        /// Apply a map that does not speak of every reference; every receipt then says `incomplete`
        #[arg(long)]
        allow_incomplete: bool,
        /// Afterwards look for rows of users who were erased under an earlier map, and report them
        #[arg(long)]
        sweep: bool,
        /// Erase these users again, under ERASURE_LIMIT_PER_HOUR
        #[arg(long, requires = "sweep")]
        yes: bool,
    },

    /// Erase a user in a transaction that is rolled back, and fail if anything is left
    #[command(after_long_help = "\
The functions of the map are installed in the same transaction; objects are taken as gone, and none is deleted. Rows are
locked until it ends, so use a copy of the database.

Examples:
  lethe map prove --map lethe.toml             # the user with the most rows
  lethe map prove user_2abc --map lethe.toml

Exit codes:
  0  nothing was left, and each rule met a row
  1  the database cannot be reached, refuses, or lacks `lethe migrate`
  2  bad flags or bad configuration, or the map's file is invalid
  3  something was left, a rule met no row, or the map is dangerous or incomplete")]
    Prove {
        /// The user's Clerk id; the one with the most rows if not given
        #[arg(value_name = "USER")]
        user: Option<String>,
    },

    /// Say what an erasure of a user would remove, keep and leave; change nothing
    #[command(after_long_help = "\
Examples:
  lethe map plan user_2abc --map lethe.toml | jq .rows

Exit codes:
  0  printed, as JSON
  1  the database cannot be reached, or refuses
  2  bad flags or bad configuration, or the map's file is invalid; or the map never erases this id
  3  the map names a table or column that is not there")]
    Plan {
        /// The user's Clerk id
        #[arg(value_name = "USER")]
        user: String,
    },

    /// Print the SQL functions that the map compiles to, in a stable order
    #[command(after_long_help = "\
Examples:
  lethe map sql --map lethe.toml > lethe-map.sql

Exit codes:
  0  printed
  1  the database cannot be reached, or refuses
  2  bad flags or bad configuration, or the map's file is invalid
  3  the map names a table or column that is not there")]
    Sql,

    /// Print the least rights that the roles of Lethe need, as SQL
    #[command(after_long_help = "\
Examples:
  lethe map grants --map lethe.toml --worker lethe_worker --serve lethe_serve

Exit codes:
  0  printed
  1  the database cannot be reached, or refuses
  2  bad flags or bad configuration, or the map's file is invalid
  3  the map names a table or column that is not there")]
    Grants {
        /// The role of `lethe worker`
        #[arg(long, value_name = "ROLE", default_value = "lethe_worker")]
        worker: String,
        /// The role of `lethe serve`
        #[arg(long, value_name = "ROLE", default_value = "lethe_serve")]
        serve: String,
        /// The role of the application
        #[arg(long, value_name = "ROLE", default_value = "application")]
        application: String,
    },
}

/// How `lethe map check` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MapFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// Annotations of GitHub Actions.
    Github,
}

//! The flags of the settings, made from the table of variables.
//!
//! clap only collects their text: the parser of `config` finds the faults, so that those of flags
//! and of the environment are told together. Values never reach the help text.

use std::fmt;
use std::marker::PhantomData;

use clap::{Arg, ArgMatches, Command};

use crate::config::variables::{ALL, Kind, Topic, Variable};

/// Which settings a command takes as flags.
pub trait Topics {
    /// The topics of these settings.
    const TOPICS: &'static [Topic];
    /// Whether the flags may stand after a subcommand, too.
    const GLOBAL: bool = false;
}

macro_rules! topics {
    ($($(#[$doc:meta])* $name:ident($global:literal): $($topic:ident)*;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub struct $name;

            impl Topics for $name {
                const TOPICS: &'static [Topic] = &[$(Topic::$topic),*];
                const GLOBAL: bool = $global;
            }
        )*
    };
}

topics! {
    /// Every command logs.
    Logging(true): Log;
    /// What `serve` reads.
    Serving(false): Database Map Api Metrics Clerk Admin Safety Lifetime Traces Security;
    /// What `worker` reads.
    Working(false): Database Map Metrics Storage Cleanup Reconcile Receipts Notices Safety Lifetime Traces Security;
    /// What `migrate` reads.
    Migrating(false): Database Map Receipts Security;
    /// What `tasks`, `notices`, `pause`, `resume` and `erasures` read, with their subcommands.
    Queueing(true): Database Security;
    /// What `map` and each of its subcommands read.
    Mapping(true): Database Map Security;
    /// What `reconcile` and each of its subcommands read.
    Reconciling(true): Database Reconcile Lifetime Security;
    /// What `receipts` and each of its subcommands read.
    Receipting(true): Database Receipts Security;
    /// What `check` and `dev` read.
    Everything(false): Database Map Api Metrics Storage Clerk Admin Cleanup Reconcile Receipts Notices Safety Lifetime Traces Security;
}

/// The flags that were given, as pairs of variable and text.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings<T> {
    pairs: Vec<(String, String)>,
    topics: PhantomData<T>,
}

impl<T> Settings<T> {
    /// Pairs of variable and text, as `config::Source` takes them.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }
}

/// Names only: a value may be a secret.
impl<T> fmt::Debug for Settings<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_list()
            .entries(self.pairs.iter().map(|(name, _)| name))
            .finish()
    }
}

impl<T: Topics> clap::Args for Settings<T> {
    fn augment_args(command: Command) -> Command {
        variables::<T>().fold(command, |command, variable| {
            let command = command.arg(flag(variable).global(T::GLOBAL));
            match file_flag(variable) {
                Some(flag) => command.arg(flag.global(T::GLOBAL)),
                None => command,
            }
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<T: Topics> clap::FromArgMatches for Settings<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let names = variables::<T>().flat_map(|variable| {
            std::iter::once(variable.name.to_owned()).chain(variable.file_name())
        });
        let pairs = names.filter_map(|name| {
            let value = matches.try_get_one::<String>(&name).ok().flatten()?.clone();
            Some((name, value))
        });
        Ok(Self {
            pairs: pairs.collect(),
            topics: PhantomData,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn variables<T: Topics>() -> impl Iterator<Item = &'static Variable> {
    ALL.iter()
        .copied()
        .filter(|variable| T::TOPICS.contains(&variable.topic))
}

/// The flag of a variable. The text stays a string, and whatever it is, our own parser judges it.
fn flag(variable: &'static Variable) -> Arg {
    let placeholder = match variable.kind {
        Kind::Secret => "SECRET",
        Kind::Text(placeholder) => placeholder,
        Kind::Switch => "true|false",
        Kind::Number { .. } if variable.name.ends_with("_MS") => "MS",
        Kind::Number { .. } => "N",
    };
    let note = match variable.kind {
        Kind::Number { unit, min, max } => format!(" [{unit}: {min} to {max}]"),
        Kind::Secret => format!(
            " [as a flag it shows in `ps`; --{}-file does not]",
            variable.flag()
        ),
        Kind::Text(_) | Kind::Switch => String::new(),
    };
    let environment = match variable.file_name() {
        Some(file) => format!("{} or {file}", variable.name),
        None => variable.name.to_owned(),
    };
    Arg::new(variable.name)
        .long(variable.flag())
        .value_name(placeholder)
        .help(format!(
            "{}{note} {} [env: {environment}]",
            variable.meaning,
            variable.help_when_unset(),
        ))
        .help_heading(variable.topic.heading())
        // A PEM begins with dashes, and a negative number is for our parser to refuse.
        .allow_hyphen_values(variable.is_secret())
        .allow_negative_numbers(!variable.is_secret())
        .hide_short_help(variable.topic != Topic::Log)
}

/// The flag of the file that holds a secret: other users of the machine see a process's flags.
fn file_flag(variable: &'static Variable) -> Option<Arg> {
    let name = variable.file_name()?;
    let long = format!("{}-file", variable.flag());
    Some(
        Arg::new(name)
            .long(long)
            .value_name("PATH")
            .help(format!("File that holds --{}", variable.flag()))
            .help_heading(variable.topic.heading())
            .hide_short_help(true),
    )
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    #[test]
    fn help_warns_that_a_secret_given_as_a_flag_shows_in_ps() {
        let mut command = Settings::<Everything>::augment_args(Command::new("lethe"));
        let help = command.render_long_help().to_string();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for variable in ALL {
            let warning = format!("shows in `ps`; --{}-file does not", variable.flag());
            assert_eq!(help.contains(&warning), variable.is_secret(), "{warning}");
        }
    }
}

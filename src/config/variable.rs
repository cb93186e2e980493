//! What there is to know about a variable; the table of all of them is `variables`.

/// The part of the service that a variable belongs to; the headings of `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    Database,
    /// What a user consists of.
    Map,
    Api,
    Metrics,
    Storage,
    Clerk,
    Admin,
    Cleanup,
    Reconcile,
    Receipts,
    /// What the application is told.
    Notices,
    /// What keeps erasures within bounds.
    Safety,
    /// How long an erasure waits, and how long a process may take to stop.
    Lifetime,
    /// What is sent to a collector.
    Traces,
    Log,
    /// What may be less safe than it could be. Every command that connects to something reads it.
    Security,
}

impl Topic {
    /// The heading over this topic's flags.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Database => "Database",
            Self::Map => "Erasure map",
            Self::Api => "API",
            Self::Metrics => "Metrics and health",
            Self::Storage => "Object storage",
            Self::Clerk => "Clerk",
            Self::Admin => "Administration",
            Self::Cleanup => "Cleanup",
            Self::Reconcile => "Reconciliation",
            Self::Receipts => "Receipts",
            Self::Notices => "Notices",
            Self::Safety => "Safety",
            Self::Lifetime => "Lifetimes",
            Self::Traces => "Traces",
            Self::Log => "Logging",
            Self::Security => "Security",
        }
    }
}

/// What a variable's value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Never shown; `NAME_FILE` may name a file that holds it.
    Secret,
    /// Any text; the string is the placeholder in help (`URL`, `NAME`).
    Text(&'static str),
    /// `true` or `false`.
    Switch,
    /// A whole number of `unit` from `min` to `max`.
    Number {
        unit: &'static str,
        min: u64,
        max: u64,
    },
}

/// What holds when a variable is unset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultValue {
    /// This number.
    Count(u64),
    /// This text.
    Value(&'static str),
    /// There is no value; the words say what happens.
    Rule(&'static str),
}

/// One variable, which is one flag as well.
#[derive(Debug, PartialEq, Eq)]
pub struct Variable {
    /// The name in the environment.
    pub name: &'static str,
    pub topic: Topic,
    pub kind: Kind,
    pub default: DefaultValue,
    /// What it does, for `--help` and the README.
    pub meaning: &'static str,
}

impl Variable {
    /// Whether the value must never be shown.
    pub const fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret)
    }

    /// The flag without its dashes in front: the name in kebab case.
    pub fn flag(&self) -> String {
        self.name.to_ascii_lowercase().replace('_', "-")
    }

    /// The variable that names a file with this one's value; only secrets have one.
    pub fn file_name(&self) -> Option<String> {
        self.is_secret().then(|| format!("{}_FILE", self.name))
    }

    /// What holds when the variable is unset, for people to read.
    pub fn default_text(&self) -> String {
        match self.default {
            DefaultValue::Count(number) => number.to_string(),
            DefaultValue::Value(text) | DefaultValue::Rule(text) => text.to_owned(),
        }
    }

    /// What `--help` says in brackets about the variable being unset.
    pub fn help_when_unset(&self) -> String {
        let text = self.default_text();
        if text.contains("required") {
            format!("[{text}]")
        } else {
            format!("[default: {text}]")
        }
    }

    /// The number that holds when the variable is unset.
    pub(super) const fn default_number(&self) -> Option<u64> {
        match self.default {
            DefaultValue::Count(number) => Some(number),
            _ => None,
        }
    }
}

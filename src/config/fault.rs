//! What is wrong with a configuration, all of it at once.

use std::fmt;

/// One thing that is wrong, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The variable at fault, or `.env` when the file itself cannot be read.
    pub variable: String,
    /// What is wrong; never contains a secret.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl Fault {
    /// A fault of `variable`.
    pub fn new(
        variable: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            variable: variable.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} {}\n    {}",
            self.variable, self.problem, self.remedy
        )
    }
}

/// Every fault of a configuration. `main` prints it and exits with 2, before anything starts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// At least one, each only once, in the order in which the settings are documented.
    pub faults: Vec<Fault>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.faults.len() {
            1 => write!(formatter, "the configuration has a fault:")?,
            several => write!(formatter, "the configuration has {several} faults:")?,
        }
        for fault in &self.faults {
            write!(formatter, "\n  {fault}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_shown_with_its_variable_and_its_remedy() {
        let error = ConfigError {
            faults: vec![
                Fault::new("S3_BUCKET", "is not set.", "Give the bucket's name."),
                Fault::new("BIND_ADDR", "is `x`.", "Give an address."),
            ],
        };
        assert_eq!(
            error.to_string(),
            "the configuration has 2 faults:\n  \
             S3_BUCKET is not set.\n    Give the bucket's name.\n  \
             BIND_ADDR is `x`.\n    Give an address."
        );
    }
}

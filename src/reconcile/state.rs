//! How the last passes went, whichever process ran them.

use sqlx::PgExecutor;

/// How the last pass of a source went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// `database` or `clerk`.
    pub source: String,
    /// When a pass last ended; none if there was none yet.
    pub finished_at: Option<chrono::DateTime<chrono::Utc>>,
    /// Why it took nothing although there was something.
    pub stopped: Option<String>,
    /// What it failed with.
    pub failed: Option<String>,
}

/// Reads how the last passes went.
///
/// # Errors
/// When the database cannot be asked.
pub async fn read<'e>(executor: impl PgExecutor<'e>) -> Result<Vec<State>, sqlx::Error> {
    sqlx::query_file_as!(State, "sql/reconcile/state.sql")
        .fetch_all(executor)
        .await
}

/// What a person must look at, in one line; none if nothing.
#[must_use]
pub fn complaint(states: &[State]) -> Option<String> {
    let lines: Vec<String> = states
        .iter()
        .filter_map(|state| {
            let (how, why) = match (&state.stopped, &state.failed) {
                (Some(why), _) => ("was stopped", why),
                (None, Some(why)) => ("failed", why),
                (None, None) => return None,
            };
            Some(format!("reconciliation ({}) {how}: {why}", state.source))
        })
        .collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_stopped_or_failed_is_complained_about() {
        let state = |source: &str, stopped: Option<&str>, failed: Option<&str>| State {
            source: source.into(),
            finished_at: None,
            stopped: stopped.map(Into::into),
            failed: failed.map(Into::into),
        };
        assert_eq!(complaint(&[state("clerk", None, None)]), None);
        assert_eq!(
            complaint(&[
                state("database", Some("too many"), None),
                state("clerk", None, Some("away"))
            ])
            .unwrap(),
            "reconciliation (database) was stopped: too many; reconciliation (clerk) failed: away"
        );
    }
}

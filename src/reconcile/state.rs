//! How the last passes went, whichever process ran them. Readiness, `lethe check` and the metrics show it.

use sqlx::PgExecutor;

/// How the last pass of a source went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastPass {
    /// `database` or `clerk`.
    pub source: String,
    /// When it ended. `None` if there was none yet.
    pub finished_at: Option<chrono::DateTime<chrono::Utc>>,
    /// Why it wrote no task although it found something.
    pub stopped: Option<String>,
    /// The error that ended it.
    pub failed: Option<String>,
}

/// Reads how the last passes went.
///
/// # Errors
/// When the database cannot be asked.
pub async fn read<'e>(executor: impl PgExecutor<'e>) -> Result<Vec<LastPass>, sqlx::Error> {
    sqlx::query_file_as!(LastPass, "sql/reconcile/last_passes.sql")
        .fetch_all(executor)
        .await
}

/// What a person must look at, in one line. `None` if nothing.
#[must_use]
pub fn complaint(passes: &[LastPass]) -> Option<String> {
    let lines: Vec<String> = passes
        .iter()
        .filter_map(|pass| {
            let (how, why) = match (&pass.stopped, &pass.failed) {
                (Some(why), _) => ("was stopped", why),
                (None, Some(why)) => ("failed", why),
                (None, None) => return None,
            };
            Some(format!("reconciliation ({}) {how}: {why}", pass.source))
        })
        .collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_passes_that_were_stopped_or_failed_are_complained_about() {
        let pass = |source: &str, stopped: Option<&str>, failed: Option<&str>| LastPass {
            source: source.into(),
            finished_at: None,
            stopped: stopped.map(Into::into),
            failed: failed.map(Into::into),
        };
        assert_eq!(complaint(&[pass("clerk", None, None)]), None);
        assert_eq!(
            complaint(&[
                pass("database", Some("too many"), None),
                pass("clerk", None, Some("away"))
            ])
            .unwrap(),
            "reconciliation (database) was stopped: too many; reconciliation (clerk) failed: away"
        );
    }
}

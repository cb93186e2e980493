//! One trial of the database, with a limit for each answer.

use std::time::Duration;

use tokio::time::timeout;

use crate::cause::chain;

pub(super) const READ_THE_LOG: &str = "Look at the database's log.";

/// Each answer may take this long.
pub(super) struct Trial {
    pub(super) limit: Duration,
}

impl Trial {
    pub(super) async fn answer<T>(
        &self,
        statement: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, String> {
        match timeout(self.limit, statement).await {
            Ok(result) => result.map_err(|error| chain(&error)),
            Err(_) => Err(format!("no answer within {} s", self.limit.as_secs())),
        }
    }
}

//! Runs the passes in a worker: acquires the lease when a pass is due, runs the pass, reports how it went.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::clerk::{self, ClerkPass};
use super::clerk_api::{ClerkApi, Patience};
use super::database::{self, DatabasePass};
use super::lease::{LeaderLease, LeaseAnswer, PassResult};
use super::options::ReconcileOptions;
use super::safety_limit::SafetyLimit;
use super::{PassContext, ReconcileError};
use crate::cause;
use crate::db::sqlstate::is_temporary;
use crate::telemetry::metrics::Metrics;
use crate::vocabulary::{EntityType, ReconcileSource};

/// The shortest pause between two requests for the lease.
const MIN_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause after a pass that left work or failed. It is a quarter of the interval, if that is shorter.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// How many missing users one line of the log names.
const MAX_USERS_NAMED: usize = 20;

/// Runs every pass that is due and that no other process runs, until `shutdown`. Without a database, or before
/// the migrations, it tries again.
pub async fn run(
    pool: PgPool,
    config: ReconcileOptions,
    worker: String,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) {
    let timer = Timer {
        pool,
        config,
        worker,
        metrics,
        shutdown,
    };
    tokio::join!(
        timer.keep_reconciling(ReconcileSource::Database),
        timer.keep_reconciling(ReconcileSource::Clerk)
    );
}

struct Timer {
    pool: PgPool,
    config: ReconcileOptions,
    worker: String,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
}

impl Timer {
    async fn keep_reconciling(&self, source: ReconcileSource) {
        let interval = match source {
            ReconcileSource::Database => self.config.interval,
            ReconcileSource::Clerk => self.config.clerk_interval,
        };
        let Some(interval) = interval else { return };
        while !self.shutdown.is_cancelled() {
            let mut pause = (interval / 4).clamp(MIN_PAUSE, MAX_PAUSE);
            match LeaderLease::acquire(&self.pool, source, &self.worker, interval).await {
                Ok(LeaseAnswer::Acquired(lease)) => {
                    if self.reconcile(source, lease).await {
                        pause = interval;
                    }
                }
                Ok(LeaseAnswer::NotDue(left)) => pause = left.min(interval).max(MIN_PAUSE),
                // The worker itself logs that the database is away.
                Err(error) if is_temporary(&error) => {
                    tracing::debug!(%source, %error, "cannot ask whether a reconciliation is due");
                }
                Err(error) => {
                    tracing::warn!(
                        %source, error = cause::chain(&error),
                        "cannot ask whether a reconciliation is due; trying again"
                    );
                }
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Runs one pass and stores how it went. Returns whether the pass left nothing to do.
    async fn reconcile(&self, source: ReconcileSource, lease: LeaderLease) -> bool {
        let context = PassContext {
            pool: &self.pool,
            lease: Some(&lease),
            stop: &self.shutdown,
        };
        let pass = async {
            match source {
                ReconcileSource::Database => self.database_pass(context).await,
                ReconcileSource::Clerk => self.clerk_pass(context).await,
            }
        };
        let result = match lease.hold(&self.pool, panic_as_error(pass)).await {
            Ok(result) => result,
            // Another worker starts again at once.
            Err(ReconcileError::ShuttingDown) => PassResult {
                more: true,
                ..PassResult::default()
            },
            Err(error) => {
                let failed = cause::chain(&error);
                tracing::error!(%source, error = failed, "reconciliation failed; trying again");
                PassResult {
                    failed: Some(failed),
                    ..PassResult::default()
                }
            }
        };
        if let Some(stopped) = &result.stopped {
            let command = match source {
                ReconcileSource::Database => "lethe reconcile",
                ReconcileSource::Clerk => "lethe reconcile clerk",
            };
            tracing::error!(
                %source,
                "reconciliation was stopped: {stopped}. Run `{command}` to see what it found. If it is right, \
                 run it with --apply and a higher --reconcile-max-user-share"
            );
        }
        if let Err(error) = lease.release(&self.pool, &result).await {
            tracing::warn!(
                %source, error = cause::chain(&error),
                "cannot store how a reconciliation went; its lease expires by itself"
            );
        }
        !result.more && result.failed.is_none()
    }

    async fn database_pass(&self, context: PassContext<'_>) -> Result<PassResult, ReconcileError> {
        let pass = DatabasePass {
            limit: self.limit(),
            grace_period: self.config.grace_period,
        };
        let report = database::run(context, pass).await?;
        for (of_type, enqueued) in report.enqueued.iter() {
            self.count(ReconcileSource::Database, of_type, enqueued);
            tracing::warn!(
                of_type,
                enqueued,
                "reconciliation enqueued deletions that had no task"
            );
        }
        Ok(report.result())
    }

    async fn clerk_pass(&self, context: PassContext<'_>) -> Result<PassResult, ReconcileError> {
        // The configuration does not give an interval without a key.
        let Some(backend) = self.config.clerk.clone() else {
            return Ok(PassResult::default());
        };
        let api = ClerkApi::new(backend, Patience::default(), self.shutdown.clone())?;
        let pass = ClerkPass {
            limit: self.limit(),
            apply: self.config.clerk_apply,
        };
        let report = clerk::run(context, &api, pass, |_| {}).await?;
        self.count(
            ReconcileSource::Clerk,
            EntityType::User.as_str(),
            report.users_enqueued,
        );
        if !report.missing.is_empty() {
            let named = &report.missing[..report.missing.len().min(MAX_USERS_NAMED)];
            tracing::warn!(
                missing = report.missing.len(),
                enqueued = report.users_enqueued,
                user_ids = ?named,
                "Clerk no longer has some users"
            );
        }
        Ok(report.result(pass.apply))
    }

    fn limit(&self) -> SafetyLimit {
        SafetyLimit {
            max_user_share: self.config.max_user_share,
        }
    }

    fn count(&self, source: ReconcileSource, of_type: &str, enqueued: u64) {
        self.metrics.reconciled.add(source, of_type, enqueued);
    }
}

/// A pass that panics fails like any other: the log, readiness and `lethe check` say so, and the next pass
/// tries again.
async fn panic_as_error<T>(
    pass: impl Future<Output = Result<T, ReconcileError>>,
) -> Result<T, ReconcileError> {
    AssertUnwindSafe(pass)
        .catch_unwind()
        .await
        .unwrap_or_else(|panic| Err(ReconcileError::Panicked(message_of(panic.as_ref()))))
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pass_that_panics_fails_and_says_why() {
        let number = 7;
        let failed = panic_as_error::<()>(async { panic!("no row {number}") }).await;
        assert_eq!(
            failed.unwrap_err().to_string(),
            "the pass panicked: no row 7"
        );
        assert_eq!(panic_as_error(async { Ok(7) }).await.unwrap(), 7);
    }
}

//! What a worker does on its own: takes the turn when it is due, and tells how the pass went.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::clerk_api::{ClerkApi, Patience};
use super::limit::Limit;
use super::turn::{Asked, Ended, Turn};
use super::{Context, ReconcileError, Source, clerk, database};
use crate::config::Reconcile;
use crate::db::sqlstate::is_temporary;
use crate::telemetry::metrics::Metrics;
use crate::vocabulary::{EntityType, ReconcileSource};

/// After a pass that left something or failed, and after an error, a worker asks again so soon: a quarter of
/// the interval, within these bounds. Else it waits for what is due.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// Missing users that one line of the log names.
const USERS_NAMED: usize = 20;

/// Reconciles whenever it is due and nobody else does, until `shutdown`. Without a database, or before the
/// migrations, it tries again.
pub async fn run(
    pool: PgPool,
    config: Reconcile,
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
        timer.keep_reconciling(Source::Database),
        timer.keep_reconciling(Source::Clerk)
    );
}

struct Timer {
    pool: PgPool,
    config: Reconcile,
    worker: String,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
}

impl Timer {
    async fn keep_reconciling(&self, source: Source) {
        let interval = match source {
            Source::Database => self.config.interval,
            Source::Clerk => self.config.clerk_interval,
        };
        let Some(interval) = interval else { return };
        let pause = (interval / 4).clamp(PAUSE.0, PAUSE.1);
        while !self.shutdown.is_cancelled() {
            let mut wait = pause;
            match Turn::take(&self.pool, source, &self.worker, interval).await {
                Ok(Asked::Taken(turn)) => {
                    if self.reconcile(source, turn).await {
                        wait = interval;
                    }
                }
                Ok(Asked::NotDue(left)) => wait = left.min(interval).max(PAUSE.0),
                // The worker itself tells that the database is away.
                Err(error) if is_temporary(&error) => {
                    tracing::debug!(%error, "cannot ask whether a reconciliation is due");
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot ask whether a reconciliation is due");
                }
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Whether the pass did all that there was to do.
    async fn reconcile(&self, source: Source, turn: Turn) -> bool {
        let context = Context {
            pool: &self.pool,
            turn: Some(&turn),
            stop: &self.shutdown,
        };
        let pass = async {
            match source {
                Source::Database => self.with_database(context).await,
                Source::Clerk => self.with_clerk(context).await,
            }
        };
        let ended = tokio::select! {
            ended = pass => ended,
            () = turn.ran_out() => Err(ReconcileError::LostTurn),
        };
        let ended = match ended {
            Ok(ended) => ended,
            // Another worker begins anew at once.
            Err(ReconcileError::ShuttingDown) => Ended {
                more: true,
                ..Ended::default()
            },
            Err(error) => {
                let failed = in_one_line(&error);
                tracing::error!(
                    source = source.as_str(),
                    error = failed,
                    "reconciliation failed"
                );
                Ended {
                    failed: Some(failed),
                    ..Ended::default()
                }
            }
        };
        if let Some(stopped) = &ended.stopped {
            let command = match source {
                Source::Database => "lethe reconcile",
                Source::Clerk => "lethe reconcile clerk",
            };
            tracing::error!(
                source = source.as_str(),
                "reconciliation was stopped: {stopped}. Look with `{command}`; if it is right, run it \
                 with --apply and a higher --reconcile-max-user-share"
            );
        }
        if let Err(error) = turn.finish(&self.pool, &ended).await {
            tracing::warn!(%error, "cannot say how a reconciliation went; its turn runs out by itself");
        }
        !ended.more && ended.failed.is_none()
    }

    async fn with_database(&self, context: Context<'_>) -> Result<Ended, ReconcileError> {
        let options = database::Options {
            limit: self.limit(),
            grace_period: self.config.grace_period,
        };
        let report = database::run(context, options).await?;
        self.count(
            ReconcileSource::Database,
            EntityType::User,
            report.users_enqueued,
        );
        self.count(
            ReconcileSource::Database,
            EntityType::Sample,
            report.samples_enqueued,
        );
        self.count(
            ReconcileSource::Database,
            EntityType::SampleImage,
            report.images_enqueued,
        );
        if report.enqueued() > 0 {
            tracing::warn!(
                users = report.users_enqueued,
                samples = report.samples_enqueued,
                images = report.images_enqueued,
                "reconciliation found rows that were soft-deleted, or back, without a task"
            );
        }
        Ok(report.ended())
    }

    async fn with_clerk(&self, context: Context<'_>) -> Result<Ended, ReconcileError> {
        // The configuration does not give an interval without a key.
        let Some(backend) = self.config.clerk.clone() else {
            return Ok(Ended::default());
        };
        let api = ClerkApi::new(backend, Patience::default(), self.shutdown.clone())?;
        let options = clerk::Options {
            limit: self.limit(),
            apply: self.config.clerk_apply,
        };
        let report = clerk::run(context, &api, options, |_| {}).await?;
        self.count(
            ReconcileSource::Clerk,
            EntityType::User,
            report.users_enqueued,
        );
        if !report.missing.is_empty() {
            let named = &report.missing[..report.missing.len().min(USERS_NAMED)];
            tracing::warn!(
                missing = report.missing.len(),
                erased = options.apply,
                user_ids = ?named,
                "Clerk no longer has some users"
            );
        }
        Ok(report.ended(options.apply))
    }

    fn limit(&self) -> Limit {
        Limit {
            max_user_share: self.config.max_user_share,
        }
    }

    fn count(&self, source: ReconcileSource, entity_type: EntityType, enqueued: u64) {
        let reconciled = &self.metrics.reconciled;
        reconciled.of((source, entity_type)).inc_by(enqueued);
    }
}

/// An error and its causes, none said twice.
#[must_use]
pub fn in_one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

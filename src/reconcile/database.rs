//! The pass on the database: enqueues the deletion of rows that need a task and have none. One pass handles a limited
//! number of rows.

use std::time::Duration;

use super::candidates::{self, Candidates, Counts};
use super::enqueue::{EnqueueReason, EnqueueResult, enqueue};
use super::lease::PassResult;
use super::safety_limit::{LimitCheck, SafetyLimit};
use super::{PassContext, ReconcileError};

/// How a pass on the database works.
#[derive(Clone, Copy, Debug)]
pub struct DatabasePass {
    /// How many users may lose data.
    pub limit: SafetyLimit,
    /// For how long a soft-deleted sample can be restored, counted from its soft delete.
    pub grace_period: Duration,
}

/// How a pass on the database went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatabaseReport {
    /// Rows that need a task and have none.
    pub found: Counts,
    /// Tasks that were written.
    pub enqueued: Counts,
    /// Rows for which the database refused to write a task; the log says why.
    pub refused: u64,
    /// There are more rows than one pass handles.
    pub more: bool,
    /// Why no task was written.
    pub stopped: Option<String>,
}

impl DatabaseReport {
    /// The part that is stored for all processes to read.
    #[must_use]
    pub fn result(&self) -> PassResult {
        PassResult {
            found: self.found.total(),
            enqueued: self.enqueued.total(),
            stopped: self.stopped.clone(),
            // With `more`, the next pass follows soon. If this pass wrote no task, the next one would find the same
            // rows and write none either, so it waits for the interval.
            more: self.more && self.enqueued.total() > 0,
            ..PassResult::default()
        }
    }
}

/// Reports what [`run`] would do, and changes nothing.
///
/// # Errors
/// When the database is unreachable or refuses the search, or this process lost its leader lease or shuts down.
pub async fn dry_run(
    context: PassContext<'_>,
    limit: SafetyLimit,
) -> Result<(DatabaseReport, Candidates), ReconcileError> {
    let candidates = candidates::find(context).await?;
    let check = limit
        .check(context.pool, &candidates.affected_users())
        .await?;
    let report = DatabaseReport {
        found: candidates.counts.clone(),
        more: candidates.has_more(),
        stopped: match check {
            LimitCheck::Allowed => None,
            LimitCheck::Stopped(why) => Some(why.to_string()),
        },
        ..DatabaseReport::default()
    };
    Ok((report, candidates))
}

/// Finds the rows without a task and writes their tasks; writes none if too many users would lose data.
///
/// # Errors
/// When the database is unreachable or refuses the search, or this process lost its leader lease or shuts down.
/// Tasks already written remain.
pub async fn run(
    context: PassContext<'_>,
    pass: DatabasePass,
) -> Result<DatabaseReport, ReconcileError> {
    let (mut report, candidates) = dry_run(context, pass.limit).await?;
    if report.stopped.is_some() {
        return Ok(report);
    }
    let reason = EnqueueReason::Deleted {
        grace_period: pass.grace_period,
    };
    for candidate in &candidates.first {
        match enqueue(context, candidate, reason).await? {
            EnqueueResult::Enqueued => report.enqueued.add(&candidate.entity_type, 1),
            EnqueueResult::Refused => report.refused += 1,
            EnqueueResult::NotNeeded => {}
        }
    }
    Ok(report)
}

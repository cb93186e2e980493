//! The pipeline: claim → delete → decide → settle → report. Each stage passes a plain value to the next.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::claim::{Batch, Claimer};
use super::context::Context;
use super::decide::{TaskOutcome, decide};
use super::delete::delete;
use super::erasure::settle_step;
use super::report::report;
use super::settle::settle;
use crate::queue::claim::Claim;
use crate::queue::lease::Lease;
use crate::telemetry::traces::BatchSpan;
use crate::vocabulary::ErrorClass;

/// Claims batches until shutdown, and runs the stages of each batch in a separate Tokio task.
pub async fn run(context: Arc<Context>, shutdown: CancellationToken) {
    let mut claimer = Claimer::new(context.clone());
    while let Some(batch) = claimer.next_batch(&shutdown).await {
        let may_work = batch.slots.is_some();
        let stages = move |context: Arc<Context>, lease: Arc<Lease>, claims: Vec<Claim>| async move {
            let span = span(&claims);
            if !may_work {
                let outcomes = release(claims);
                let settled = settle(&context, &lease, outcomes).await;
                report(&context, &span, &settled);
                return span.end();
            }
            let (steps, claims) = split_steps(claims);
            let deleting = delete(&context, &lease, &claims);
            let results = span.stage("delete objects", deleting).await;
            let outcomes = decide(claims, &results, context.options.retry_policy());
            let settled = span
                .stage("settle", settle(&context, &lease, outcomes))
                .await;
            report(&context, &span, &settled);
            for step in steps {
                let settled = span.stage("erasure step", settle_step(&context, &lease, step));
                report(&context, &span, &settled.await);
            }
            span.end();
        };
        let surviving = survive(context.clone(), batch, stages);
        context.batches.spawn(surviving);
    }
}

fn span(claims: &[Claim]) -> BatchSpan {
    let parents = claims
        .iter()
        .filter_map(|claim| claim.trace_parent.as_deref());
    BatchSpan::begin(claims.len(), parents)
}

/// Separates the steps of large erasures from tasks that name their objects and rows.
fn split_steps(claims: Vec<Claim>) -> (Vec<Claim>, Vec<Claim>) {
    claims.into_iter().partition(Claim::is_step)
}

/// Releases claims that got no slot before the shutdown.
fn release(claims: Vec<Claim>) -> Vec<TaskOutcome> {
    claims.into_iter().map(TaskOutcome::untouched).collect()
}

/// Runs the stages of a batch and frees its slots. After a panic the attempt of each of its tasks fails with class
/// `crash`, and the worker continues.
async fn survive<F>(
    context: Arc<Context>,
    batch: Batch,
    stages: impl FnOnce(Arc<Context>, Arc<Lease>, Vec<Claim>) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let Batch {
        lease,
        claims,
        slots: _slots,
    } = batch;
    let stages = stages(context.clone(), lease.clone(), claims.clone());
    let Err(error) = tokio::spawn(stages).await else {
        return;
    };
    tracing::error!(%error, tasks = claims.len(), "a batch panicked; its tasks fail");
    let policy = context.options.retry_policy();
    let crashed: Vec<TaskOutcome> = claims
        .into_iter()
        .map(|claim| TaskOutcome::failed(claim, ErrorClass::Crash, "the batch panicked", policy))
        .collect();
    let shared = context.clone();
    let settled = tokio::spawn(async move {
        let span = BatchSpan::begin(crashed.len(), std::iter::empty());
        let settled = settle(&shared, &lease, crashed).await;
        report(&shared, &span, &settled);
        span.end();
    });
    if let Err(error) = settled.await {
        tracing::error!(%error, "a batch panicked, and then writing its failure panicked; its tasks will be rescued");
        context.leases.suspect_lost_claims();
    }
}

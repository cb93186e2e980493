//! The heartbeat renews the leases of this process, and finds lost workers and due tasks. It is sent over the LISTEN
//! connection, which also proves that the connection is alive. While LISTEN is interrupted it is sent over the pool.

use futures::future::BoxFuture;
use sqlx::postgres::PgListener;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::context::{Context, database_pauses};
use crate::queue::lease::{Heartbeat, Lease};
use crate::queue::listen::KeepAlive;

impl KeepAlive for Context {
    fn ask<'l>(&'l self, connection: &'l mut PgListener) -> BoxFuture<'l, Result<(), sqlx::Error>> {
        Box::pin(send(self, connection))
    }

    fn listening(&self, is_connected: bool) {
        self.metrics.set_listen_connected(is_connected);
    }
}

/// Sends heartbeats over the pool while the listener sends none, and shows in the metrics why the worker does no work.
/// Runs until cancelled, which happens after the drain.
pub async fn run(context: &Context, stop: &CancellationToken) {
    let mut tick = tokio::time::interval(context.heartbeats.every() / 4);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        context.metrics.set_worker_problem(context.status.problem());
        if context.heartbeats.is_overdue()
            && let Err(error) = send(context, &context.pool).await
        {
            tracing::warn!(%error, "cannot renew the lease");
        }
    }
}

/// Sends one heartbeat over the given connection or pool, and acts on the answer.
async fn send<'c>(
    context: &Context,
    executor: impl sqlx::PgExecutor<'c>,
) -> Result<(), sqlx::Error> {
    let lease = context.leases.current();
    // A gap is a time without an answered heartbeat. The lease alone does not show it, because it may be a new one after
    // an outage.
    let had_gap = !lease.is_usable() || context.heartbeats.has_gap();
    let may_declare_lost = !had_gap && context.heartbeats.may_declare_lost();
    if had_gap {
        context.watermarks.forget();
    }
    let from = context.watermarks.for_heartbeat();
    let answer = lease.heartbeat(executor, may_declare_lost, from).await?;
    context.watermarks.found(from, &answer.due);
    context.heartbeats.answered(had_gap);
    if answer.renewed {
        context.pace.share_among(answer.alive);
    } else {
        register_again(context, &lease).await;
    }
    act_on(context, &answer);
    tend_retired(context).await;
    Ok(())
}

/// Registers under a new id, because another worker declared this one lost and rescues its tasks.
async fn register_again(context: &Context, old: &Lease) {
    match context.register_again().await {
        Ok(new) => tracing::warn!(
            worker = old.worker.as_str(),
            new = new.worker.as_str(),
            "worker was declared lost; re-registered under a new id"
        ),
        Err(error) => {
            tracing::warn!(%error, "worker was declared lost and cannot re-register yet; trying again");
            tokio::time::sleep(database_pauses().next_pause()).await;
        }
    }
}

fn act_on(context: &Context, answer: &Heartbeat) {
    if answer.newly_lost > 0 {
        tracing::warn!(
            workers = answer.newly_lost,
            "declared workers lost whose leases expired; their tasks will be rescued"
        );
    }
    if answer.to_rescue {
        context.to_rescue.notify_one();
    }
    if answer.due.first.iter().any(Option::is_some) {
        context.due.notify_one();
    }
    if context.watermarks.is_scan_due(Instant::now()) {
        context.to_scan.notify_one();
    }
}

/// Renews each retired lease while a batch works under it. Afterwards it deregisters the lease, and the claims that
/// no batch of this process knew are rescued.
async fn tend_retired(context: &Context) {
    for (lease, in_use) in context.leases.retired() {
        let tended = if in_use {
            let from = context.watermarks.for_heartbeat();
            let answer = lease.heartbeat(&context.pool, false, from).await;
            answer.map(|_| ())
        } else {
            lease.leave(&context.pool).await.map(|()| {
                context.leases.forget_retired(&lease);
                context.to_rescue.notify_one();
            })
        };
        if let Err(error) = tended {
            tracing::warn!(
                %error,
                worker = lease.worker.as_str(),
                "cannot renew or deregister a former id of this worker; trying again"
            );
        }
    }
}

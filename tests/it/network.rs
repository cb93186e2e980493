//! The link to the database breaks: packets vanish, no connection is closed, and the kernel knows nothing of
//! it. The figures of docs/reliability.md are what these tests print.

use std::time::Instant;

use reqwest::StatusCode;

use crate::support::far_network::FarNetwork;
use crate::support::namespaces::in_namespaces;
use crate::support::outage::{
    AS_DEPLOYED, POLL_INTERVAL, SLACK, assert_done_once, assert_notifications_wake,
    assert_unavailable, enqueue, until_completed, until_deletion_is,
};
use crate::support::own_postgres::OwnPostgres;
use crate::support::service::Service;
use crate::support::tcp_proxy::TcpProxy;
use crate::support::world::Log;

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_after_the_link_to_the_database_was_down() {
    in_namespaces(
        &["--net"],
        "network::work_goes_on_after_the_link_to_the_database_was_down",
        the_link_is_down(),
    )
    .await;
}

async fn the_link_is_down() {
    let far = FarNetwork::new();
    let postgres = OwnPostgres::start(&[]).await;
    let proxy = TcpProxy::start_on(far.listen(), postgres.port());
    let world = postgres.world(postgres.url_at(proxy.address)).await;
    let tasks = enqueue(&world, 3000).await;
    let sample = world.sample("user_a", &["late"]).await;
    let service = Service::start(&world).await;
    let logs = [Log::new(), Log::new()];
    let _workers = logs
        .each_ref()
        .map(|log| world.logged(&["worker"], &AS_DEPLOYED, log));
    until_completed(&world, 300).await;
    far.cut();
    let cut = Instant::now();
    assert_unavailable(&service, sample).await;
    for log in &logs {
        log.until("LISTEN is interrupted").await;
    }
    let before = world.count("lethe.tasks where status = 'completed'").await;
    assert!(before < tasks, "it must be down before all is done");
    far.mend();
    let down = cut.elapsed();
    let returned = Instant::now();
    until_completed(&world, before + 1).await;
    let settled = returned.elapsed();
    let accepted = until_deletion_is(&service, sample, StatusCode::ACCEPTED).await;
    assert!(settled < POLL_INTERVAL + SLACK, "settled after {settled:?}");
    assert!(
        accepted < POLL_INTERVAL + SLACK,
        "accepted after {accepted:?}"
    );
    assert_done_once(&world, tasks + 1).await;
    let woken = assert_notifications_wake(&world).await;
    println!(
        "link down for {down:?}: first settled {settled:?} after its return, accepted {accepted:?} \
         later, woken within {woken:?}"
    );
}

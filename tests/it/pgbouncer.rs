//! PgBouncer in transaction mode before the database: it carries, it is found out when it is set up wrongly, and
//! it dies. The figures of docs/reliability.md are what these tests print.

use std::time::Instant;

use reqwest::StatusCode;

use crate::support::outage::{
    AS_DEPLOYED, FIRST_SETTLED, SLACK, assert_done_once, assert_notifications_wake,
    assert_unavailable, enqueue, until_completed, until_deletion_is,
};
use crate::support::own_postgres::OwnPostgres;
use crate::support::pgbouncer::PgBouncer;
use crate::support::service::Service;
use crate::support::world::World;

/// The line of `lethe check` about this.
async fn line_of_check(world: &World, listen_url: &str, about: &str) -> String {
    let checked = world
        .run(&["check"], &[("DATABASE_LISTEN_URL", listen_url)])
        .await;
    let text = String::from_utf8(checked.stdout).unwrap();
    let line = text.lines().find(|line| line.contains(about));
    line.unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn transaction_mode_carries_everything_but_listen() {
    let postgres = OwnPostgres::start(&[]).await;
    let bouncer = PgBouncer::start(&postgres, 200).await;
    let world = postgres.world(bouncer.url.clone()).await;
    let tasks = enqueue(&world, 1500).await;
    let sample = world.sample("user_a", &["late"]).await;
    let listen_url = postgres.url();
    let listening = [("DATABASE_LISTEN_URL", listen_url.as_str())];
    let service = Service::start_with(&world, &listening).await;
    let environment = [listening.as_slice(), &AS_DEPLOYED].concat();
    let _workers = [
        world.process(&["worker"], &environment),
        world.process(&["worker"], &environment),
    ];
    until_completed(&world, 100).await;
    // Two of them listen, past it.
    let sessions = world
        .count(
            "pg_stat_activity where backend_type = 'client backend' and application_name <> 'test'",
        )
        .await;
    assert!(
        sessions <= 4 + 2,
        "{sessions} sessions: they are not shared"
    );
    until_deletion_is(&service, sample, StatusCode::ACCEPTED).await;
    let event = service.user_deleted("msg_1", "user_b");
    assert_eq!(event.send().await.unwrap().status(), 204);
    let prepared = line_of_check(&world, &listen_url, "prepared statements").await;
    assert!(prepared.contains(" ok "), "{prepared}");
    world.user("user_plan").await;
    let plan = async |user: &str| {
        let plan = service.get(&format!("/admin/users/{user}/plan")).await;
        plan["rows"].as_array().unwrap().len()
    };
    for _ in 0..5 {
        // A plan's settings end with its transaction: the next one on this session is of another user.
        let planned = tokio::join!(plan("user_plan"), plan("user_of_nobody"), plan("user_plan"));
        assert_eq!(planned, (2, 0, 2));
    }
    world
        .until("exists (select from lethe.audit where event = 'user-erased')")
        .await;
    // The erasure of a user without data is one more task, without an object.
    until_completed(&world, tasks + 2).await;
    assert_done_once(&world, tasks + 1).await;
    let woken = assert_notifications_wake(&world).await;
    println!("PgBouncer: {tasks} tasks over {sessions} sessions, woken within {woken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mixed_up_prepared_statements_are_found_by_the_check() {
    let postgres = OwnPostgres::start(&[]).await;
    let bouncer = PgBouncer::start(&postgres, 0).await;
    let world = postgres.world(bouncer.url.clone()).await;
    let prepared = line_of_check(&world, &postgres.url(), "prepared statements").await;
    assert!(prepared.contains("WRONG"), "{prepared}");
    let listen = line_of_check(&world, &bouncer.url, "LISTEN").await;
    assert!(listen.contains("WRONG"), "{listen}");
    let listen = line_of_check(&world, &postgres.url(), "LISTEN").await;
    assert!(listen.contains(" ok "), "{listen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_after_pgbouncer_was_killed() {
    let postgres = OwnPostgres::start(&[]).await;
    let mut bouncer = PgBouncer::start(&postgres, 200).await;
    let world = postgres.world(bouncer.url.clone()).await;
    let tasks = enqueue(&world, 3000).await;
    let sample = world.sample("user_a", &["late"]).await;
    let listen_url = postgres.url();
    let listening = [("DATABASE_LISTEN_URL", listen_url.as_str())];
    let service = Service::start_with(&world, &listening).await;
    let environment = [listening.as_slice(), &AS_DEPLOYED].concat();
    let _workers = [
        world.process(&["worker"], &environment),
        world.process(&["worker"], &environment),
    ];
    for round in 1..=3 {
        until_completed(&world, round * 300).await;
        bouncer.kill();
        assert_unavailable(&service, sample).await;
        let before = world.count("lethe.tasks where status = 'completed'").await;
        assert!(before < tasks, "it must die before all is done");
        bouncer.start_again().await;
        let returned = Instant::now();
        until_completed(&world, before + 1).await;
        let settled = returned.elapsed();
        assert!(settled < FIRST_SETTLED + SLACK, "settled after {settled:?}");
        println!("PgBouncer killed: first settled {settled:?} after its return");
    }
    let accepted = until_deletion_is(&service, sample, StatusCode::ACCEPTED).await;
    assert!(
        accepted < FIRST_SETTLED + SLACK,
        "accepted after {accepted:?}"
    );
    assert_done_once(&world, tasks + 1).await;
    let woken = assert_notifications_wake(&world).await;
    println!("PgBouncer killed: accepted {accepted:?} later, woken within {woken:?}");
}

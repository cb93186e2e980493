//! Transactions of the application beside Lethe's: long ones, with old snapshots, serializable ones.

use std::time::{Duration, Instant};

use futures::future::join_all;
use sqlx::PgConnection;

use super::application::{Application, DONE_LIMIT, Role};
use crate::support::service::Service;

/// A call of one of Lethe's functions that nothing stands in the way of.
const CALL_LIMIT: Duration = Duration::from_secs(2);

async fn run(session: &mut PgConnection, sql: &str) -> Result<(), sqlx::Error> {
    sqlx::query(sqlx::AssertSqlSafe(sql.to_owned()))
        .execute(session)
        .await
        .map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tombstone_holds_against_a_snapshot_that_is_older() {
    for level in ["repeatable read", "serializable"] {
        let app = Application::new().await;
        let worker = app.worker().await;
        let mut session = app.session().await;
        run(&mut session, &format!("begin isolation level {level}"))
            .await
            .unwrap();
        // The snapshot is taken here.
        run(&mut session, "select from users limit 1")
            .await
            .unwrap();
        let root = app.delete_user("user_ghost").await;
        app.until(&format!(
            "(select status = 'completed' from lethe.tasks where id = {root})"
        ))
        .await;
        let inserted = run(&mut session, "insert into users (id) values ('user_ghost')").await;
        let committed = run(&mut session, "commit").await;
        println!("{level}: insert {inserted:?}, commit {committed:?}");
        app.expect_rows("users where id = 'user_ghost'", 0).await;
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_import_of_users_holds_up_no_erasure_of_another_user() {
    let app = Application::new().await;
    app.user("user_old").await;
    let import = app
        .hold("insert into users (id) select 'user_new_' || n from generate_series(1, 5000) n")
        .await;
    let began = Instant::now();
    let asked = sqlx::query("select lethe.delete_user('user_old', 'test')").execute(&app.pool);
    let asked = tokio::time::timeout(CALL_LIMIT, asked).await;
    assert!(
        matches!(asked, Ok(Ok(_))),
        "after {:?}: {asked:?}",
        began.elapsed()
    );
    import.commit().await;
    app.expect_rows("users where id like 'user\\_new\\_%'", 5000)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_transaction_of_erasures_holds_up_no_sign_up() {
    let app = Application::new().await;
    app.execute("insert into users (id) select 'user_old_' || n from generate_series(1, 1000) n")
        .await;
    let erasures = app
        .hold(
            "select count(lethe.delete_user(id, 'test')) from users where id like 'user\\_old\\_%'",
        )
        .await;
    let signed_up = sqlx::query(
        "insert into public.users (id) select 'user_new_' || n from generate_series(1, 50) n",
    )
    .execute(&app.pool);
    let signed_up = tokio::time::timeout(CALL_LIMIT, signed_up).await;
    assert!(matches!(signed_up, Ok(Ok(_))), "{signed_up:?}");
    erasures.commit().await;
    app.expect_rows("lethe.user_tombstones", 1000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erasures_in_opposite_order_do_not_deadlock_with_sign_ups() {
    let app = Application::new().await;
    app.execute(
        "insert into users (id) select 'user_old_' || r || '_' || n from generate_series(0, 4) r, generate_series(1, 300) n",
    )
    .await;
    let erase = "select lethe.delete_user('user_old_' || n, 'test') from generate_series(1, 300) n order by n";
    let sign_up =
        "insert into users (id) select 'user_new_' || n from generate_series(300, 1, -1) n";
    let (mut first, mut second) = (app.session().await, app.session().await);
    for round in 0..5 {
        let erase = erase.replace("user_old_", &format!("user_old_{round}_"));
        let sign_up = sign_up.replace("user_new_", &format!("user_new_{round}_"));
        let (erased, signed_up) = tokio::join!(run(&mut first, &erase), run(&mut second, &sign_up));
        assert!(
            erased.is_ok() && signed_up.is_ok(),
            "{erased:?} {signed_up:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_serializable_by_default_requests_at_once_are_one_erasure_and_all_are_answered() {
    let mut app = Application::new().await;
    let role = app.run_as(Role::Documented).await;
    app.execute(&format!(
        "alter role {role} set default_transaction_isolation = 'serializable'"
    ))
    .await;
    app.user("user_a").await;
    app.samples("user_a", "user_a/", 50).await;
    let service = Service::start(&app).await;
    for n in 0..5 {
        let user = format!("user_{n}");
        app.user(&user).await;
        app.sample(&user, &[&format!("{user}/1")]).await;
        let asked = (0..10).map(|nth| {
            let event = service.user_deleted(&format!("msg_{n}_{nth}"), &user);
            async move { event.send().await.unwrap().status().as_u16() }
        });
        let answers = join_all(asked).await;
        assert!(answers.iter().all(|status| *status == 204), "{answers:?}");
        app.expect_rows(
            &format!("lethe.cleanup_tasks where user_id = '{user}' and kind = 'user-delete'"),
            1,
        )
        .await;
    }
    let worker = app.worker().await;
    app.delete_user("user_a").await;
    app.within(
        DONE_LIMIT,
        "not exists (select from lethe.tasks where status <> 'completed')",
    )
    .await;
    app.expect_nothing_left("user_a").await;
    app.expect_bystander().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_and_the_application_deadlock_without_losing_anything() {
    let app = Application::new().await;
    app.user("user_a").await;
    app.samples("user_a", "user_a/", 400).await;
    let worker = app.worker().await;
    let mut session = app.session().await;
    app.execute(
        "select lethe.delete_image(id, 'test') from sample_images where object_key like 'user_a/%'",
    )
    .await;
    let mut deadlocks = 0;
    for nth in 0..20 {
        // Images first and samples second: the opposite of Lethe's order.
        let sql = format!(
            "with i as materialized (update sample_images set created_at = now() where object_key like 'user_a/%{nth}' returning sample_id)
             update samples set name = name where id in (select sample_id from i)"
        );
        deadlocks += i32::from(run(&mut session, &sql).await.is_err());
    }
    let root = app.delete_user("user_a").await;
    app.within(
        DONE_LIMIT,
        &format!("(select status = 'completed' from lethe.tasks where id = {root})"),
    )
    .await;
    app.expect_nothing_left("user_a").await;
    app.expect_rows("lethe.tasks where status = 'dead'", 0)
        .await;
    println!("deadlocks that hit the application: {deadlocks}");
    worker.stop().await;
}

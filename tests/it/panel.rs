//! The calls that the panel was the first to need, and how its files are served. What a person sees of it is tested
//! in a browser (`tests/browser`).

use reqwest::{Method, StatusCode, redirect};
use serde_json::Value;

use crate::support::service::{ADMIN_TOKEN, Service, answer};
use crate::support::world::World;

/// The sums of a window's series: completed, failed, dead, deleted objects; and whether any is estimated.
fn sums(stats: &Value) -> ([i64; 4], bool) {
    let buckets = stats["series"]["buckets"].as_array().unwrap();
    let sum = |name: &str| {
        buckets
            .iter()
            .map(|bucket| bucket[name].as_i64().unwrap())
            .sum()
    };
    let estimated = buckets.iter().any(|bucket| bucket["estimated"] == true);
    (
        ["completed", "failed", "dead", "objectsDeleted"].map(sum),
        estimated,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_series_count_what_each_window_contains() {
    let world = World::new().await;
    let service = Service::start(&world).await;
    for window in ["1h", "24h", "7d"] {
        let stats = service.get(&format!("/admin/stats?window={window}")).await;
        assert_eq!(sums(&stats), ([0; 4], false), "{window}: {stats}");
    }
    // One of half an hour ago, one of five hours ago, one of three days ago, one of a month ago.
    for (minutes, audit_id) in [(30, 4_000), (300, 3_000), (4_320, 2_000), (43_200, 1_000)] {
        world
            .execute(&format!(
                "insert into lethe.finished_tasks (audit_id, id, kind, entity_type, entity_id, user_id, status, attempts, \
                     scheduled_at, created_at, finished_at, object_keys, kept_keys, row_ids) \
                 select {audit_id}, {audit_id}, 'sample-delete', 'sample', gen_random_uuid(), 'user_a', 'completed', 1, \
                     now(), now(), now() - interval '{minutes} minutes', '{{a,b}}', '{{}}', '{{}}'"
            ))
            .await;
        for (event, offset) in [("task-failed", 1), ("task-dead", 2), ("task-retried", 3)] {
            world
                .execute(&format!(
                    "insert into lethe.cleanup_audit (id, at, event, object_keys) overriding system value \
                     values ({audit_id} + {offset}, now() - interval '{minutes} minutes', '{event}', '{{c}}')"
                ))
                .await;
        }
    }
    for (window, buckets, within) in [("1h", 60, 1), ("24h", 96, 2), ("7d", 84, 3)] {
        let stats = service.get(&format!("/admin/stats?window={window}")).await;
        assert_eq!(
            stats["series"]["buckets"].as_array().unwrap().len(),
            buckets
        );
        let expected = [within, within, within, 4 * within];
        assert_eq!(sums(&stats), (expected, false), "{window}: {stats}");
    }
    let (status, problem) = service.admin(Method::GET, "/admin/stats?window=2h").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_many_entries_is_estimated_and_says_so() {
    let world = World::new().await;
    let service = Service::start(&world).await;
    // In each three entries two are failures, so that a fixed step of three would count none or all.
    world
        .execute(
            "insert into lethe.cleanup_audit (event, object_keys) \
             select case n % 3 when 0 then 'task-continued' else 'task-failed' end, '{a}' from generate_series(1, 30000) n",
        )
        .await;
    let stats = service.get("/admin/stats?window=24h").await;
    let ([_, failed, _, objects], estimated) = sums(&stats);
    assert!(estimated, "{stats}");
    assert!((18_000..=22_000).contains(&failed), "{failed} of 20,000");
    assert!((29_000..=31_000).contains(&objects), "{objects} of 30,000");
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_are_shown_with_what_they_hold() {
    let world = World::new().await;
    let service = Service::start(&world).await;
    assert_eq!(
        service.get("/admin/workers").await,
        serde_json::json!({"items": []})
    );
    world.user("user_a").await;
    world
        .execute(
            "insert into lethe.cleanup_workers (id, started_at, expires_at, lost_at, rescued_at, sleeping) values \
             ('w-alive', now() - interval '3 minutes', now() + interval '1 minute', null, null, false), \
             ('w-expired', now() - interval '2 minutes', now() - interval '1 second', null, null, false), \
             ('w-gone', now() - interval '1 minute', now(), now(), now(), false)",
        )
        .await;
    for n in 0..12 {
        let sample = world.sample("user_a", &[&format!("k/{n}")]).await;
        world.delete_sample(sample).await;
    }
    world
        .execute(
            "update lethe.cleanup_tasks set status = 'running', attempts = 1, \
                 lease_owner = case when id = (select max(id) from lethe.cleanup_tasks) then 'w-expired' else 'w-alive' end",
        )
        .await;
    let workers = service.get("/admin/workers").await;
    let told: Vec<(&str, &str, i64, usize)> = workers["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|worker| {
            (
                worker["id"].as_str().unwrap(),
                worker["state"].as_str().unwrap(),
                worker["tasks"].as_i64().unwrap(),
                worker["taskIds"].as_array().unwrap().len(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("w-alive", "alive", 11, 10),
            ("w-expired", "lost", 1, 1),
            ("w-gone", "gone", 0, 0)
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_learns_whose_it_is() {
    let world = World::new().await;
    let service = Service::start(&world).await;
    let me = service.get("/admin/me").await;
    assert_eq!((&me["name"], &me["role"]), (&"ops".into(), &"admin".into()));
    let session = service.session("user_a");
    for (token, status) in [("no-token-of-anybody", 401), (session.as_str(), 403)] {
        let (refused, problem) = answer(service.request(Method::GET, "/admin/me", token)).await;
        assert_eq!(refused, status, "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_panel_is_served_to_anyone_and_its_data_stay_in_no_cache() {
    let world = World::new().await;
    let service = Service::start(&world).await;
    let client = reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .build()
        .unwrap();
    for path in ["/", "/admin", "/panel"] {
        let answer = client
            .get(format!("{}{path}", service.url))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 307, "{path}");
        assert_eq!(answer.headers()["location"], "/panel/", "{path}");
    }
    for path in ["/panel/", "/panel/erasures/user_a.b", "/panel/tasks/1"] {
        let page = client
            .get(format!("{}{path}", service.url))
            .send()
            .await
            .unwrap();
        assert_eq!(page.status(), 200, "{path}");
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        let policy = page.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        let text = page.text().await.unwrap();
        assert!(!text.contains("/assets/@/"), "{text}");
    }
    let data = service
        .request(Method::GET, "/admin/stats", ADMIN_TOKEN)
        .send()
        .await
        .unwrap();
    assert_eq!(data.headers()["cache-control"], "no-store");
}

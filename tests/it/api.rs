//! The HTTP API of a real `lethe serve`, by its contract.

use std::time::Duration;

use lethe::cursor::ListId;
use lethe::evidence::DeletedFilter;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::service::{OLD_WEBHOOK_SECRET, Service, WEBHOOK_SECRET, answer, now};
use crate::support::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_user_deleted_is_committed_before_its_204() {
    let world = World::new().await;
    world.user("user_a").await;
    world.samples("user_a", "a/", 3).await;
    let service = Service::start(&world).await;
    let response = service
        .user_deleted("msg_1", "user_a")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 204);
    world
        .expect_rows(
            "users where deleted_by = 'clerk:user.deleted' and deleted_at is not null",
            1,
        )
        .await;
    world
        .expect_rows(
            "samples where is_deleted and deleted_by = 'clerk:user.deleted'",
            3,
        )
        .await;
    world.expect_rows("collections where is_deleted", 1).await;
    world.expect_rows("sample_images where is_deleted", 3).await;
    world
        .expect_rows(
            "lethe.tasks where kind = 'user-delete' and cardinality(object_keys) = 3",
            1,
        )
        .await;
    let worker = world.worker().await;
    world
        .until("exists (select from lethe.audit where event = 'user-erased')")
        .await;
    let receipt = service.get("/admin/users/user_a/erasure").await;
    assert_eq!(receipt["status"], "complete", "{receipt}");
    assert_eq!(receipt["requestedBy"], "clerk:user.deleted");
    assert_eq!(receipt["objectsDeleted"], 3);
    assert_eq!(receipt["rowsDeleted"]["samples"], 3, "{receipt}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_repeats_at_once_are_one_erasure_and_all_are_204() {
    let world = World::new().await;
    world.user("user_a").await;
    let service = Service::start(&world).await;
    let sent = (0..20).map(|_| service.user_deleted("msg_1", "user_a").send());
    for response in futures::future::join_all(sent).await {
        assert_eq!(response.unwrap().status(), 204);
    }
    // Another event for the same user, and one for a user who never was.
    assert_eq!(
        service
            .user_deleted("msg_2", "user_a")
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    assert_eq!(
        service
            .user_deleted("msg_3", "user_ghost")
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    world
        .expect_rows(
            "lethe.tasks where kind = 'user-delete' and user_id = 'user_a'",
            1,
        )
        .await;
    world
        .expect_rows("lethe.audit where event = 'user-deletion-requested'", 2)
        .await;
    world.expect_rows("lethe.user_tombstones", 2).await;
    world.expect_rows("lethe.webhook_events", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_not_clerks_or_no_event_changes_nothing() {
    let world = World::new().await;
    world.user("user_a").await;
    let service = Service::start(&world).await;
    let deleted = json!({"type": "user.deleted", "data": {"id": "user_a"}})
        .to_string()
        .into_bytes();
    let forged = service.webhook(
        "m1",
        deleted.clone(),
        "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        now(),
    );
    let (status, problem) = answer(forged).await;
    assert_eq!(status, 400, "{problem}");
    assert_eq!(problem["status"], 400);
    assert!(problem["requestId"].is_string(), "{problem}");
    for at in [now() - 400, now() + 400] {
        let stale = service.webhook("m2", deleted.clone(), WEBHOOK_SECRET, at);
        assert_eq!(stale.send().await.unwrap().status(), 400);
    }
    let unsigned = service
        .client
        .post(format!("{}/webhooks/clerk", service.url))
        .body(deleted.clone());
    assert_eq!(unsigned.send().await.unwrap().status(), 400);
    for body in [&b"no json"[..], b"[]", b"{}", b"{\"type\": 5}"] {
        let sent = service.webhook("m3", body.to_vec(), WEBHOOK_SECRET, now());
        assert_eq!(
            sent.send().await.unwrap().status(),
            400,
            "{}",
            String::from_utf8_lossy(body)
        );
    }
    world.expect_rows("lethe.webhook_events", 0).await;
    world.expect_rows("users where deleted_at is null", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_events_missing_ids_unknown_fields_and_the_old_secret_are_204() {
    let world = World::new().await;
    world.user("user_a").await;
    let service = Service::start(&world).await;
    let events = [
        (
            "m1",
            json!({"type": "user.created", "data": {"id": "user_a"}}),
            WEBHOOK_SECRET,
        ),
        (
            "m2",
            json!({"type": "user.deleted", "data": {"deleted": true}}),
            WEBHOOK_SECRET,
        ),
        (
            "m3",
            json!({"type": "user.deleted", "data": {"id": "user_a", "new": [1]}, "more": {}}),
            OLD_WEBHOOK_SECRET,
        ),
    ];
    for (id, event, secret) in events {
        let sent = service.webhook(id, event.to_string().into_bytes(), secret, now());
        assert_eq!(sent.send().await.unwrap().status(), 204, "{id}");
    }
    world.expect_rows("lethe.tasks", 1).await;
    // The same id with another body is no repeat.
    let other = json!({"type": "user.created", "data": {"id": "user_b"}})
        .to_string()
        .into_bytes();
    assert_eq!(
        service
            .webhook("m1", other, WEBHOOK_SECRET, now())
            .send()
            .await
            .unwrap()
            .status(),
        409
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_64_kib_is_taken_and_one_byte_more_is_413() {
    let world = World::new().await;
    let service = Service::start(&world).await;
    let event = |length: usize| {
        let mut body = json!({"type": "user.updated", "data": {}, "pad": ""}).to_string();
        let pad = "x".repeat(length - body.len());
        body = body.replace("\"pad\":\"\"", &format!("\"pad\":\"{pad}\""));
        assert_eq!(body.len(), length);
        body.into_bytes()
    };
    let largest = service.webhook("m1", event(65_536), WEBHOOK_SECRET, now());
    assert_eq!(largest.send().await.unwrap().status(), 204);
    let too_large = service.webhook("m2", event(65_537), WEBHOOK_SECRET, now());
    assert_eq!(too_large.send().await.unwrap().status(), 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_deleted_before_keep_who_and_when() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    world
        .execute(&format!(
            "update samples set deleted_at = '2020-01-01', deleted_by = 'app' where id = '{sample}'"
        ))
        .await;
    let service = Service::start(&world).await;
    assert_eq!(
        service
            .user_deleted("m1", "user_a")
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    world
        .expect_rows(
            "samples where deleted_at = '2020-01-01' and deleted_by = 'app'",
            1,
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_deletes_a_sample_and_gets_the_same_202_again() {
    let world = World::new().await;
    world.user("user_a").await;
    world.user("user_b").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    let foreign = world.sample("user_b", &["b/1"]).await;
    let service = Service::start(&world).await;
    let token = service.session("user_a");
    let path = format!("/samples/{sample}");
    let (status, task) = answer(service.request(Method::DELETE, &path, &token)).await;
    assert_eq!(status, 202, "{task}");
    assert_eq!(task["kind"], "sample-delete");
    assert_eq!(task["entityType"], "sample");
    assert_eq!(task["entityId"], sample.to_string());
    assert!(task["id"].is_string(), "{task}");
    let (status, again) = answer(service.request(Method::DELETE, &path, &token)).await;
    assert_eq!((status.as_u16(), &again), (202, &task));
    assert_eq!(
        world
            .one::<String>(&format!(
                "select deleted_by from samples where id = '{sample}'"
            ))
            .await,
        "user:user_a"
    );

    for (path, expected) in [
        (format!("/samples/{foreign}"), 404),
        (
            "/samples/00000000-0000-0000-0000-000000000000".to_owned(),
            404,
        ),
        ("/samples/nonsense".to_owned(), 400),
    ] {
        let (status, problem) = answer(service.request(Method::DELETE, &path, &token)).await;
        assert_eq!(status, expected, "{path}: {problem}");
        assert_eq!(problem["status"], expected);
    }
    let nobody = service
        .client
        .delete(format!("{}{path}", service.url))
        .send()
        .await
        .unwrap();
    assert_eq!(nobody.status(), 401);
    assert_eq!(nobody.headers()["content-type"], "application/problem+json");
    let (status, _) = answer(service.request(Method::DELETE, &path, "nonsense")).await;
    assert_eq!(status, 401);

    let worker = world.worker().await;
    world
        .until("exists (select from lethe.tasks where status = 'completed')")
        .await;
    let (status, _) = answer(service.request(Method::DELETE, &path, &token)).await;
    assert_eq!(status, 404, "after the purge");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_learns_of_a_task_only_what_concerns_an_owner() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["locked"]).await;
    world.s3.fail_key("locked", "AccessDenied", None);
    let task = world.delete_sample(sample).await;
    let worker = world.worker().await;
    world.until_status(task, "dead").await;
    worker.stop().await;
    let service = Service::start(&world).await;
    let path = format!("/samples/{sample}");
    let token = service.session("user_a");
    let (status, task) = answer(service.request(Method::DELETE, &path, &token)).await;
    assert_eq!(status, 202, "{task}");
    let mut fields: Vec<_> = task.as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(
        fields,
        [
            "createdAt",
            "entityId",
            "entityType",
            "id",
            "kind",
            "scheduledAt",
            "status"
        ]
    );
    let (status, task) = service.admin(Method::DELETE, &path).await;
    assert_eq!(status, 202, "{task}");
    assert_eq!(task["objectKeys"], json!(["locked"]));
    assert_eq!(task["userId"], "user_a");
    assert_eq!(task["errorClass"], "blocked");
    assert!(task["lastError"].is_string(), "{task}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_deleted_with_an_empty_id_is_204_and_counted_as_missing_user() {
    let world = World::new().await;
    let service = Service::start(&world).await;
    let response = service.user_deleted("m1", "").send().await.unwrap();
    assert_eq!(response.status(), 204);
    world.expect_rows("lethe.webhook_events", 1).await;
    world.expect_rows("lethe.user_tombstones", 0).await;
    let metrics = service
        .client
        .get(format!("{}/metrics", service.url))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let counted = "lethe_webhook_events_total{outcome=\"missing-user\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn infinite_times_are_listed_once_and_shown_as_times() {
    let world = World::new().await;
    for user in ["user_a", "user_b", "user_c"] {
        world.user(user).await;
        world.sample(user, &[user]).await;
    }
    for sql in [
        "update users set deleted_at = 'infinity', deleted_by = 'app' where id <> 'user_c'",
        "update users set deleted_at = '-infinity', deleted_by = 'app' where id = 'user_c'",
        "update samples set deleted_at = 'infinity', deleted_by = 'app' where user_id = 'user_a'",
        "update samples set deleted_at = '290000-01-01', deleted_by = 'app' where user_id = 'user_b'",
        "update samples set deleted_at = '4000-01-01 BC', deleted_by = 'app' where user_id = 'user_c'",
        "insert into lethe.user_tombstones (user_id, deleted_by, deleted_at) values ('user_t', 'app', 'infinity')",
    ] {
        world.execute(sql).await;
    }
    let service = Service::start(&world).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = service
            .get(&format!("/admin/deleted?limit=1{cursor}"))
            .await;
        for item in page["items"].as_array().unwrap() {
            let at = item["deletedAt"].as_str().unwrap().to_owned();
            seen.push((
                item["entityType"].as_str().unwrap().to_owned(),
                item["userId"].clone(),
                at,
            ));
        }
        let Some(next) = page["nextCursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    let order: Vec<_> = seen
        .iter()
        .map(|(kind, user, at)| format!("{kind} {} {}", user.as_str().unwrap(), &at[..10]))
        .collect();
    assert_eq!(
        order,
        [
            "user user_b 9999-12-31",
            "user user_a 9999-12-31",
            "sample user_a 9999-12-31",
            "sample user_b 9999-12-31",
            "sample user_c 0001-01-01",
            "user user_c 0001-01-01",
        ]
    );
    let receipt = service.get("/admin/users/user_t/erasure").await;
    assert!(
        receipt["requestedAt"]
            .as_str()
            .unwrap()
            .starts_with("9999-")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_postgresql_cannot_hold_are_400_and_name_the_field() {
    let world = World::new().await;
    let service = Service::start(&world).await;
    let cursor = |micros: &str| {
        let list = ListId::new("deleted", &DeletedFilter::default());
        list.encode(&[micros, "user", "user_a"].map(str::to_owned))
    };
    for (list, field, value) in [
        (
            "deleted",
            "deletedAfter",
            "-5000-01-01T00:00:00Z".to_owned(),
        ),
        (
            "deleted",
            "deletedBefore",
            "-5000-01-01T00:00:00Z".to_owned(),
        ),
        (
            "deleted",
            "deletedAfter",
            "%2B262000-01-01T00:00:00Z".to_owned(),
        ),
        ("audit", "after", "-5000-01-01T00:00:00Z".to_owned()),
        ("audit", "before", "%2B300000-01-01T00:00:00Z".to_owned()),
        // 5000 BC, and times beyond any calendar.
        ("deleted", "cursor", cursor("-220000000000000000")),
        ("deleted", "cursor", cursor("-9999999999999999999")),
        ("deleted", "cursor", cursor("9224318016000000000")),
    ] {
        let path = format!("/admin/{list}?{field}={value}");
        let (status, problem) = service.admin(Method::GET, &path).await;
        assert_eq!(status, 400, "{path}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("`{field}`")), "{path}: {detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn within_the_grace_period_a_sample_is_restored_whole() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1", "a/2"]).await;
    let service = Service::start_with(&world, &[("CLEANUP_GRACE_PERIOD_MS", "600000")]).await;
    let worker = world.worker().await;
    let token = service.session("user_a");
    let (status, task) =
        answer(service.request(Method::DELETE, &format!("/samples/{sample}"), &token)).await;
    assert_eq!(status, 202);
    // The worker has polled the queue since then: it finished a deletion without grace that was asked for later.
    let other = world.sample("user_a", &["a/other"]).await;
    let later = world.delete_sample(other).await;
    world.until_status(later, "completed").await;
    let restore = format!("/samples/{sample}/restore");
    let (status, body) = answer(service.request(Method::POST, &restore, &token)).await;
    assert_eq!(status, 200, "{body}");
    world
        .expect_rows("samples where deleted_at is null and deleted_by is null", 1)
        .await;
    world
        .expect_rows("sample_images where deleted_at is null", 2)
        .await;
    let id = task["id"].as_str().unwrap();
    assert_eq!(
        service.get(&format!("/admin/cleanup-tasks/{id}")).await["status"],
        "cancelled"
    );
    assert!(world.s3.contains("a/1"));
    // Deleted anew, it is a new task.
    let (_, anew) =
        answer(service.request(Method::DELETE, &format!("/samples/{sample}"), &token)).await;
    assert_ne!(anew["id"], task["id"]);
    // A user's deletion has no grace, and nothing is restored after it.
    assert_eq!(
        service
            .user_deleted("m1", "user_a")
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    let (status, _) = service.admin(Method::POST, &restore).await;
    assert!(status == 409 || status == 404, "{status}");
    world.until("not exists (select from users)").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_restore_and_a_claim_at_the_same_moment_exactly_one_wins() {
    let world = World::new().await;
    world.user("user_a").await;
    let service = Service::start(&world).await;
    let token = service.session("user_a");
    let worker = world.worker().await;
    let (mut restored, mut begun) = (0, 0);
    for n in 0..40 {
        let key = format!("a/{n}");
        let sample = world.sample("user_a", &[&key]).await;
        let task: i64 = world
            .one(&format!(
                "select lethe.delete_sample('{sample}', 'user:user_a')"
            ))
            .await;
        let restore = format!("/samples/{sample}/restore");
        if n % 2 == 1 {
            tokio::time::sleep(Duration::from_millis(n / 4)).await;
        }
        let (status, body) = answer(service.request(Method::POST, &restore, &token)).await;
        world
            .until(&format!(
                "(select status in ('completed', 'cancelled') from lethe.tasks where id = {task})"
            ))
            .await;
        let live = world
            .count(&format!(
                "samples where id = '{sample}' and deleted_at is null"
            ))
            .await;
        match status.as_u16() {
            200 => {
                restored += 1;
                assert_eq!(
                    (live, world.s3.contains(&key)),
                    (1, true),
                    "restored: {body}"
                );
            }
            404 | 409 => {
                begun += 1;
                assert_eq!((live, world.s3.contains(&key)), (0, false), "begun: {body}");
            }
            other => panic!("{other}: {body}"),
        }
    }
    assert_eq!(restored + begun, 40);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_no_admin_and_an_admin_may_do_all() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    let service = Service::start(&world).await;
    let token = service.session("user_a");
    for path in [
        "/admin/stats",
        "/admin/deleted",
        "/admin/audit",
        "/admin/cleanup-tasks",
    ] {
        let (status, _) = answer(service.request(Method::GET, path, &token)).await;
        assert_eq!(status, 403, "{path}");
        let nobody = service
            .client
            .get(format!("{}{path}", service.url))
            .send()
            .await
            .unwrap();
        assert_eq!(nobody.status(), 401, "{path}");
        service.get(path).await;
    }
    let (status, _) = service
        .admin(Method::DELETE, &format!("/samples/{sample}"))
        .await;
    assert_eq!(status, 202);
    assert_eq!(
        world.one::<String>("select deleted_by from samples").await,
        "admin:ops"
    );
    let (status, task) = service.admin(Method::DELETE, "/admin/users/user_a").await;
    assert_eq!(
        (status.as_u16(), &task["kind"]),
        (202, &json!("user-delete")),
        "{task}"
    );
    let (status, _) = service
        .admin(Method::GET, "/admin/users/user_other/erasure")
        .await;
    assert_eq!(status, 404);
    let receipt = service.get("/admin/users/user_a/erasure").await;
    assert_eq!(receipt["status"], "in-progress", "{receipt}");
    assert_eq!(receipt["requestedBy"], "admin:ops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_by_entity_finds_open_and_finished_tasks_and_nothing_else() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    world.samples("user_a", "a/more/", 3).await;
    let service = Service::start(&world).await;
    let found = async |list: &str, id: &str| -> Vec<String> {
        let page = service.get(&format!("/admin/{list}?entityId={id}")).await;
        let items = page["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| {
                assert_eq!(item["entityId"], id);
                item["id"].as_str().unwrap().to_owned()
            })
            .collect()
    };
    let id = sample.to_string();
    assert_eq!(found("cleanup-tasks", &id).await, [""; 0]);
    let task = world.delete_sample(sample).await;
    assert_eq!(found("cleanup-tasks", &id).await, [task.to_string()]);
    assert_eq!(found("audit", &id).await.len(), 1);

    let worker = world.worker().await;
    world.until_status(task, "completed").await;
    let root = world.delete_user("user_a").await;
    world.until_status(root, "completed").await;
    worker.stop().await;
    assert_eq!(found("cleanup-tasks", &id).await, [task.to_string()]);
    assert_eq!(found("audit", &id).await.len(), 2);
    let of_user = found("cleanup-tasks", "user_a").await;
    assert!(of_user.contains(&root.to_string()), "{of_user:?}");
    assert!(found("audit", "user_a").await.len() >= 2);
    assert_eq!(found("cleanup-tasks", "user_b").await, [""; 0]);
    assert_eq!(found("audit", "user_b").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_page_to_their_end_and_refuse_what_they_do_not_know() {
    let world = World::new().await;
    world.user("user_a").await;
    world.samples("user_a", "a/", 7).await;
    world
        .execute("select lethe.delete_sample(id, 'test') from samples")
        .await;
    // What fails is found by the state of its task, however many rows lie between.
    world
        .execute(
            "update lethe.cleanup_tasks set status = 'failed', attempts = 1, error_class = 'transient', last_error = 'x'
             where id in (select id from lethe.cleanup_tasks order by id limit 2)",
        )
        .await;
    let service = Service::start(&world).await;
    for (list, expected) in [
        ("/admin/deleted?taskStatus=failed&entityType=sample&", 2),
        ("/admin/deleted?taskStatus=pending&", 10),
        ("/admin/deleted?taskStatus=dead&", 0),
        ("/admin/cleanup-tasks?", 7),
        ("/admin/deleted?entityType=sample&", 7),
        ("/admin/deleted?", 14),
        ("/admin/audit?", 7),
    ] {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = service.get(&format!("{list}limit=3{cursor}")).await;
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 3);
            ids.extend(
                items
                    .iter()
                    .map(|item| format!("{}{}", item["entityType"], item["id"])),
            );
            let Some(next) = page["nextCursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(ids.len(), expected, "{list}");
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), expected, "{list}");
    }
    for (query, field) in [
        ("/admin/cleanup-tasks?limit=0", "limit"),
        ("/admin/cleanup-tasks?limit=201", "limit"),
        ("/admin/cleanup-tasks?status=nonsense", "status"),
        ("/admin/cleanup-tasks?entityType=planet", "entityType"),
        ("/admin/cleanup-tasks?cursor=nonsense", "cursor"),
        ("/admin/deleted?deletedAfter=yesterday", "deletedAfter"),
        ("/admin/deleted?taskStatus=gone", "taskStatus"),
    ] {
        let (status, problem) = service.admin(Method::GET, query).await;
        assert_eq!(status, 400, "{query}");
        assert!(
            problem["detail"].as_str().unwrap().contains(field),
            "{problem}"
        );
    }
    assert_eq!(
        service.get("/admin/deleted?deletedBy=nobody").await["items"],
        json!([])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_task_is_shown_with_its_history_and_retried_with_a_reason() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["locked"]).await;
    world.s3.fail_key("locked", "AccessDenied", Some(3));
    let task = world.delete_sample(sample).await;
    let worker = world.worker().await;
    let service = Service::start(&world).await;
    world.until_status(task, "dead").await;
    let shown = service.get(&format!("/admin/cleanup-tasks/{task}")).await;
    assert_eq!(
        (&shown["attempts"], &shown["errorClass"]),
        (&json!(3), &json!("blocked"))
    );
    assert!(shown["history"].as_array().unwrap().len() >= 4, "{shown}");
    assert_eq!(
        service.get("/admin/cleanup-tasks?status=dead").await["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let retry = format!("/admin/cleanup-tasks/{task}/retry");
    for body in [
        json!({}),
        json!({"reason": ""}),
        json!({"reason": "x".repeat(501)}),
    ] {
        let (status, problem) = answer(
            service
                .request(Method::POST, &retry, crate::support::service::ADMIN_TOKEN)
                .json(&body),
        )
        .await;
        assert_eq!(status, 400, "{problem}");
    }
    let body = json!({"reason": "the lock is lifted"});
    let send = |path: &str| {
        service
            .request(Method::POST, path, crate::support::service::ADMIN_TOKEN)
            .json(&body)
    };
    assert_eq!(answer(send(&retry)).await.0, 202);
    world.until_status(task, "completed").await;
    world.expect_rows("lethe.audit where event = 'task-retried' and actor = 'admin:ops' and detail = 'the lock is lifted'", 1).await;
    assert_eq!(answer(send(&retry)).await.0, 409);
    let all = json!({"reason": "all", "status": "dead"});
    let (status, body) = answer(
        service
            .request(
                Method::POST,
                "/admin/cleanup-tasks/retry",
                crate::support::service::ADMIN_TOKEN,
            )
            .json(&all),
    )
    .await;
    assert_eq!(status, 202, "{body}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_key_makes_the_receipt_incomplete() {
    let world = World::new().await;
    world.user("user_a").await;
    world.sample("user_a", &["locked", "free"]).await;
    world.s3.fail_key("locked", "AccessDenied", None);
    world.delete_user("user_a").await;
    let worker = world.worker().await;
    let service = Service::start(&world).await;
    world
        .until("exists (select from lethe.tasks where status = 'dead')")
        .await;
    let receipt = service.get("/admin/users/user_a/erasure").await;
    assert_eq!(receipt["status"], "incomplete", "{receipt}");
    assert_eq!(receipt["objectsDeleted"], 1);
    assert_eq!(receipt["parked"].as_array().unwrap().len(), 1, "{receipt}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_serve_is_alive_not_ready_and_answers_503() {
    let world = World::new().await;
    let service = Service::start_with(
        &world,
        &[("DATABASE_URL", "postgres://nobody@127.0.0.1:9/none")],
    )
    .await;
    let ready = service
        .client
        .get(format!("{}/health/ready", service.url))
        .send()
        .await
        .unwrap();
    assert_eq!(ready.status(), 503);
    let response = service.user_deleted("m1", "user_a").send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spec_swagger_ui_and_the_metrics_are_served_without_a_network() {
    let world = World::new().await;
    let service = Service::start(&world).await;
    let spec: Value = service
        .client
        .get(format!("{}/openapi.json", service.url))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(spec["openapi"], "3.0.0");
    let docs = service
        .client
        .get(format!("{}/docs", service.url))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        !docs.contains("src=\"http") && !docs.contains("href=\"http"),
        "no CDN"
    );
    let metrics = service
        .client
        .get(format!("{}/metrics", service.url))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    for name in [
        "lethe_tasks{status=\"dead\"}",
        "lethe_oldest_due_task_age_seconds",
        "lethe_oldest_unfinished_erasure_age_seconds",
        "lethe_tasks_settled_total",
        "lethe_objects_deleted_total",
        "lethe_rows_deleted_total",
        "lethe_s3_requests_total",
        "lethe_s3_request_duration_seconds",
        "lethe_claim_duration_seconds",
        "lethe_wakeups_total",
        "lethe_webhook_events_total",
        "lethe_task_wait_seconds",
    ] {
        assert!(metrics.contains(name), "{name}");
    }
}

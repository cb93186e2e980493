//! What clients of the API rely on beside the operations themselves: problems that programs understand, queries that
//! mean what they say, cursors, headers, and an answer that can be polled.

use std::io::Read as _;

use lethe::http::api::specification;
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::support::service::{ADMIN_TOKEN, Service, WEBHOOK_SECRET, answer, now};
use crate::support::world::World;

/// The code of a refusal, and the field that it names.
async fn refusal(service: &Service, method: Method, path: &str) -> (StatusCode, String, String) {
    let (status, problem) = service.admin(method, path).await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let code = text(&problem["code"]);
    (status, code, text(&problem["errors"][0]["field"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_with_unknown_repeated_or_undecodable_parameters_is_400_and_names_them() {
    let world = World::new().await;
    let service = Service::start(&world).await;
    for (path, code, field) in [
        ("cleanup-tasks?stauts=dead", "unknown-parameter", "stauts"),
        ("cleanup-tasks?Status=dead", "unknown-parameter", "Status"),
        ("deleted?status=dead", "unknown-parameter", "status"),
        ("stats?limit=1", "unknown-parameter", "limit"),
        ("users/user_a/erasure?x", "unknown-parameter", "x"),
        (
            "cleanup-tasks?status=dead&status=failed",
            "repeated-parameter",
            "status",
        ),
        ("audit?userId=%ff%fe", "invalid-input", "userId"),
    ] {
        let found = refusal(&service, Method::GET, &format!("/admin/{path}")).await;
        let expected = (StatusCode::BAD_REQUEST, code.to_owned(), field.to_owned());
        assert_eq!(found, expected, "{path}");
    }
    // A stranger is told of the missing credentials first.
    let stranger = service
        .client
        .get(format!("{}/admin/cleanup-tasks?stauts=dead", service.url));
    let (status, problem) = answer(stranger).await;
    assert_eq!(status, 401, "{problem}");
    assert_eq!(problem["code"], "credentials-missing", "{problem}");
    // A delivery and a probe may have parameters of those who send them.
    for path in ["/health/live?from=probe", "/openapi.json?v=2"] {
        let request = service.client.get(format!("{}{path}", service.url));
        assert_eq!(answer(request).await.0, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_value_is_answered_in_plain_words_that_list_what_is_allowed() {
    let world = World::new().await;
    let service = Service::start(&world).await;
    for (path, field, words) in [
        (
            "cleanup-tasks?status=DEAD",
            "status",
            "must be one of `pending`, `running`",
        ),
        (
            "cleanup-tasks?limit=abc",
            "limit",
            "must be a whole number from 1 to 200",
        ),
        (
            "audit?after=2026-01-01",
            "after",
            "must be a time such as 2026-11-24T18:00:00Z",
        ),
        (
            "cleanup-tasks?parentId=x",
            "parentId",
            "must be a task's id, a whole number",
        ),
        (
            "cleanup-tasks/x",
            "taskId",
            "must be a task's id, a whole number",
        ),
        ("users/USER_a", "userId", "must match `ids`"),
    ] {
        let (status, problem) = service.admin(Method::GET, &format!("/admin/{path}")).await;
        assert_eq!(status, 400, "{path}: {problem}");
        assert_eq!(problem["code"], "invalid-input", "{path}: {problem}");
        let error = &problem["errors"][0];
        assert_eq!(error["field"], field, "{path}: {problem}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(words), "{path}: {message}");
        let detail = format!("`{field}`: {message}");
        assert_eq!(problem["detail"], detail, "{path}");
    }
    let (status, problem) = service.admin(Method::DELETE, "/samples/0").await;
    assert_eq!(status, 400, "{problem}");
    assert_eq!(problem["errors"][0]["field"], "sampleId", "{problem}");
}

/// For each path of the document: a method that it does not have.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_method_is_405_with_the_methods_that_the_document_names() {
    let world = World::new().await;
    let service = Service::start(&world).await;
    let document = specification();
    let mut expected: Vec<(String, Vec<String>)> = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let mut methods: Vec<String> = operations
            .as_object()
            .unwrap()
            .keys()
            .map(|method| method.to_uppercase())
            .collect();
        if methods.contains(&"GET".to_owned()) {
            methods.push("HEAD".to_owned());
        }
        let path = path
            .replace("{sampleId}", "0190b6e2-7c1f-7a3e-9d54-3f1b2c4d5e6f")
            .replace("{userId}", "user_a")
            .replace("{taskId}", "1");
        expected.push((path, methods));
    }
    for path in ["/docs", "/openapi.json", "/metrics"] {
        expected.push((path.to_owned(), vec!["GET".to_owned(), "HEAD".to_owned()]));
    }
    for (path, mut methods) in expected {
        let request = service.request(Method::PATCH, &path, ADMIN_TOKEN);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 405, "{path}");
        let allow = response.headers()[header::ALLOW].to_str().unwrap();
        let mut allowed: Vec<String> = allow.split(", ").map(str::to_owned).collect();
        methods.sort();
        allowed.sort();
        assert_eq!(allowed, methods, "{path}");
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["code"], "method-not-allowed", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_cursor_is_the_first_page_and_one_of_another_list_or_filter_is_refused() {
    let world = World::new().await;
    world.user("user_a").await;
    world.samples("user_a", "a/", 3).await;
    world
        .execute("select lethe.delete_sample(id, 'test') from public.samples")
        .await;
    world
        .execute("select lethe.delete_user('user_' || n, 'test') from generate_series(1, 3) n")
        .await;
    let service = Service::start(&world).await;
    let lists = ["cleanup-tasks", "deleted", "audit", "erasures"];
    let mut cursors = Vec::new();
    for list in lists {
        let first = service.get(&format!("/admin/{list}?limit=2")).await;
        let same = service.get(&format!("/admin/{list}?limit=2&cursor=")).await;
        assert_eq!(first, same, "{list}");
        let cursor = first["nextCursor"].as_str().unwrap().to_owned();
        // Another size of the page is no other list.
        service
            .get(&format!("/admin/{list}?limit=1&cursor={cursor}"))
            .await;
        cursors.push(cursor);
    }
    for list in lists {
        let index = lists.iter().position(|other| *other == list).unwrap();
        for (other, cursor) in cursors.iter().enumerate() {
            let path = format!("/admin/{list}?cursor={cursor}");
            let (status, problem) = service.admin(Method::GET, &path).await;
            if other == index {
                assert_eq!(status, 200, "{path}: {problem}");
            } else {
                assert_eq!(status, 400, "{path}: {problem}");
                assert_eq!(problem["code"], "invalid-cursor", "{path}: {problem}");
            }
        }
        let filter = match list {
            "cleanup-tasks" => "kind=sample-delete",
            "erasures" => "requestedBy=test",
            "deleted" => "entityType=sample",
            _ => "actor=test",
        };
        let path = format!("/admin/{list}?{filter}&cursor={}", cursors[index]);
        let (status, code, field) = refusal(&service, Method::GET, &path).await;
        assert_eq!(
            (status.as_u16(), &*code, &*field),
            (400, "invalid-cursor", "cursor"),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_polls_the_deletion_of_a_sample_to_its_end() {
    let world = World::new().await;
    world.user("user_a").await;
    world.user("user_b").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    let service = Service::start_with(&world, &[("CLEANUP_GRACE_PERIOD_MS", "3600000")]).await;
    let (owner, stranger) = (service.session("user_a"), service.session("user_b"));
    let path = format!("/samples/{sample}/deletion");
    let (status, problem) = answer(service.request(Method::GET, &path, &owner)).await;
    assert_eq!(status, 404, "before it was asked for: {problem}");
    assert_eq!(problem["code"], "deletion-not-found");

    let delete = service.request(Method::DELETE, &format!("/samples/{sample}"), &owner);
    let response = delete.send().await.unwrap();
    assert_eq!(response.status(), 202);
    assert_eq!(response.headers()[header::LOCATION], path.as_str());
    let task: Value = response.json().await.unwrap();
    let poll = async || answer(service.request(Method::GET, &path, &owner)).await;
    assert_eq!(poll().await, (StatusCode::OK, task.clone()));
    let (status, _) = answer(service.request(Method::GET, &path, &stranger)).await;
    assert_eq!(status, 404, "to somebody else");
    let (status, whole) = service.admin(Method::GET, &path).await;
    assert_eq!(status, 200, "{whole}");
    assert_eq!(whole["objectKeys"], json!(["a/1"]));

    let restore = service.request(Method::POST, &format!("/samples/{sample}/restore"), &owner);
    assert_eq!(answer(restore).await.0, 200);
    assert_eq!(poll().await.1["status"], "cancelled");
    let id = world.delete_sample(sample).await;
    let worker = world.worker().await;
    world.until_status(id, "completed").await;
    worker.stop().await;
    world.expect_rows("public.samples", 0).await;
    let (status, done) = poll().await;
    assert_eq!(status, 200, "after the sample is gone: {done}");
    assert_eq!(
        (&done["id"], &done["status"]),
        (&json!(id.to_string()), &json!("completed"))
    );
    assert!(
        done["finishedAt"].as_str().unwrap().ends_with('Z'),
        "{done}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_user_is_not_known_before_during_and_after_the_erasure() {
    let world = World::new().await;
    world.user("user_a").await;
    world.sample("user_a", &["a/1", "a/2"]).await;
    let service = Service::start(&world).await;
    let show = async |id: &str| service.get(&format!("/admin/users/{id}")).await;
    let user = show("user_a").await;
    assert_eq!(
        (&user["known"], &user["status"]),
        (&json!(true), &json!("live"))
    );
    assert_eq!(user["counts"]["rows"]["samples"], 1, "{user}");
    assert_eq!(user["counts"]["rows"]["sampleImages"], 2, "{user}");
    let typo = show("user_A").await;
    assert_eq!(
        (&typo["known"], &typo["status"]),
        (&json!(false), &json!("unknown"))
    );

    for (id, known) in [("user_a", true), ("user_A", false)] {
        let path = format!("/admin/users/{id}");
        // A client that was generated sends no body.
        let asked = format!("{path}?reason=ticket%20123");
        let request = service.request(Method::DELETE, &asked, ADMIN_TOKEN);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 202);
        let location = response.headers()[header::LOCATION].to_str().unwrap();
        let location = location.to_owned();
        let task: Value = response.json().await.unwrap();
        assert_eq!(task["userKnown"], known, "{task}");
        assert_eq!(service.get(&location).await["id"], task["id"]);
        let receipt = service.get(&format!("{path}/erasure")).await;
        assert_eq!(receipt["userKnown"], known, "{receipt}");
        assert_eq!(show(id).await["status"], "deleted");
    }
    let worker = world.worker().await;
    world
        .until("(select count(*) from lethe.audit where event = 'user-erased') = 2")
        .await;
    worker.stop().await;
    for (id, known) in [("user_a", true), ("user_A", false)] {
        let receipt = service.get(&format!("/admin/users/{id}/erasure")).await;
        assert_eq!(
            (&receipt["status"], &receipt["userKnown"]),
            (&json!("complete"), &json!(known)),
            "{receipt}"
        );
        let user = show(id).await;
        assert_eq!(
            (&user["status"], &user["known"]),
            (&json!("erased"), &json!(known)),
            "{user}"
        );
        let (_, again) = service
            .admin(Method::DELETE, &format!("/admin/users/{id}"))
            .await;
        assert_eq!(again["userKnown"], known, "{again}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_users_id_is_400_and_leaves_no_tombstone() {
    let world = World::new().await;
    let service = Service::start(&world).await;
    let long = format!("user_{}", "x".repeat(508));
    for id in [
        "org_1",
        "user_a%20",
        "%20",
        "user_a%0ab",
        "user_%1b%5b31mred",
        "user_%c2%85",
        &long,
    ] {
        for (method, path) in [
            (Method::DELETE, format!("/admin/users/{id}")),
            (Method::GET, format!("/admin/users/{id}")),
            (Method::GET, format!("/admin/users/{id}/erasure")),
        ] {
            let found = refusal(&service, method.clone(), &path).await;
            let expected = (
                StatusCode::BAD_REQUEST,
                "invalid-input".to_owned(),
                "userId".to_owned(),
            );
            assert_eq!(found, expected, "{method} {path}");
        }
    }
    world.expect_rows("lethe.user_tombstones", 0).await;
    let longest = &long[..512];
    let (status, _) = service
        .admin(Method::DELETE, &format!("/admin/users/{longest}"))
        .await;
    assert_eq!(status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_event_that_is_no_deletion_of_a_user_is_204_and_erases_nobody() {
    let world = World::new().await;
    world.user("user_a").await;
    let service = Service::start(&world).await;
    let events = [
        json!({"id": "user_a", "object": "organization", "deleted": true}),
        json!({"id": "user_a", "object": "user", "deleted": false}),
        json!({"id": "org_1", "object": "user", "deleted": true}),
        json!({"id": "user_a b", "object": "user", "deleted": true}),
        json!({"id": format!("user_{}", "x".repeat(600))}),
    ];
    for (number, data) in events.iter().enumerate() {
        let body = json!({"type": "user.deleted", "data": data}).to_string();
        let id = format!("msg_{number}");
        let sent = service.webhook(&id, body.into_bytes(), WEBHOOK_SECRET, now());
        assert_eq!(sent.send().await.unwrap().status(), 204, "{data}");
    }
    world.expect_rows("lethe.webhook_events", 5).await;
    world.expect_rows("lethe.user_tombstones", 0).await;
    world
        .expect_rows("public.users where deleted_at is null", 1)
        .await;
    let metrics = service.client.get(format!("{}/metrics", service.url));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    let counted = "lethe_webhook_events_total{outcome=\"not-a-user\"} 5";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_erasures_says_what_each_receipt_says() {
    let world = World::new().await;
    for user in ["user_done", "user_stuck", "user_new"] {
        world.user(user).await;
        world.sample(user, &[&format!("{user}/1")]).await;
    }
    world.s3.fail_key("user_stuck/1", "AccessDenied", None);
    for user in ["user_done", "user_stuck", "user_unknown"] {
        world.delete_user(user).await;
    }
    let worker = world.worker().await;
    world
        .until("(select count(*) from lethe.audit where event = 'user-erased') = 2")
        .await;
    world
        .until("exists (select from lethe.cleanup_tasks where status = 'dead')")
        .await;
    worker.stop().await;
    let service = Service::start(&world).await;
    let (status, _) = service.admin(Method::DELETE, "/admin/users/user_new").await;
    assert_eq!(status, 202);

    let page = service.get("/admin/erasures").await;
    let items = page["items"].as_array().unwrap();
    let users: Vec<_> = items
        .iter()
        .map(|item| item["userId"].as_str().unwrap())
        .collect();
    assert_eq!(
        users,
        ["user_new", "user_unknown", "user_stuck", "user_done"]
    );
    for item in items {
        let user = item["userId"].as_str().unwrap();
        let receipt = service.get(&format!("/admin/users/{user}/erasure")).await;
        for field in [
            "status",
            "userKnown",
            "requestedAt",
            "requestedBy",
            "completedAt",
        ] {
            assert_eq!(item[field], receipt[field], "{field} of {user}");
        }
        let task = item["taskId"].as_str().unwrap();
        let task = service.get(&format!("/admin/cleanup-tasks/{task}")).await;
        assert_eq!(
            (&task["kind"], &task["userId"]),
            (&json!("user-delete"), &json!(user))
        );
        let parts = service
            .get(&format!(
                "/admin/cleanup-tasks?parentId={}&kind=user-delete-part",
                item["taskId"].as_str().unwrap()
            ))
            .await;
        assert!(
            parts["items"]
                .as_array()
                .unwrap()
                .iter()
                .all(|part| part["parentId"] == item["taskId"]),
            "{parts}"
        );
    }
    let stuck = service.get("/admin/users/user_stuck/erasure").await;
    let parked = &stuck["parked"][0];
    assert!(parked["taskId"].is_string(), "{stuck}");
    assert_eq!(parked["errorClass"], "blocked", "{stuck}");
    assert!(parked["lastError"].is_string(), "{stuck}");

    let new = items[0]["requestedAt"].as_str().unwrap();
    for (filter, expected) in [
        ("status=incomplete".to_owned(), vec!["user_stuck"]),
        ("status=in-progress".to_owned(), vec!["user_new"]),
        (
            "status=complete".to_owned(),
            vec!["user_unknown", "user_done"],
        ),
        ("requestedBy=admin:ops".to_owned(), vec!["user_new"]),
        (format!("requestedAfter={new}"), vec!["user_new"]),
        (
            format!("requestedBefore={new}&limit=2"),
            vec!["user_unknown", "user_stuck"],
        ),
    ] {
        let page = service.get(&format!("/admin/erasures?{filter}")).await;
        let items = page["items"].as_array().unwrap();
        let users: Vec<_> = items
            .iter()
            .map(|item| item["userId"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(users, expected, "{filter}");
    }

    world
        .execute(
            "update lethe.cleanup_tasks set held_reason = 'limit' \
             where kind = 'user-delete' and user_id = 'user_new'",
        )
        .await;
    let held = service.get("/admin/erasures?status=held").await;
    assert_eq!(held["items"][0]["userId"], "user_new", "{held}");
    let receipt = service.get("/admin/users/user_new/erasure").await;
    assert_eq!(receipt["status"], "held", "{receipt}");
    let none = service.get("/admin/erasures?status=in-progress").await;
    assert_eq!(none["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_row_and_a_task_are_found_by_id_and_kind() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    world.samples("user_a", "a/more/", 3).await;
    world
        .execute("select lethe.delete_sample(id, 'test') from public.samples")
        .await;
    let service = Service::start(&world).await;
    let found = async |query: String| {
        let page = service.get(&format!("/admin/{query}")).await;
        page["items"].as_array().unwrap().len()
    };
    assert_eq!(found(format!("deleted?entityId={sample}")).await, 1);
    assert_eq!(found("deleted?entityId=user_a".to_owned()).await, 0);
    assert_eq!(found("deleted?entityId=nothing".to_owned()).await, 0);
    world.delete_user("user_a").await;
    assert_eq!(found("deleted?entityId=user_a".to_owned()).await, 1);
    assert_eq!(
        found("cleanup-tasks?kind=sample-delete".to_owned()).await,
        4
    );
    assert_eq!(found("cleanup-tasks?kind=user-delete".to_owned()).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_says_whether_it_changed_anything_and_its_body_has_no_null() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    let task = world.delete_sample(sample).await;
    let service = Service::start(&world).await;
    let path = format!("/admin/cleanup-tasks/{task}/retry");
    let request = service.request(Method::POST, &path, ADMIN_TOKEN);
    let response = request.json(&json!({"reason": "x"})).send().await.unwrap();
    assert_eq!(response.status(), 202);
    let location = format!("/admin/cleanup-tasks/{task}");
    assert_eq!(response.headers()[header::LOCATION], location.as_str());
    let pending: Value = response.json().await.unwrap();
    assert_eq!(
        (&pending["retried"], &pending["status"]),
        (&json!(false), &json!("pending"))
    );
    let all = service.request(Method::POST, "/admin/cleanup-tasks/retry", ADMIN_TOKEN);
    let (status, problem) = answer(all.json(&json!({"reason": "x", "status": null}))).await;
    assert_eq!(status, 400, "{problem}");
    assert_eq!(problem["errors"][0]["field"], "status", "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_challenged_as_rfc_6750_says() {
    let world = World::new().await;
    let service = Service::start(&world).await;
    let url = format!("{}/admin/stats", service.url);
    for (request, challenge, code) in [
        (service.client.get(&url), "Bearer", "credentials-missing"),
        (
            service.client.get(&url).bearer_auth("nonsense"),
            r#"Bearer error="invalid_token""#,
            "credentials-invalid",
        ),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], challenge);
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["code"], code, "{problem}");
    }
    let session = service.session("user_a");
    let (status, problem) = answer(service.request(Method::GET, "/admin/stats", &session)).await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (403, &json!("admin-required"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn data_are_not_cached_and_larger_answers_are_compressed() {
    let world = World::new().await;
    world.user("user_a").await;
    world.samples("user_a", "a/", 40).await;
    world
        .execute("select lethe.delete_sample(id, 'test') from public.samples")
        .await;
    let service = Service::start(&world).await;
    let ask = async |path: &str, gzip: bool| {
        let mut request = service.request(Method::GET, path, ADMIN_TOKEN);
        if gzip {
            request = request.header(header::ACCEPT_ENCODING, "gzip");
        }
        request.send().await.unwrap()
    };
    let plain = ask("/admin/audit", false).await;
    assert_eq!(plain.headers()[header::CACHE_CONTROL], "no-store");
    assert_eq!(
        plain.headers()[header::CONTENT_TYPE],
        "application/json; charset=utf-8"
    );
    let plain = plain.bytes().await.unwrap();
    let small = ask("/admin/audit", true).await;
    assert_eq!(small.headers()[header::CONTENT_ENCODING], "gzip");
    assert_eq!(small.headers()[header::CACHE_CONTROL], "no-store");
    let small = small.bytes().await.unwrap();
    assert!(
        small.len() * 3 < plain.len(),
        "{} of {}",
        small.len(),
        plain.len()
    );
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&small[..])
        .read_to_end(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, plain);

    for path in ["/docs", "/openapi.json", "/openapi.yaml"] {
        let response = ask(path, true).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(
            response.headers()[header::CONTENT_ENCODING],
            "gzip",
            "{path}"
        );
        let tag = response.headers()[header::ETAG]
            .to_str()
            .unwrap()
            .to_owned();
        let size = response.bytes().await.unwrap().len();
        assert!(size < 600_000, "{path} has {size} bytes");
        let again = service.client.get(format!("{}{path}", service.url));
        let again = again
            .header(header::ACCEPT_ENCODING, "gzip")
            .header(header::IF_NONE_MATCH, tag);
        assert_eq!(again.send().await.unwrap().status(), 304, "{path}");
    }
    let docs = ask("/docs", false).await;
    let policy = docs.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(docs.headers()["x-content-type-options"], "nosniff");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fields_of_an_answer_stand_in_the_order_of_the_document() {
    let world = World::new().await;
    world.user("user_a").await;
    let task = world.delete_user("user_a").await;
    let service = Service::start(&world).await;
    let path = format!("/admin/cleanup-tasks/{task}");
    let request = service.request(Method::GET, &path, ADMIN_TOKEN);
    let text = request.send().await.unwrap().text().await.unwrap();
    assert!(text.starts_with(r#"{"id":""#), "{text}");
    let kind = text.find(r#""kind""#);
    assert!(kind < text.find(r#""attempts""#), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reason_of_an_erasure_is_read_strictly_and_kept_in_the_audit_trail() {
    let world = World::new().await;
    world.user("user_a").await;
    let service = Service::start(&world).await;
    let erase = |query: &str, body: &'static str| {
        let path = format!("/admin/users/user_a{query}");
        let request = service.request(Method::DELETE, &path, ADMIN_TOKEN);
        match body {
            "" => request,
            body => request
                .header("content-type", "application/json")
                .body(body),
        }
    };
    let long = "x".repeat(501);
    for (query, body, field) in [
        ("", r#"{"reasn": "x"}"#, "reasn"),
        ("", "abc", "body"),
        ("", r#"["x"]"#, "body"),
        ("", r#"{"reason": 7}"#, "reason"),
        ("", r#"{"reason": null}"#, "reason"),
        ("", r#"{"reason": " "}"#, "reason"),
        ("?reason=", "", "reason"),
        (&format!("?reason={long}"), "", "reason"),
        ("?reason=one", r#"{"reason": "another"}"#, "reason"),
        ("?reasn=x", "", "reasn"),
    ] {
        let (status, problem) = answer(erase(query, body)).await;
        assert_eq!(status, 400, "{query} {body}: {problem}");
        assert_eq!(problem["errors"][0]["field"], field, "{body}: {problem}");
    }
    let (status, problem) = answer(
        erase("", "")
            .body("reason=x")
            .header("content-type", "application/x-www-form-urlencoded"),
    )
    .await;
    assert_eq!(status, 415, "{problem}");
    world.expect_rows("lethe.user_tombstones", 0).await;

    // In the query, in the body, in both, in neither; and from a terminal and by SQL.
    for (user, query, body, reason) in [
        ("user_a", "?reason=ticket%201", "", Some("ticket 1")),
        (
            "user_b",
            "",
            r#"{"reason": " ticket 2 "}"#,
            Some("ticket 2"),
        ),
        ("user_c", "?reason=x", r#"{"reason": "x"}"#, Some("x")),
        ("user_d", "", "", None),
        ("user_e", "", "{}", None),
    ] {
        let path = format!("/admin/users/{user}{query}");
        let request = service.request(Method::DELETE, &path, ADMIN_TOKEN);
        let (status, task) = answer(request.body(body)).await;
        assert_eq!(status, 202, "{task}");
        expect_reason(&service, user, reason).await;
    }
    let erased = world
        .run(&["erase", "user_f", "--yes", "--reason", "by hand"], &[])
        .await;
    assert!(erased.status.success(), "{erased:?}");
    expect_reason(&service, "user_f", Some("by hand")).await;
    world
        .execute("select lethe.delete_user('user_g', 'job:x', 'by sql')")
        .await;
    expect_reason(&service, "user_g", Some("by sql")).await;
    // The request was made before: its reason stays.
    let (status, _) = answer(erase("?reason=later", "")).await;
    assert_eq!(status, 202);
    expect_reason(&service, "user_a", Some("ticket 1")).await;
}

async fn expect_reason(service: &Service, user: &str, reason: Option<&str>) {
    let path = format!("/admin/audit?event=user-deletion-requested&userId={user}");
    let page = service.get(&path).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 1, "{page}");
    assert_eq!(page["items"][0]["detail"].as_str(), reason, "{page}");
}

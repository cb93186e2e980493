//! The queue as people see it: `lethe tasks` and the API say the same.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::service::{ADMIN_TOKEN, Service, answer};
use crate::support::world::World;

/// A world with a dead, a failed, a pending and a completed task; their ids in this order.
async fn four_tasks(world: &World) -> [i64; 4] {
    world.user("user_a").await;
    let mut tasks = [0; 4];
    for (n, task) in tasks.iter_mut().enumerate() {
        let sample = world.sample("user_a", &[&format!("k/{n}")]).await;
        *task = world.delete_sample(sample).await;
    }
    let [dead, failed, _, completed] = tasks;
    world
        .execute(&format!(
            "update lethe.cleanup_tasks set status = 'dead', attempts = 8, error_class = 'blocked', \
             last_error = 'AccessDenied: no' where id = {dead}"
        ))
        .await;
    world
        .execute(&format!(
            "update lethe.cleanup_tasks set status = 'failed', attempts = 2, error_class = 'transient', \
             last_error = 'x', scheduled_at = now() + interval '1 hour' where id = {failed}"
        ))
        .await;
    world
        .execute(&format!(
            "select lethe.finish_tasks('test', array[{completed}]::bigint[], null, null, null, null)"
        ))
        .await;
    tasks
}

/// What a command printed, with its exit code.
async fn lethe(world: &World, arguments: &[&str]) -> (i32, String, String) {
    let output = world.run(arguments, &[]).await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let code = output.status.code().unwrap();
    (code, text(&output.stdout), text(&output.stderr))
}

async fn json(world: &World, arguments: &[&str]) -> Value {
    let (code, text, error) = lethe(world, arguments).await;
    assert_eq!(code, 0, "{error}");
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_prints_exactly_what_the_api_answers() {
    let world = World::new().await;
    let [dead, ..] = four_tasks(&world).await;
    let service = Service::start(&world).await;

    let page = json(&world, &["tasks", "list", "--limit", "3", "--json"]).await;
    assert_eq!(page, service.get("/admin/cleanup-tasks?limit=3").await);
    let cursor = page["nextCursor"].as_str().unwrap();
    let rest = json(&world, &["tasks", "list", "--json", "--cursor", cursor]).await;
    let path = format!("/admin/cleanup-tasks?cursor={cursor}");
    assert_eq!(rest, service.get(&path).await);
    assert_eq!(rest["items"].as_array().unwrap().len(), 1, "{rest}");
    assert_eq!(rest.get("nextCursor"), None);

    for (flags, query) in [
        (["--status", "dead"], "status=dead"),
        (["--error-class", "transient"], "errorClass=transient"),
        (["--entity-id", "user_a"], "entityId=user_a"),
        (["--user-id", "user_b"], "userId=user_b"),
        (["--entity-type", "sample"], "entityType=sample"),
    ] {
        let listed = json(&world, &[&["tasks", "list", "--json"][..], &flags].concat()).await;
        let path = format!("/admin/cleanup-tasks?{query}");
        assert_eq!(listed, service.get(&path).await, "{query}");
    }

    let id = dead.to_string();
    let shown = json(&world, &["tasks", "show", &id, "--json"]).await;
    assert_eq!(
        shown,
        service.get(&format!("/admin/cleanup-tasks/{id}")).await
    );
    assert_eq!(shown["history"][0]["event"], "sample-deletion-requested");
    assert!(
        shown["createdAt"].as_str().unwrap().ends_with('Z'),
        "{shown}"
    );

    let stats = json(&world, &["tasks", "stats", "--json"]).await;
    let answered = service.get("/admin/stats").await;
    assert_eq!(stats["tasks"], answered["tasks"]);
    assert_eq!(stats["throughput"], answered["throughput"]);
    assert_eq!(stats["tasks"]["dead"], 1);
    let keys = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&stats), keys(&answered));
}

/// Each of 12 tasks names 2 MB of keys. A page of them all would be 24 MB.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_ends_before_its_object_keys_fill_the_memory() {
    const TASKS: i32 = 12;
    let world = World::new().await;
    world.user("user_a").await;
    world.samples("user_a", "k/", TASKS).await;
    world
        .execute("select lethe.delete_sample(id, 'test') from samples")
        .await;
    world
        .execute("update lethe.cleanup_tasks set object_keys = array_fill(repeat('k', 1000), array[2000])")
        .await;
    let service = Service::start(&world).await;
    let (mut ids, mut query) = (Vec::new(), "limit=200".to_owned());
    loop {
        let page = service.get(&format!("/admin/cleanup-tasks?{query}")).await;
        assert!(
            page.to_string().len() < 5_000_000,
            "{}",
            page.to_string().len()
        );
        let items = page["items"].as_array().unwrap();
        assert!(!items.is_empty());
        ids.extend(items.iter().map(|item| item["id"].to_string()));
        let Some(cursor) = page["nextCursor"].as_str() else {
            break;
        };
        query = format!("limit=200&cursor={cursor}");
    }
    ids.dedup();
    assert_eq!(ids.len(), TASKS as usize);
    // The terminal answers with the same pages.
    let page = json(&world, &["tasks", "list", "--limit", "200", "--json"]).await;
    assert_eq!(
        page["items"].as_array().unwrap().len(),
        2,
        "4 MiB are two of them"
    );
    assert!(page["nextCursor"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_has_the_same_rules_at_the_terminal_and_over_http() {
    let world = World::new().await;
    let [dead, failed, pending, completed] = four_tasks(&world).await;
    let service = Service::start(&world).await;
    let retry = |id: i64| {
        [
            "tasks".into(),
            "retry".into(),
            id.to_string(),
            "--reason".into(),
            "mended".into(),
        ]
    };
    for (id, code, said) in [
        (dead, 0, format!("task {dead} will be tried again now")),
        (
            pending,
            0,
            format!("task {pending} is pending; it needs no retry"),
        ),
        (
            completed,
            1,
            "error: a completed task cannot be tried again".into(),
        ),
        (4242, 1, "error: there is no task 4242".into()),
    ] {
        let arguments: [String; 5] = retry(id);
        let (ended, text, error) = lethe(&world, &arguments.each_ref().map(String::as_str)).await;
        assert_eq!((ended, format!("{text}{error}")), (code, said));
    }
    for (id, status) in [
        (failed, StatusCode::ACCEPTED),
        (pending, StatusCode::ACCEPTED),
        (completed, StatusCode::CONFLICT),
        (4242, StatusCode::NOT_FOUND),
    ] {
        let path = format!("/admin/cleanup-tasks/{id}/retry");
        let request = service.request(Method::POST, &path, ADMIN_TOKEN);
        let (answered, body) = answer(request.json(&json!({"reason": "mended"}))).await;
        assert_eq!(answered, status, "{body}");
    }
    for id in [dead, failed] {
        assert_eq!(world.status(id).await, "pending");
    }
    // An entry for each task that was changed, and none for the others.
    let actors: Vec<String> = sqlx::query_scalar(
        "select split_part(actor, ':', 1) from lethe.audit where event = 'task-retried' order by id",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    assert_eq!(actors, ["cli", "admin"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_answers_as_the_retry_would_and_changes_nothing() {
    let world = World::new().await;
    let [dead, failed, pending, completed] = four_tasks(&world).await;
    let service = Service::start(&world).await;
    let post = async |path: &str, body: Value| {
        let path = format!("/admin/cleanup-tasks/{path}");
        let request = service.request(Method::POST, &path, ADMIN_TOKEN);
        answer(request.json(&body)).await
    };
    let rows = "select string_agg(t::text, ',' order by id) from lethe.cleanup_tasks t";
    let before: String = world.one(rows).await;
    for (id, status, retried) in [
        (dead, 202, Some(true)),
        (failed, 202, Some(true)),
        (pending, 202, Some(false)),
        (completed, 409, None),
        (4242, 404, None),
    ] {
        let body = json!({"reason": "mended", "dryRun": true});
        let (answered, body) = post(&format!("{id}/retry"), body).await;
        assert_eq!(answered.as_u16(), status, "{id}: {body}");
        assert_eq!(body["retried"].as_bool(), retried, "{id}: {body}");
    }
    for (filter, retried) in [
        (json!({}), 2),
        (json!({"status": "dead"}), 1),
        (json!({"status": "pending"}), 0),
        (json!({"kind": "sample-delete"}), 2),
        (json!({"kind": "user-delete"}), 0),
        (json!({"parentId": dead.to_string()}), 0),
    ] {
        let mut body = json!({"reason": "mended", "dryRun": true});
        body.as_object_mut()
            .unwrap()
            .extend(filter.as_object().unwrap().clone());
        let (answered, body) = post("retry", body).await;
        assert_eq!(
            (answered.as_u16(), &body["retried"]),
            (202, &json!(retried))
        );
    }
    let id = dead.to_string();
    let dry = |arguments: &[&'static str]| {
        [
            &["tasks", "retry", "--reason", "mended", "--dry-run"],
            arguments,
        ]
        .concat()
    };
    let (code, text, error) = lethe(&world, &[&dry(&[])[..], &[&id]].concat()).await;
    let told = format!("task {dead} would be tried again; nothing was changed");
    assert_eq!((code, text), (0, told), "{error}");
    let (code, text, error) = lethe(&world, &dry(&["--all-dead"])).await;
    let told = "1 tasks would be tried again; nothing was changed";
    assert_eq!((code, text.as_str()), (0, told), "{error}");

    assert_eq!(world.one::<String>(rows).await, before);
    world
        .expect_rows("lethe.audit where event = 'task-retried'", 0)
        .await;

    for (fault, field) in [
        (json!({"dryRun": "yes"}), "dryRun"),
        (json!({"dryRun": null}), "dryRun"),
        (json!({"parentId": 7}), "parentId"),
        (json!({"parentId": "-7"}), "parentId"),
        (json!({"kind": "sample"}), "kind"),
    ] {
        let mut body = json!({"reason": "mended"});
        body.as_object_mut()
            .unwrap()
            .extend(fault.as_object().unwrap().clone());
        let (answered, problem) = post("retry", body).await;
        assert_eq!(answered.as_u16(), 400, "{fault}: {problem}");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_at_the_terminal_prints_the_json_of_the_api() {
    let world = World::new().await;
    let [dead, _, pending, _] = four_tasks(&world).await;
    let service = Service::start(&world).await;
    let [dead, pending] = [dead, pending].map(|id| id.to_string());
    let retry = |arguments: &[&'static str]| {
        [
            &["tasks", "retry", "--reason", "mended", "--json"],
            arguments,
        ]
        .concat()
    };
    for dry_run in [true, false] {
        let flags: &[&str] = if dry_run { &["--dry-run"] } else { &[] };
        let printed = json(&world, &[&retry(flags)[..], &[&dead]].concat()).await;
        assert_eq!(printed["retried"], true, "{printed}");
        assert_eq!(printed["id"], dead.as_str(), "{printed}");
        assert_eq!(
            printed["status"],
            if dry_run { "dead" } else { "pending" },
            "{printed}"
        );
    }
    let path = format!("/admin/cleanup-tasks/{pending}/retry");
    let request = service.request(Method::POST, &path, ADMIN_TOKEN);
    let (_, answered) = answer(request.json(&json!({"reason": "mended"}))).await;
    let printed = json(&world, &[&retry(&[])[..], &[&pending]].concat()).await;
    assert_eq!(printed, answered);
    // A document for each task.
    let (code, text, error) = lethe(&world, &[&retry(&[])[..], &[&pending, &dead]].concat()).await;
    assert_eq!(code, 0, "{error}");
    let documents: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&text)
        .into_iter()
        .collect();
    assert_eq!(documents.unwrap().len(), 2, "{text}");
    let printed = json(&world, &retry(&["--all-dead"])).await;
    assert_eq!(printed, json!({"retried": 0}));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_dead_tasks_are_retried_and_no_other() {
    let world = World::new().await;
    let [dead, failed, ..] = four_tasks(&world).await;
    world.samples("user_a", "many/", 1500).await;
    world
        .execute("select lethe.delete_sample(id, 'sql:test') from samples where deleted_at is null")
        .await;
    world
        .execute(
            "update lethe.cleanup_tasks set status = 'dead', error_class = 'blocked', last_error = 'x' \
             where id > (select max(id) - 1500 from lethe.tasks)",
        )
        .await;
    let arguments = ["tasks", "retry", "--all-dead", "--reason", "mended"];
    let (code, text, error) = lethe(&world, &arguments).await;
    assert_eq!(
        (code, text.as_str()),
        (0, "1501 tasks will be tried again now"),
        "{error}"
    );
    assert_eq!(world.status(dead).await, "pending");
    assert_eq!(world.status(failed).await, "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_no_calendar_has_are_listed_and_break_nothing() {
    let world = World::new().await;
    let [dead, failed, ..] = four_tasks(&world).await;
    for (id, time) in [(dead, "infinity"), (failed, "-infinity")] {
        world
            .execute(&format!(
                "update lethe.cleanup_tasks set scheduled_at = '{time}' where id = {id}"
            ))
            .await;
    }
    let service = Service::start(&world).await;
    let page = service.get("/admin/cleanup-tasks").await;
    let scheduled = |id: i64| {
        let items = page["items"].as_array().unwrap();
        let task = items
            .iter()
            .find(|task| task["id"].as_str() == Some(id.to_string().as_str()));
        task.unwrap()["scheduledAt"].as_str().unwrap().to_owned()
    };
    assert_eq!(scheduled(dead), "9999-12-31T23:59:59.999999Z");
    assert_eq!(scheduled(failed), "0001-01-01T00:00:00Z");
    let (code, text, error) = lethe(&world, &["tasks", "list"]).await;
    assert_eq!(code, 0, "{error}");
    assert!(text.contains("9999-12-31T23:59:59Z"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_at_the_terminal_are_named() {
    let world = World::new().await;
    for (arguments, code, said) in [
        (vec!["tasks", "show", "7"], 1, "there is no task 7"),
        (vec!["tasks", "show", "x"], 2, "is not a task's id"),
        (
            vec!["tasks", "list", "--cursor", "x"],
            2,
            "the cursor is not one",
        ),
        (vec!["tasks", "list", "--limit", "201"], 2, "1..=200"),
        (
            vec!["tasks", "list", "--entity-type", "zz"],
            2,
            "--entity-type must be one of user, collection, sample, sample-image",
        ),
        (vec!["deleted", "--entity-type", "zz"], 2, "sample-image"),
        (vec!["audit", "--entity-type", "zz"], 2, "sample-image"),
        (
            vec!["tasks", "list", "--status", "finished"],
            2,
            "possible values: pending",
        ),
        (
            vec!["tasks", "retry", "1", "--reason", " "],
            2,
            "1 to 500 characters",
        ),
    ] {
        let (ended, _, error) = lethe(&world, &arguments).await;
        assert_eq!(ended, code, "{error}");
        assert!(error.contains(said), "{error}");
    }
    let world = World::unmigrated().await;
    let (code, _, error) = lethe(&world, &["tasks", "stats"]).await;
    assert_eq!(
        (code, error.as_str()),
        (
            1,
            "error: the database is not migrated; run `lethe migrate`"
        )
    );
}

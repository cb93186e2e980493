//! `GET /admin/users/{userId}/plan`: what an erasure would do, and with which rights it is found out.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::check::role_of_the_file;
use crate::support::service::Service;
use crate::support::world::World;

const PATH: &str = "/admin/users/user_a/plan";

/// One user's rows of every type, another's rows beside them, and an object that both name.
async fn two_users(world: &World) {
    world.user("user_a").await;
    world.user("user_b").await;
    world
        .sample("user_a", &["a/1", "both/1", "https://elsewhere.example/1"])
        .await;
    let deleted = world.sample("user_a", &["a/2"]).await;
    world
        .execute(&format!(
            "update samples set deleted_at = now() where id = '{deleted}'"
        ))
        .await;
    let beside = world.sample("user_b", &["both/1", "b/1"]).await;
    // In the collection of user_a: the row of user_b stays and leaves the collection.
    world
        .execute(&format!(
            "update samples set collection_id = (select id from collections where user_id = 'user_a') where id = '{beside}'"
        ))
        .await;
}

fn expected() -> Value {
    json!({
        "rows": [
            {"type": "collection", "action": "delete", "rows": 1, "keys": 0},
            {"type": "sample", "action": "delete", "rows": 2, "keys": 0},
            {"type": "sample", "action": "detach", "rows": 1, "keys": 0},
            {"type": "sample-image", "action": "delete", "rows": 4, "keys": 3},
            {"type": "user", "action": "delete", "rows": 1, "keys": 0},
        ],
        "kept": [],
        "objects": {"delete": 2, "shared": 1, "foreign": 1, "outside": []},
    })
}

fn empty() -> Value {
    json!({
        "rows": [],
        "kept": [],
        "objects": {"delete": 0, "shared": 0, "foreign": 0, "outside": []},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_says_what_goes_and_what_stays_and_is_what_the_command_prints() {
    let world = World::new().await;
    two_users(&world).await;
    let service = Service::start(&world).await;
    assert_eq!(service.get(PATH).await, expected());
    let printed = world.run(&["map", "plan", "user_a"], &[]).await;
    let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(printed, expected());
    // Nothing has changed.
    world.expect_rows("lethe.cleanup_tasks", 0).await;
    world.expect_rows("lethe.user_tombstones", 0).await;

    let nobody = service.get("/admin/users/user_of_nobody/plan").await;
    assert_eq!(nobody, empty());
    for id in ["org_1", "'", "user_a%20b"] {
        let (status, problem) = service
            .admin(Method::GET, &format!("/admin/users/{id}/plan"))
            .await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{id}: {problem}");
        assert_eq!(problem["errors"][0]["field"], "userId", "{id}: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_rights_of_serve_suffice_even_where_nobody_may_make_temporary_objects() {
    let world = World::new().await;
    two_users(&world).await;
    let role = role_of_the_file(&world, "lethe_serve").await;
    let database: String = world.one("select current_database()::text").await;
    world
        .execute(&format!(
            "revoke temporary on database {database} from public"
        ))
        .await;
    let may: bool = world
        .one(&format!(
            "select has_database_privilege('{}', current_database(), 'temporary')",
            role.name
        ))
        .await;
    assert!(!may, "the role may make temporary objects");
    let as_role = [("DATABASE_URL", role.url.as_str())];
    let service = Service::start_with(&world, &as_role).await;
    assert_eq!(service.get(PATH).await, expected());
    let printed = world.run(&["map", "plan", "user_a"], &as_role).await;
    let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(printed, expected());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_cannot_be_had_says_why() {
    let world = World::new().await;
    two_users(&world).await;
    let role = role_of_the_file(&world, "lethe_serve").await;
    let service = Service::start_with(&world, &[("DATABASE_URL", role.url.as_str())]).await;
    let refused = async |about: &str| {
        let (status, problem) = service.admin(Method::GET, PATH).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(about), "{detail}");
    };
    // Rows that the role does not see are an error, and not missing in the plan.
    world
        .execute("alter table samples enable row level security")
        .await;
    refused("lacks a right: run `lethe check`").await;
    world
        .execute("alter table samples disable row level security")
        .await;
    world
        .execute("revoke select on sample_images from lethe_serve")
        .await;
    refused("lacks a right: run `lethe check`").await;
    world
        .execute("alter table sample_images rename column object_key to object_path")
        .await;
    refused("run `lethe map check`").await;
    world
        .execute("alter table sample_images rename column object_path to object_key")
        .await;
    world
        .execute("grant select on sample_images to lethe_serve")
        .await;
    assert_eq!(service.get(PATH).await, expected());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_map_is_shown_with_what_its_gate_says_of_the_database() {
    let world = World::new().await;
    let role = role_of_the_file(&world, "lethe_serve").await;
    let service = Service::start_with(&world, &[("DATABASE_URL", role.url.as_str())]).await;
    let map = service.get("/admin/map").await;
    assert_eq!(map["result"], "complete", "{map}");
    assert_eq!(map["database"]["role"], role.name, "{map}");
    assert_eq!(
        map["tables"],
        json!([
            {"type": "user", "table": "public.users"},
            {"type": "collection", "table": "public.collections"},
            {"type": "sample", "table": "public.samples"},
            {"type": "sample-image", "table": "public.sample_images"},
        ])
    );
    assert_eq!(map["buckets"], json!([{"alias": "main"}]));
    world
        .execute("create table public.comments (id int primary key, author_id text references public.users)")
        .await;
    let map = service.get("/admin/map").await;
    assert_eq!(map["result"], "found", "{map}");
    assert_eq!(map["database"]["tables"], 5, "{map}");
    let found = &map["findings"][0];
    assert_eq!(
        (&found["severity"], &found["code"], &found["place"]),
        (
            &json!("incomplete"),
            &json!("no-rule"),
            &json!("comments.author_id")
        ),
        "{map}"
    );
}

//! The roles that `lethe map grants` makes: its text is pasted, and the real processes work with nothing else.

use std::time::Instant;

use lethe::map::format::ErasureMap;
use lethe::map::plan;
use lethe::schema::needs;
use lethe::vocabulary::ProcessRole;
use reqwest::Method;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::database::USER_A;
use super::story::{PROJECT_A, PROJECT_B, acme};
use crate::check::{Role, role_without_rights, service_is_ready};
use crate::support::service::{Service, WEBHOOK_SECRET, answer};
use crate::support::world::{Log, PATIENCE, World};

/// Three roles with exactly the rights that `lethe map grants` prints.
pub struct GrantedRoles {
    pub worker: Role,
    pub serve: Role,
    pub application: Role,
}

impl GrantedRoles {
    /// Takes the right to use schema public away from everybody, makes the roles, and runs what the command prints for the map
    /// that the database has.
    pub async fn new(world: &World) -> Self {
        world
            .execute("revoke all on schema public from public")
            .await;
        let roles = Self {
            worker: role_without_rights(world).await,
            serve: role_without_rights(world).await,
            application: role_without_rights(world).await,
        };
        let arguments = [
            "map",
            "grants",
            "--worker",
            &roles.worker.name,
            "--serve",
            &roles.serve.name,
            "--application",
            &roles.application.name,
        ];
        let output = world.run(&arguments, &[]).await;
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let pasted = sqlx::raw_sql(AssertSqlSafe(text.clone()))
            .execute(&world.pool)
            .await;
        pasted.unwrap_or_else(|error| panic!("{error}:\n{text}"));
        roles
    }

    /// `lethe check --role` finds that each of both has the rights that it needs, and no other.
    pub async fn expect_fine(&self, world: &World, given: &[(&str, &str)]) {
        const KEY: &str = include_str!("../fixtures/session-key.pub.pem");
        let clerk = [
            ("CLERK_WEBHOOK_SIGNING_SECRET", WEBHOOK_SECRET),
            ("CLERK_JWT_KEY", KEY),
        ];
        for (role, process) in [(&self.serve, "serve"), (&self.worker, "worker")] {
            let url = [("DATABASE_URL", role.url.as_str())];
            let environment = [&url, given, &clerk].concat();
            let output = world
                .run(&["check", "--role", process, "--json"], &environment)
                .await;
            let found: Value = serde_json::from_slice(&output.stdout)
                .unwrap_or_else(|error| panic!("{error}: {output:?}"));
            assert_eq!(found["ok"], true, "{process}: {found:#}");
            for name in ["rights", "surplus rights", "erasure map"] {
                let mut findings = found["findings"].as_array().unwrap().iter();
                let one = findings.find(|one| one["name"] == name).unwrap();
                assert_eq!(one["result"], "ok", "{process}: {one:#}");
            }
        }
    }
}

/// Waits until a worker that shows its health at this address is ready.
pub async fn until_ready(address: &str) {
    let url = format!("http://{address}/health/ready");
    let started = Instant::now();
    loop {
        match reqwest::get(&url).await {
            Ok(answer) if answer.status().is_success() => return,
            answer => assert!(started.elapsed() < PATIENCE, "{answer:?}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// A free address of this machine.
pub fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_paste_makes_the_roles_of_the_built_in_map() {
    let world = World::new().await;
    let roles = GrantedRoles::new(&world).await;
    world.user("user_a").await;
    let collection = world.user("user_b").await;
    world.samples("user_a", "a/", 3).await;
    let deleted = world.sample("user_b", &["b/1"]).await;
    let restored = world.sample("user_b", &["b/2"]).await;
    let by_application = world.sample("user_b", &["b/3"]).await;
    // A sample of another user in a collection of the one who goes.
    let own: uuid::Uuid = world
        .one("select id from collections where user_id = 'user_a'")
        .await;
    world
        .execute(&format!(
            "update samples set collection_id = '{own}' where id = '{restored}'"
        ))
        .await;
    let as_serve = [
        ("DATABASE_URL", roles.serve.url.as_str()),
        ("CLEANUP_GRACE_PERIOD_MS", "3600000"),
    ];
    let service = Service::start_with(&world, &as_serve).await;
    service_is_ready(&service).await;
    let address = free_address();
    let as_worker = [
        ("DATABASE_URL", roles.worker.url.as_str()),
        ("METRICS_ADDR", &address),
        ("RECONCILE_INTERVAL_MS", "300"),
    ];
    let log = Log::new();
    let _worker = world.logged(&["worker"], &as_worker, &log);
    until_ready(&address).await;

    let (status, body) = answer(service.user_deleted("m1", "user_a")).await;
    assert_eq!(status, 204, "{body}");
    for sample in [deleted, restored] {
        let path = format!("/samples/{sample}");
        let (status, body) = service.admin(Method::DELETE, &path).await;
        assert_eq!(status, 202, "{body}");
    }
    let path = format!("/samples/{restored}/restore");
    let (status, body) = service.admin(Method::POST, &path).await;
    assert!(status.is_success(), "{status} {body}");
    let mut application = PgConnection::connect(&roles.application.url).await.unwrap();
    let call = format!("select lethe.delete_sample('{by_application}', 'job:test')");
    sqlx::query(AssertSqlSafe(call))
        .execute(&mut application)
        .await
        .unwrap();

    world
        .until("(select count(*) = 1 from lethe.cleanup_tasks)")
        .await;
    let receipt = service.get("/admin/users/user_a/erasure").await;
    assert_eq!(receipt["status"], "complete", "{receipt}");
    world
        .expect_rows(
            "samples where deleted_at is null and collection_id is null",
            1,
        )
        .await;
    world
        .expect_rows(&format!("collections where id = '{collection}'"), 1)
        .await;
    assert_eq!(world.s3.keys(), ["b/1", "b/2"]);
    assert!(!log.text().contains("permission denied"), "{}", log.text());
    roles.expect_fine(&world, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_paste_makes_the_roles_of_a_map_of_ones_own() {
    let (application, file) = acme().await;
    let world = &application.world;
    let roles = GrantedRoles::new(world).await;
    let given = [("ERASURE_MAP", file.path())];
    let as_serve = [
        &given[..],
        &[
            ("DATABASE_URL", roles.serve.url.as_str()),
            ("CLEANUP_GRACE_PERIOD_MS", "3600000"),
        ],
    ];
    world
        .execute(&format!(
            "insert into \"Asset\" (\"projectId\", number, keys) select '{PROJECT_B}', n, array['assets/b' || n] from generate_series(2, 3) n"
        ))
        .await;
    world.s3.put("assets/b2");
    world.s3.put("assets/b3");
    let service = Service::start_with(world, &as_serve.concat()).await;
    service_is_ready(&service).await;
    let address = free_address();
    let as_worker = [
        ("ERASURE_MAP", file.path()),
        ("DATABASE_URL", roles.worker.url.as_str()),
        ("METRICS_ADDR", &address),
        ("RECONCILE_INTERVAL_MS", "300"),
    ];
    let log = Log::new();
    let _worker = world.logged(&["worker"], &as_worker, &log);
    until_ready(&address).await;

    for number in [2, 3] {
        let path = format!("/entities/asset/{PROJECT_B}~{number}");
        let (status, body) = service.admin(Method::DELETE, &path).await;
        assert_eq!(status, 202, "{body}");
    }
    let path = format!("/entities/asset/{PROJECT_B}~2/restore");
    let (status, body) = service.admin(Method::POST, &path).await;
    assert_eq!(status, 200, "{body}");
    let mut sql = PgConnection::connect(&roles.application.url).await.unwrap();
    let call = format!("select lethe.delete('asset', '[\"{PROJECT_A}\", \"2\"]', 'job:test')");
    sqlx::query(AssertSqlSafe(call))
        .execute(&mut sql)
        .await
        .unwrap();
    world
        .until(&format!(
            "not exists (select from \"Asset\" where \"projectId\" = '{PROJECT_A}' and number = 2)"
        ))
        .await;
    let (status, body) = answer(service.user_deleted("m1", USER_A)).await;
    assert_eq!(status, 204, "{body}");
    world
        .until("(select count(*) = 1 from lethe.cleanup_tasks)")
        .await;
    let receipt = service.get(&format!("/admin/users/{USER_A}/erasure")).await;
    assert_eq!(receipt["status"], "complete", "{receipt}");
    world
        .expect_rows("\"Asset\" where \"deletedAt\" is null", 2)
        .await;
    assert!(!log.text().contains("permission denied"), "{}", log.text());
    roles.expect_fine(world, &given).await;

    // A right that is missing is found, whether it is one on a table or on columns.
    for right in [
        "delete on \"Project\"",
        "update (\"deletedAt\") on \"User\"",
    ] {
        let name = &roles.worker.name;
        world.execute(&format!("revoke {right} from {name}")).await;
        let more = [("DATABASE_URL", roles.worker.url.as_str())];
        let output = world.run(&["check", "--role", "worker"], &more).await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!output.status.success(), "{right}: {text}");
        let (privilege, table) = right.split_once(" on ").unwrap();
        let found = crate::check::row(&text, "rights")[2].clone();
        assert!(
            found.contains(&format!("{privilege} on public.{table}")),
            "{right}: {text}"
        );
        world.execute(&format!("grant {right} to {name}")).await;
    }
}

/// What readiness knows of the built-in map without asking the catalog is what `lethe map grants` finds there.
#[tokio::test(flavor = "multi_thread")]
async fn the_listed_rights_of_the_built_in_map_are_those_that_are_printed() {
    let world = World::new().await;
    let mut connection = PgConnection::connect(&world.url).await.unwrap();
    let map = ErasureMap::built_in().unwrap();
    let rights = plan::rights(&mut connection, &map).await.unwrap();
    let tables = needs::BUILT_IN_TABLES.iter();
    let tables: Vec<String> = tables.map(|need| need.table.to_owned()).collect();
    for (role, printed) in [
        (ProcessRole::Serve, &rights.serve),
        (ProcessRole::Worker, &rights.worker),
    ] {
        let listed = needs::application_rights(&[role], &tables);
        let mut listed: Vec<String> = listed.iter().map(ToString::to_string).collect();
        let mut found = Vec::new();
        for right in printed {
            match right.columns.is_empty() {
                true => found.push(format!("{} on {}", right.privilege, right.table)),
                false => found.extend(right.columns.iter().map(|(_, column)| {
                    format!("{} ({column}) on {}", right.privilege, right.table)
                })),
            }
        }
        listed.sort();
        found.sort();
        assert_eq!(listed, found, "{role:?}");
    }
}

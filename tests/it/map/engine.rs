//! The engine on the fourteen shapes: what an erasure does is what its plan says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::database::{Application, USER_A, parse};
use super::shapes::{SHAPES, read};
use lethe::map::apply::apply;

impl Application {
    /// Applies the migrations and a map.
    pub async fn apply(&self, toml: &str) {
        let mut connection = self.connection().await;
        lethe::schema::MIGRATOR.run(&mut connection).await.unwrap();
        let applied = apply(&mut connection, &parse(toml), toml, false).await;
        applied.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Waits until no task is left but dead ones and the roots that wait for these.
    pub async fn until_settled(&self) {
        self.world
            .until(
                "not exists (select from lethe.cleanup_tasks t where t.status <> 'dead'
                     and not (t.phase = 'parts' and t.scheduled_at > now() + interval '10 s' and exists (
                         select from lethe.cleanup_tasks p where p.parent_id = t.id and p.status = 'dead')))",
            )
            .await;
    }
}

/// Rows by type of one action of a plan.
fn rows(plan: &Value, action: &str) -> BTreeMap<String, i64> {
    let rows = plan["rows"].as_array().unwrap().iter();
    rows.filter(|row| row["action"] == action)
        .map(|row| {
            (
                row["type"].as_str().unwrap().to_owned(),
                row["rows"].as_i64().unwrap(),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_does_what_its_plan_says() {
    for shape in SHAPES {
        does_what_its_plan_says(shape).await;
    }
}

async fn does_what_its_plan_says(shape: &str) {
    let application = Application::new(&read(shape, "sql")).await;
    let toml = read(shape, "toml");
    let map = parse(&toml);
    application.apply(&toml).await;
    let plan = application.plan(&map, USER_A).await;
    let world = &application.world;
    world.delete_user(USER_A).await;
    let worker = world.worker().await;
    application.until_settled().await;

    let asked: BTreeSet<String> = world.s3.asked().into_iter().flatten().collect();
    let objects = &plan["objects"];
    assert_eq!(
        asked.len() as i64,
        objects["delete"].as_i64().unwrap(),
        "{shape}: {asked:?} {plan:#}"
    );
    for outside in objects["outside"].as_array().unwrap() {
        assert!(
            !asked.contains(outside.as_str().unwrap()),
            "{shape}: {outside}"
        );
    }
    let after = application.plan(&map, USER_A).await;
    if objects["outside"].as_array().unwrap().is_empty() {
        assert_eq!(world.count("lethe.cleanup_tasks").await, 0, "{shape}");
        let (deleted, kept): (Value, Value) =
            sqlx::query_as("select rows_deleted, rows_kept from lethe.receipts where user_id = $1")
                .bind(USER_A)
                .fetch_one(&world.pool)
                .await
                .unwrap();
        let deleted: BTreeMap<String, i64> = serde_json::from_value(deleted).unwrap();
        assert_eq!(deleted, rows(&plan, "delete"), "{shape}: {plan:#}");
        assert_eq!(kept, plan["kept"], "{shape}");
        assert_eq!(
            rows(&after, "delete"),
            BTreeMap::new(),
            "{shape}: {after:#}"
        );
        assert_eq!(
            rows(&after, "detach"),
            BTreeMap::new(),
            "{shape}: {after:#}"
        );
    } else {
        let dead: i64 = world
            .count("lethe.cleanup_tasks where is_dead and last_error like '%outside of what%'")
            .await;
        assert!(dead > 0, "{shape}");
    }
    worker.stop().await;
}

//! The store's room against a server that misbehaves.

use lethe::storage::{FailureClass, KeyOutcome, Store};

use crate::support::world::World;

fn keys(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

fn class(outcome: &KeyOutcome) -> Option<FailureClass> {
    match outcome {
        KeyOutcome::Gone => None,
        KeyOutcome::Failed(failure) => Some(failure.class),
    }
}

async fn store(world: &World) -> Store {
    Store::connect(world.store_config()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_name_a_key_is_no_success_for_it() {
    let world = World::new().await;
    world.s3.omit_key("b", 1);
    let found = store(&world).await.delete(&keys(&["a", "b", "c"])).await;
    let classes: Vec<_> = found.outcomes.iter().map(class).collect();
    assert_eq!(classes, [None, Some(FailureClass::Transient), None]);
    world.s3.empty_next(1);
    let found = store(&world).await.delete(&keys(&["a", "b"])).await;
    assert!(
        found
            .outcomes
            .iter()
            .all(|o| class(o) == Some(FailureClass::Transient))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_key_of_a_thousand_is_isolated_in_few_requests() {
    for (code, expected) in [
        ("MalformedXML", FailureClass::Permanent),
        ("AccessDenied", FailureClass::Blocked),
    ] {
        let world = World::new().await;
        let asked: Vec<String> = (0..1_000).map(|n| format!("k{n}")).collect();
        world.s3.poison("k777", code);
        let found = store(&world).await.delete(&asked).await;
        for (key, outcome) in asked.iter().zip(&found.outcomes) {
            assert_eq!(class(outcome), (key == "k777").then_some(expected), "{key}");
        }
        // 2·log2(1000) + 2 further ones, after the first.
        assert!(
            world.s3.asked().len() <= 1 + 22,
            "{}",
            world.s3.asked().len()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_refuses_everything_is_an_outage_not_a_blocked_key() {
    let world = World::new().await;
    world.s3.fail_requests(403, "AccessDenied", 1_000);
    let found = store(&world).await.delete(&keys(&["a"])).await;
    assert_eq!(class(&found.outcomes[0]), Some(FailureClass::Outage));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_reached_is_an_outage() {
    let world = World::new().await;
    let mut config = world.store_config();
    config.endpoint = Some("http://127.0.0.1:9".into());
    let found = Store::connect(config).await.delete(&keys(&["a"])).await;
    assert_eq!(
        class(&found.outcomes[0]),
        Some(FailureClass::Outage),
        "{:?}",
        found.outcomes
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_multi_delete_is_served_key_by_key() {
    let world = World::new().await;
    world.s3.put("a");
    world.s3.put("b");
    world.s3.fail_requests(501, "NotImplemented", 1_000);
    let found = store(&world).await.delete(&keys(&["a", "b"])).await;
    assert!(
        found
            .outcomes
            .iter()
            .all(|outcome| class(outcome).is_none()),
        "{:?}",
        found.outcomes
    );
    assert!(world.s3.keys().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_and_marker_of_exactly_the_key_goes() {
    let world = World::new().await;
    world.s3.keep_versions();
    for key in ["a", "a", "ab", "b\u{1}"] {
        world.s3.put(key);
    }
    let found = store(&world).await.delete(&keys(&["a"])).await;
    assert!(class(&found.outcomes[0]).is_none(), "{:?}", found.outcomes);
    assert_eq!(world.s3.keys(), ["ab", "b\u{1}"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_name_nothing_are_refused_without_a_request() {
    let world = World::new().await;
    let found = store(&world)
        .await
        .delete(&keys(&["", &"é".repeat(513)]))
        .await;
    assert!(
        found
            .outcomes
            .iter()
            .all(|o| class(o) == Some(FailureClass::Permanent))
    );
    assert!(world.s3.asked().is_empty());
}

//! `lethe erase`, `receipt`, `audit`, `deleted` and `completions`: the main job and its evidence from a terminal.

use serde_json::Value;

use crate::support::service::Service;
use crate::support::world::World;

/// What a command printed, with its exit code.
async fn lethe(world: &World, arguments: &[&str]) -> (i32, String, String) {
    let output = world.run(arguments, &[("USER", "alice")]).await;
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
async fn a_user_is_erased_from_a_terminal_only_after_a_confirmation() {
    let world = World::new().await;
    world.user("user_a").await;
    world.sample("user_a", &["a/1"]).await;
    let (code, _, error) = lethe(&world, &["erase", "user_a"]).await;
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("nothing was erased"), "{error}");
    for line in [
        "1     collection    delete  0",
        "1     sample        delete  0",
        "1     sample-image  delete  1",
        "1     user          delete  0",
        "Objects: 1 to delete, 0 shared with live rows stay, 0 at foreign URLs stay",
    ] {
        assert!(error.contains(line), "{line} is not in: {error}");
    }
    world.expect_rows("lethe.user_tombstones", 0).await;
    let (_, _, error) = lethe(&world, &["erase", "user_typo"]).await;
    assert!(error.contains("No row would be changed."), "{error}");
    assert!(error.contains("Nobody knows this user"), "{error}");
    let (code, _, error) = lethe(&world, &["erase", "org_1", "--yes"]).await;
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("does not allow org_1"), "{error}");
    let (code, _, error) = lethe(&world, &["receipt", "user_a"]).await;
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("never asked for"), "{error}");

    let task = json(&world, &["erase", "user_a", "--yes", "--json"]).await;
    assert_eq!(task["kind"], "user-delete", "{task}");
    assert_eq!(task["userKnown"], true, "{task}");
    world
        .expect_rows("lethe.user_tombstones where deleted_by = 'cli:alice'", 1)
        .await;
    let (_, text, _) = lethe(&world, &["erase", "user_typo", "--yes"]).await;
    assert!(text.contains("there is no such user"), "{text}");
    let (_, text, _) = lethe(&world, &["receipt", "user_a"]).await;
    assert!(text.contains("in-progress"), "{text}");
    let worker = world.worker().await;
    world
        .until("(select count(*) from lethe.audit where event = 'user-erased') = 2")
        .await;
    worker.stop().await;
    let (_, text, _) = lethe(&world, &["receipt", "user_a"]).await;
    assert!(text.contains("complete"), "{text}");
    assert!(text.contains("1 deleted, 0 kept"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_is_printed_as_json_exactly_as_the_api_answers() {
    let world = World::new().await;
    world.user("user_a").await;
    world.samples("user_a", "a/", 3).await;
    world
        .execute("select lethe.delete_sample(id, 'test') from public.samples")
        .await;
    world.delete_user("user_b").await;
    let service = Service::start(&world).await;
    for (arguments, path) in [
        (
            &["receipt", "user_b", "--json"][..],
            "/admin/users/user_b/erasure",
        ),
        (
            &["audit", "--json", "--limit", "2", "--actor", "test"],
            "/admin/audit?limit=2&actor=test",
        ),
        (
            &["deleted", "--json", "--limit", "2", "--user-id", "user_a"],
            "/admin/deleted?limit=2&userId=user_a",
        ),
    ] {
        let answer = service.get(path).await;
        assert_eq!(json(&world, arguments).await, answer, "{arguments:?}");
        if let Some(cursor) = answer["nextCursor"].as_str() {
            let more = [arguments, &["--cursor", cursor]].concat();
            let next = service.get(&format!("{path}&cursor={cursor}")).await;
            assert_eq!(json(&world, &more).await, next, "{more:?}");
            let (code, _, error) = lethe(&world, &["tasks", "list", "--cursor", cursor]).await;
            assert_eq!(code, 2, "{error}");
            assert!(error.contains("this list gave out"), "{error}");
        }
    }
    let (_, text, _) = lethe(&world, &["audit", "--limit", "1"]).await;
    assert!(text.contains("user-deletion-requested by"), "{text}");
    assert!(text.contains("There are more: add --cursor"), "{text}");
    let (_, text, _) = lethe(&world, &["deleted", "--entity-type", "user"]).await;
    assert_eq!(text, "nothing is deleted and waiting");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shell_gets_completions_with_the_commands() {
    let world = World::unmigrated().await;
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, text, error) = lethe(&world, &["completions", shell]).await;
        assert_eq!(code, 0, "{error}");
        assert!(text.contains("reconcile"), "{shell}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_name_in_the_environment_the_name_of_the_process_is_recorded() {
    let world = World::new().await;
    let name = std::process::Command::new("id")
        .arg("-un")
        .output()
        .unwrap();
    let name = String::from_utf8(name.stdout).unwrap();
    let name = name.trim();
    for (environment, actor) in [
        (&[][..], name),
        (&[("USER", " ")], name),
        (&[("LOGNAME", "bob")], "bob"),
        (&[("USER", "alice"), ("LOGNAME", "bob")], "alice"),
    ] {
        let paused = world.run(&["pause", "--reason", "x"], environment).await;
        assert!(paused.status.success(), "{paused:?}");
        world
            .expect_rows(
                &format!("lethe.settings where paused_by = 'cli:{actor}'"),
                1,
            )
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_says_why_the_database_cannot_be_reached() {
    let world = World::unmigrated().await;
    let away = [("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")];
    for arguments in [
        &["erase", "user_a", "--yes"][..],
        &["erase", "user_a"],
        &["receipt", "user_a"],
        &["audit"],
        &["deleted"],
        &["reconcile"],
        &["reconcile", "--apply"],
        &["receipts", "replay", "-"],
        &["tasks", "list"],
        &["pause", "--reason", "x"],
    ] {
        let output = world.run(arguments, &away).await;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        assert!(
            error.contains("cannot connect to the database") && error.contains("refused"),
            "{arguments:?}: {error}"
        );
    }
}

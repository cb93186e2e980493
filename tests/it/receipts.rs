//! Signed receipts: sealed by workers, verified from an export without a database, replayed after a restore.

use std::path::PathBuf;

use lethe::receipts::key::SigningKey;
use lethe::receipts::seal::seal_all;
use lethe::receipts::verify::Verification;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::service::Service;
use crate::support::world::World;

/// Of RFC 8410, section 10.3.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\\n-----END PRIVATE KEY-----";

/// A file that goes with the test.
struct TempFile(PathBuf);

impl TempFile {
    fn new(text: &str) -> Self {
        let name = format!("lethe-receipts-{}", Uuid::new_v4().simple());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What `lethe receipts <arguments>` printed, with its exit code.
async fn receipts(world: &World, arguments: &[&str], more: &[(&str, &str)]) -> (i32, String) {
    let output = world
        .run(&[&["receipts"][..], arguments].concat(), more)
        .await;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.code().unwrap(), text)
}

async fn export(world: &World) -> String {
    let output = world.run(&["receipts", "export"], &[]).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Users with objects, erased to the end by a worker that does not seal.
async fn erase(world: &World, users: &[&str]) {
    let worker = world.worker().await;
    for user in users {
        world.user(user).await;
        world
            .sample(user, &[&format!("{user}/1"), &format!("{user}/2")])
            .await;
        let task = world.delete_user(user).await;
        world.until_status(task, "completed").await;
    }
    worker.stop().await;
}

fn lines(export: &str) -> Vec<&str> {
    export.lines().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_verifies_offline_and_each_manipulation_is_found() {
    let world = World::new().await;
    let users = ["user_a1", "user_b2", "user_c3", "user_d4"];
    erase(&world, &users).await;
    assert_eq!(seal_all(&world.pool, None).await.unwrap(), 4);
    assert_eq!(seal_all(&world.pool, None).await.unwrap(), 0);
    let whole = export(&world).await;
    for user in users {
        assert!(!whole.contains(user), "{user} stands in {whole}");
    }
    let body: Value = serde_json::from_str(lines(&whole)[0]).unwrap();
    let body: Value = serde_json::from_str(body["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["objectsDeleted"], 2, "{body}");
    assert_eq!(body["rowsDeleted"]["sample-image"], 2, "{body}");
    assert_eq!(
        body["keysDigest"].as_str().map(str::len),
        Some(64),
        "{body}"
    );

    let (_, head) = receipts(&world, &["export", "--head"], &[]).await;
    let hash = head.trim().strip_prefix("4 ").unwrap().to_owned();
    let file = TempFile::new(&whole);
    // Without a database: this one does not exist.
    let offline = [("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")];
    let (code, told) = receipts(&world, &["verify", file.path(), "--head", &hash], &offline).await;
    assert_eq!(code, 0, "{told}");
    assert!(
        told.contains("valid: 4 receipts") && told.contains("does not prove"),
        "{told}"
    );

    let all = lines(&whole);
    let changed = all[1].replace("objectsDeleted\\\":2", "objectsDeleted\\\":1");
    assert_ne!(changed, all[1]);
    let other: Value = serde_json::from_str(all[2]).unwrap();
    let mut forged: Value = serde_json::from_str(all[1]).unwrap();
    forged["signature"] = other["signature"].clone();
    let forged = forged.to_string();
    for (manipulated, first) in [
        (vec![all[0], all[2], all[3]], "receipt 2 is missing"),
        (
            vec![all[0], &changed, all[2], all[3]],
            "receipt 2 was changed",
        ),
        (
            vec![all[0], all[2], all[1], all[3]],
            "receipt 2 is not in its place",
        ),
        (vec![all[0], &forged, all[2], all[3]], "receipt 2 is forged"),
        (vec![all[0], all[1], all[2]], "the anchored hash"),
    ] {
        let file = TempFile::new(&manipulated.join("\n"));
        let (code, told) =
            receipts(&world, &["verify", file.path(), "--head", &hash], &offline).await;
        assert_eq!(code, 1, "{told}");
        assert!(told.contains(first), "{first} is not in: {told}");
    }
}

/// In a pipe, an export that failed leaves an empty input behind.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_without_a_receipt_is_refused_unless_it_is_expected() {
    let world = World::new().await;
    for text in ["", "\n\n"] {
        let file = TempFile::new(text);
        for command in ["verify", "replay"] {
            let (code, told) = receipts(&world, &[command, file.path()], &[]).await;
            assert_eq!(code, 1, "{command}: {told}");
            assert!(
                told.contains("has no receipt") && told.contains("--allow-empty"),
                "{command}: {told}"
            );
            let arguments = [command, file.path(), "--allow-empty"];
            let (code, told) = receipts(&world, &arguments, &[]).await;
            assert_eq!(code, 0, "{command}: {told}");
        }
    }
    // Standard input of a test is empty.
    let (code, told) = receipts(&world, &["verify", "-"], &[]).await;
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("standard input has no receipt"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sealers_at_once_make_one_chain() {
    let world = World::new().await;
    world
        .execute(
            "insert into lethe.receipts (user_id, task_id, requested_at, requested_by, objects_deleted, objects_kept,
                 rows_deleted)
             select 'user_' || n, n, now(), 'test', 0, 0, '{}' from generate_series(1, 1000) n",
        )
        .await;
    let sealers = (0..4).map(|_| {
        let pool = world.pool.clone();
        tokio::spawn(async move { seal_all(&pool, None).await.unwrap() })
    });
    for sealer in sealers.collect::<Vec<_>>() {
        sealer.await.unwrap();
    }
    seal_all(&world.pool, None).await.unwrap();
    world.expect_rows("lethe.receipt_keys", 1).await;
    let chain = Verification::default()
        .run(&mut export(&world).await.as_bytes(), |_| {})
        .unwrap();
    assert_eq!(chain.receipts, 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_processes_seal_and_the_api_shows_the_signature_and_the_keys() {
    let world = World::new().await;
    let environment = [("RECEIPT_SIGNING_KEY", KEY)];
    let mut workers = [
        world.process(&["worker"], &environment),
        world.process(&["worker"], &environment),
    ];
    for user in ["user_a1", "user_b2"] {
        world.user(user).await;
        world.sample(user, &[user]).await;
        world.delete_user(user).await;
    }
    world
        .until("(select count(*) = 2 from lethe.receipts where sequence is not null)")
        .await;
    for worker in &mut workers {
        worker.kill().await.unwrap();
    }
    world
        .expect_rows("lethe.receipt_keys where private_key is null", 1)
        .await;

    let service = Service::start(&world).await;
    let page = service.get("/admin/receipts?limit=1").await;
    assert_eq!(page["items"][0]["sequence"], 2, "{page}");
    let cursor = page["nextCursor"].as_str().unwrap();
    let last = service
        .get(&format!("/admin/receipts?cursor={cursor}"))
        .await;
    assert_eq!(last["items"][0]["sequence"], 1, "{last}");
    assert_eq!(last.get("nextCursor"), None, "{last}");
    let first = service.get("/admin/receipts?sequence=1").await;
    assert_eq!(first, last);
    let none = service.get("/admin/receipts?sequence=3").await;
    assert_eq!(none, json!({"items": []}));
    let refused = [
        "sequence=0".to_owned(),
        "sequence=x".to_owned(),
        format!("sequence=1&cursor={cursor}"),
    ];
    for query in refused {
        let (status, problem) = service
            .admin(Method::GET, &format!("/admin/receipts?{query}"))
            .await;
        assert_eq!(status, 400, "{query}: {problem}");
    }
    let mut signatures = Vec::new();
    for user in ["user_a1", "user_b2"] {
        let erasure = service.get(&format!("/admin/users/{user}/erasure")).await;
        assert_eq!(erasure["status"], "complete", "{erasure}");
        signatures.push(erasure["signature"].clone());
    }
    assert!(
        signatures.contains(&page["items"][0]["signature"]),
        "{signatures:?}"
    );

    let url = format!("{}/.well-known/lethe-receipts.json", service.url);
    let keys = service.client.get(url).send().await.unwrap();
    assert_eq!(keys.status(), 200);
    let keys = keys.text().await.unwrap();
    let document: Value = serde_json::from_str(&keys).unwrap();
    assert_eq!(document["algorithm"], "Ed25519", "{document}");
    assert_eq!(document["headSequence"], 2, "{document}");
    let key = SigningKey::from_pem(KEY).unwrap();
    assert_eq!(document["keys"][0]["keyId"], key.public.id(), "{document}");

    let (file, keys) = (TempFile::new(&export(&world).await), TempFile::new(&keys));
    let arguments = ["verify", file.path(), "--public-key", keys.path()];
    let (code, told) = receipts(&world, &arguments, &[]).await;
    assert_eq!(code, 0, "{told}");
    let other = SigningKey::generate().unwrap().public.to_base64();
    let other = TempFile::new(&format!(
        "-----BEGIN PUBLIC KEY-----\n{other}\n-----END PUBLIC KEY-----\n"
    ));
    let arguments = ["verify", file.path(), "--public-key", other.path()];
    let (code, told) = receipts(&world, &arguments, &[]).await;
    assert!(code == 1 && told.contains("receipt 1 is forged"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_of_an_old_key_stay_verifiable_after_a_rotation() {
    let world = World::new().await;
    let migrated = world.run(&["migrate"], &[]).await;
    assert!(migrated.status.success(), "{migrated:?}");
    world
        .expect_rows("lethe.receipt_keys where private_key is not null", 1)
        .await;
    erase(&world, &["user_a1"]).await;
    seal_all(&world.pool, None).await.unwrap();
    let key = SigningKey::from_pem(KEY).unwrap();
    erase(&world, &["user_b2"]).await;
    seal_all(&world.pool, Some(&key)).await.unwrap();
    let chain = Verification::default()
        .run(&mut export(&world).await.as_bytes(), |_| {})
        .unwrap();
    assert_eq!(chain.keys.len(), 2, "{chain:?}");
    assert_eq!(chain.keys[&key.public.id()], (2, 2), "{chain:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_of_a_user_with_an_open_task_is_not_signed() {
    let world = World::new().await;
    erase(&world, &["user_a1", "user_b2"]).await;
    world
        .execute(
            "insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id, object_keys, status, phase)
             values ('user-delete', 'user', 'user_a1', 'user_a1', '{}', 'dead', 'plan')",
        )
        .await;
    assert_eq!(seal_all(&world.pool, None).await.unwrap(), 1);
    world
        .expect_rows(
            "lethe.receipts where user_id = 'user_a1' and sequence is null",
            1,
        )
        .await;
    world
        .execute("delete from lethe.cleanup_tasks where user_id = 'user_a1'")
        .await;
    assert_eq!(seal_all(&world.pool, None).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_receipts_and_keys_cannot_be_changed_and_a_wrong_place_is_refused() {
    let world = World::new().await;
    erase(&world, &["user_a1", "user_b2"]).await;
    seal_all(&world.pool, None).await.unwrap();
    for sql in [
        "update lethe.receipts set objects_deleted = 0",
        "update lethe.receipts set body = '{}'",
        "delete from lethe.receipts",
        "truncate lethe.receipts",
        "delete from lethe.receipt_keys",
        "update lethe.receipt_keys set subject_key = sha256('x')",
    ] {
        let error = sqlx::query(sql).execute(&world.pool).await.unwrap_err();
        assert!(
            error.to_string().contains("is append-only"),
            "{sql}: {error}"
        );
    }
    world
        .execute("update lethe.receipt_keys set private_key = null")
        .await;
    erase(&world, &["user_c3"]).await;
    let refused = sqlx::query(
        "select lethe.seal_receipt(id, '{\"sequence\":5}', sha256('x'), 'x', (select key_id from lethe.receipt_keys))
         from lethe.receipts where sequence is null",
    )
    .execute(&world.pool)
    .await
    .unwrap_err();
    assert!(
        refused.to_string().contains("does not follow receipt 2"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digest_of_keys_is_the_documented_one() {
    let world = World::new().await;
    erase(&world, &["user_a1"]).await;
    // SHA-256 of each key, sorted, grouped by the first byte; SHA-256 of each group; SHA-256 of these.
    let documented = "(with hash as (select sha256(convert_to(k, 'UTF8')) as h from unnest(array['user_a1/1', 'user_a1/2']) k),
        groups as (select get_byte(h, 0) as first, sha256(string_agg(h, '' order by h)) as d from hash group by get_byte(h, 0))
        select sha256(string_agg(d, '' order by first)) from groups)";
    world
        .until(&format!(
            "digest = {documented} and keys = 2 from lethe.receipts r,
             lethe.keys_digest(r.user_id, r.requested_at, r.completed_at)"
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_after_a_restore_erases_again_whoever_came_back() {
    let world = World::new().await;
    let key = SigningKey::from_pem(KEY).unwrap();
    erase(&world, &["user_a1", "user_b2", "user_c3"]).await;
    seal_all(&world.pool, Some(&key)).await.unwrap();
    let file = TempFile::new(&export(&world).await);

    // A backup from before: it knows neither the erasures nor the key, and has the users' rows.
    let restored = World::new().await;
    for user in ["user_a1", "user_b2", "user_live"] {
        restored.user(user).await;
        restored.sample(user, &[user]).await;
    }
    let (code, told) = receipts(&restored, &["replay", file.path()], &[]).await;
    assert!(code == 1 && told.contains("RECEIPT_SIGNING_KEY"), "{told}");

    let environment = [("RECEIPT_SIGNING_KEY", KEY), ("USER", "alice")];
    let (code, told) = receipts(&restored, &["replay", file.path()], &environment).await;
    assert_eq!(code, 0, "{told}");
    for part in [
        "2 users were erased and are there again",
        "user_a1",
        "user_b2",
        "1 of users whom this database does not know",
        "nothing was changed",
    ] {
        assert!(told.contains(part), "{part} is not in: {told}");
    }
    assert!(!told.contains("user_live"), "{told}");
    restored.expect_rows("lethe.user_tombstones", 0).await;

    let arguments = ["replay", file.path(), "--apply"];
    let (code, told) = receipts(&restored, &arguments, &environment).await;
    assert_eq!(code, 0, "{told}");
    restored
        .expect_rows("lethe.user_tombstones where deleted_by = 'cli:alice'", 2)
        .await;
    let (_, told) = receipts(&restored, &arguments, &environment).await;
    assert!(told.contains("2 more are being erased already"), "{told}");
    let worker = restored.worker().await;
    restored
        .until("(select count(*) = 1 from public.users)")
        .await;
    worker.stop().await;
    let (_, told) = receipts(&restored, &arguments, &environment).await;
    assert!(
        told.contains("2 receipts are of users who are gone"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_by_tombstone_keeps_to_the_limit_and_says_who_waits() {
    let world = World::new().await;
    let users = ["user_a1", "user_b2", "user_c3"];
    erase(&world, &users).await;
    seal_all(&world.pool, None).await.unwrap();
    // The application's tables alone came back from a backup, and the export was made before there was a receipt.
    for sql in [
        "alter table users disable trigger users_not_tombstoned",
        "insert into users (id) select unnest(array['user_a1', 'user_b2', 'user_c3'])",
        "alter table users enable trigger users_not_tombstoned",
        "select lethe.configure('serve', 2, null, 'test')",
        "update lethe.erasure_slots set used_at = '-infinity'",
    ] {
        world.execute(sql).await;
    }
    let empty = TempFile::new("");
    let arguments = ["replay", empty.path(), "--allow-empty", "--json"];
    let (code, told) = receipts(&world, &arguments, &[("USER", "alice")]).await;
    assert_eq!(code, 0, "{told}");
    let report: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(report["byTombstone"], 3, "{told}");
    assert_eq!(report["byReceipt"], 0, "{told}");
    let arguments = ["replay", empty.path(), "--allow-empty", "--apply"];
    let (code, told) = receipts(&world, &arguments, &[("USER", "alice")]).await;
    assert_eq!(code, 0, "{told}");
    assert!(
        told.contains("asked for 3 erasures")
            && told.contains("1 of them wait, because ERASURE_LIMIT_PER_HOUR"),
        "{told}"
    );
    let worker = world.worker().await;
    world.until("(select count(*) = 1 from users)").await;
    world
        .expect_rows("lethe.cleanup_tasks where held_reason is not null", 1)
        .await;
    let resume = ["resume", "--reason", "seen"];
    let output = world.run(&resume, &[("USER", "alice")]).await;
    assert!(output.status.success(), "{output:?}");
    world.until("(select count(*) = 0 from users)").await;
    worker.stop().await;
}

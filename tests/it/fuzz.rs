//! Random input wherever others write it: webhooks, tokens, cursors, answers of the store, configurations, object keys.
//! Each test tries some hundred cases, or as many as fit into `LETHE_FUZZ_SECONDS`. A failing case is shrunk and shown.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use lethe::app::migrated;
use lethe::config::{Log as LogConfig, Origin, Section, Serve, Source, Worker, variables};
use lethe::http::admin_tokens::AdminTokens;
use lethe::http::api::{ApiState, routes};
use lethe::http::client::ClientAddress;
use lethe::http::credentials::Authenticator;
use lethe::http::session::{SessionConfig, SessionVerifier};
use lethe::http::session_keys::SessionKeys;
use lethe::http::webhook_signature::WebhookVerifier;
use lethe::storage::{KeyOutcome, Store};
use lethe::telemetry::metrics::Metrics;
use lethe::vocabulary::{ProcessRole, Role};
use poem::http::{HeaderName, HeaderValue, Method};
use poem::{Endpoint, Request, Response};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sqlx::PgPool;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::service::{ISSUER, WEBHOOK_SECRET, now};
use crate::support::world::World;

const ADMIN: &str = "admin-token-of-the-tests";
/// Cases of one test, unless it runs for a time.
const CASES: u32 = 200;

/// Runs `test` with random values, for the time that the environment says, or for some cases. Prints how many.
fn fuzz<S: Strategy>(
    what: &str,
    cases: u32,
    values: &S,
    test: impl Fn(S::Value) -> TestCaseResult,
) {
    let seconds = std::env::var("LETHE_FUZZ_SECONDS").map_or(0, |text| text.parse().unwrap());
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut tried = 0;
    loop {
        let config = Config {
            cases,
            failure_persistence: None,
            ..Config::default()
        };
        let result = TestRunner::new(config).run(values, &test);
        result.unwrap_or_else(|error| panic!("{what}: {error}"));
        tried += cases;
        if Instant::now() >= until {
            break;
        }
    }
    println!("{what}: {tried} cases");
}

type TestCaseResult = Result<(), TestCaseError>;

/// Runs a future to its end inside of a test that is not async.
fn wait<F: Future>(future: F) -> F::Output {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

fn api(pool: PgPool) -> impl Endpoint<Output = Response> {
    let metrics = Metrics::new().unwrap();
    let state = ApiState {
        ready: migrated::ready(pool.clone(), None, &[ProcessRole::Serve]),
        pool,
        webhook: WebhookVerifier::new(vec![WEBHOOK_SECRET.parse().unwrap()]),
        grace: Duration::ZERO,
        metrics: Arc::clone(&metrics),
        show_metrics: false,
    };
    let keys = SessionKeys::from_pem(include_str!("fixtures/session-key.pub.pem")).unwrap();
    let sessions = SessionVerifier::new(SessionConfig {
        keys,
        issuer: Some(ISSUER.to_owned()),
        authorized_parties: Vec::new(),
    });
    let mut admins = AdminTokens::default();
    admins.add("ops", Role::Admin, ADMIN).unwrap();
    let authenticator = Authenticator::new(sessions.unwrap(), admins, metrics);
    poem::EndpointExt::map_to_response(routes(state, Arc::new(authenticator)))
}

/// The status of the answer, which is a problem body unless it is a success.
async fn call(
    api: &impl Endpoint<Output = Response>,
    request: Request,
) -> Result<u16, TestCaseError> {
    let response = api.get_response(request).await;
    let status = response.status().as_u16();
    if status >= 400 {
        let body = response.into_body().into_string().await.unwrap_or_default();
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
        prop_assert_eq!(&problem["status"], status, "{}", body);
    }
    prop_assert!(status < 500, "{} is a fault of ours", status);
    Ok(status)
}

/// JSON that is often an event, and often almost one.
fn event() -> impl Strategy<Value = Vec<u8>> {
    let id = prop_oneof!["user_[a-zA-Z0-9]{1,30}", ".{0,40}", "[a-z]{500,600}"];
    let kind = prop_oneof![Just("user.deleted".to_owned()), "[a-z.]{0,30}", ".{0,600}"];
    let event = (kind, id, any::<bool>()).prop_map(|(kind, id, is_nested)| {
        let data = if is_nested {
            serde_json::json!({"id": {"id": id}})
        } else {
            serde_json::json!({"id": id, "deleted": true, "object": "user"})
        };
        serde_json::json!({"type": kind, "data": data})
            .to_string()
            .into_bytes()
    });
    let cut = (event.clone(), any::<prop::sample::Index>()).prop_map(|(mut event, at)| {
        let length = at.index(event.len());
        event.truncate(length);
        event
    });
    prop_oneof![4 => event, 2 => cut, 1 => vec(any::<u8>(), 0..300)]
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_bodies_are_events_or_refused() {
    let world = World::new().await;
    let api = api(world.pool.clone());
    let webhook = svix::webhooks::Webhook::new(WEBHOOK_SECRET).unwrap();
    fuzz(
        "signed webhooks",
        CASES,
        &(event(), "[!-~]{1,300}"),
        |(body, id)| {
            let at = now();
            let Ok(signature) = webhook.sign(&id, at, &body) else {
                return Ok(());
            };
            let request = Request::builder()
                .method(Method::POST)
                .uri("/webhooks/clerk".parse().unwrap())
                .header("svix-id", &id)
                .header("svix-timestamp", at.to_string())
                .header("svix-signature", signature)
                .body(body);
            let status = wait(call(&api, request))?;
            prop_assert!(matches!(status, 204 | 400 | 409), "{}", status);
            Ok(())
        },
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unsigned_webhooks_write_nothing() {
    let world = World::new().await;
    let api = api(world.pool.clone());
    let header = prop_oneof![
        Just(now().to_string()),
        "v1,[A-Za-z0-9+/=]{0,60}",
        "[ -~]{0,80}"
    ];
    let headers = vec((0..6_usize, header), 0..8);
    let names = [
        "svix-id",
        "svix-timestamp",
        "svix-signature",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    ];
    fuzz(
        "webhook headers",
        CASES,
        &(headers, event()),
        |(headers, body)| {
            let mut request = Request::builder()
                .method(Method::POST)
                .uri("/webhooks/clerk".parse().unwrap())
                .body(body);
            for (name, value) in headers {
                let name = HeaderName::from_static(names[name]);
                if let Ok(value) = HeaderValue::from_str(&value) {
                    request.headers_mut().append(name, value);
                }
            }
            prop_assert_eq!(wait(call(&api, request))?, 400);
            Ok(())
        },
    );
    world.expect_rows("lethe.webhook_events", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_the_token_opens_the_admins_calls() {
    let world = World::new().await;
    let almost = (any::<prop::sample::Index>(), "[ -~]").prop_map(|(at, other)| {
        let mut token = ADMIN.to_owned();
        let at = at.index(token.len());
        token.replace_range(at..=at, &other);
        format!("Bearer {token}")
    });
    let jwt = "Bearer [A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}";
    let values = prop_oneof![
        almost,
        jwt,
        "(Bearer|bearer|Basic) {0,2}[ -~]{0,60}",
        "[ -~]{0,60}"
    ];
    let right = format!("Bearer {ADMIN}");
    let api = api(world.pool.clone());
    let client = AtomicU32::new(0);
    fuzz("tokens", CASES, &values, |value| {
        let mut request = Request::builder()
            .uri("/admin/stats".parse().unwrap())
            .header("authorization", &value)
            .finish();
        // A new client for each case, because a guesser has to wait.
        let address = Ipv4Addr::from(client.fetch_add(1, Ordering::Relaxed));
        request.set_data(ClientAddress(address.into()));
        let expected = if value.trim() == right { 200 } else { 401 };
        prop_assert_eq!(wait(call(&api, request))?, expected);
        Ok(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_and_filters_are_understood_or_refused() {
    use base64::Engine as _;
    let world = World::new().await;
    world.user("user_a").await;
    world.samples("user_a", "a/", 3).await;
    world.delete_user("user_a").await;
    let api = api(world.pool.clone());
    let number = any::<i64>().prop_map(|number| number.to_string());
    let parts = vec(
        prop_oneof![
            number,
            "[ -~]{0,20}",
            Just("sample".to_owned()),
            Just("user".to_owned()),
            Just("00000000-0000-0000-0000-000000000000".to_owned())
        ],
        0..5,
    );
    let cursor = prop_oneof![
        parts.prop_map(
            |parts| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(parts.join("\0"))
        ),
        ".{0,40}",
    ];
    let year = -300_000..300_000_i64;
    let value = prop_oneof![
        cursor,
        year.prop_map(|year| format!("{year:+05}-01-01T00:00:00Z")),
        "[0-9]{1,25}",
        "[ -~]{0,40}",
    ];
    let paths = ["/admin/audit", "/admin/deleted", "/admin/cleanup-tasks"];
    let names = [
        "cursor",
        "limit",
        "after",
        "before",
        "deletedAfter",
        "deletedBefore",
        "taskId",
        "userId",
        "actor",
        "deletedBy",
        "status",
        "entityType",
        "entityId",
        "errorClass",
        "kind",
        "parentId",
        "event",
    ];
    let values = (0..paths.len(), vec((0..names.len(), value), 1..3));
    fuzz("cursors and filters", CASES, &values, |(path, query)| {
        let encode = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        let query: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{}={}", names[*name], encode(value)))
            .collect();
        let uri = format!("{}?{}", paths[path], query.join("&"));
        let request = Request::builder()
            .uri(uri.parse().unwrap())
            .header("authorization", format!("Bearer {ADMIN}"))
            .finish();
        let status = wait(call(&api, request))?;
        prop_assert!(matches!(status, 200 | 400), "{} {}", status, uri);
        Ok(())
    });
}

/// Answers each request on each connection with the bytes of the moment.
async fn store_saying(answer: Arc<std::sync::Mutex<Vec<u8>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut request = vec![0; 64 * 1024];
                while stream.read(&mut request).await.is_ok_and(|count| count > 0) {
                    let answer = answer.lock().unwrap().clone();
                    if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_gone_only_if_a_whole_answer_says_so() {
    let world = World::new().await;
    let answer = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut config = world.store_config();
    config.endpoint = Some(store_saying(Arc::clone(&answer)).await);
    config.connect_timeout = Duration::from_millis(200);
    config.attempt_timeout = Duration::from_millis(60);
    config.operation_timeout = Duration::from_millis(100);
    let keys = ["one", "two", "three"];
    let element = prop_oneof![
        (0..3_usize).prop_map(move |key| format!("<Deleted><Key>{}</Key></Deleted>", keys[key])),
        (0..3_usize).prop_map(move |key| format!(
            "<Error><Key>{}</Key><Code>InternalError</Code><Message>m</Message></Error>",
            keys[key]
        )),
        "<(Deleted|Error|Key|Code)>[a-z<&]{0,20}",
        "[ -~]{0,30}",
    ];
    let body =
        (vec(element, 0..5), any::<bool>(), 0..40_usize).prop_map(|(elements, is_cut, by)| {
            let mut body = format!("<DeleteResult>{}</DeleteResult>", elements.concat());
            if is_cut {
                let length = body.len().saturating_sub(by);
                body.truncate(length);
            }
            body
        });
    let status = prop_oneof![5 => Just(200_u16), 1 => 100..600_u16];
    // Each case costs some calls with their time-outs.
    fuzz(
        "answers of the store",
        CASES / 5,
        &(status, body),
        |(status, body)| {
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/xml\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            *answer.lock().unwrap() = [head.into_bytes(), body.clone().into_bytes()].concat();
            let names: Vec<String> = keys.map(str::to_owned).to_vec();
            let deletion =
                wait(async { Store::connect(config.clone()).await.delete(&names).await });
            prop_assert_eq!(deletion.outcomes.len(), names.len());
            for (name, outcome) in names.iter().zip(&deletion.outcomes) {
                if *outcome == KeyOutcome::Gone {
                    let said = format!("<Key>{name}</Key>");
                    prop_assert!(
                        status == 200 && body.contains(&said) && body.ends_with("</DeleteResult>"),
                        "{} is not gone by {} {}",
                        name,
                        status,
                        body
                    );
                }
            }
            Ok(())
        },
    );
}

#[test]
fn a_configuration_is_parsed_or_told_and_never_shown() {
    const SECRET: &str = "hunter2";
    let value = prop_oneof![
        "[a-z]{0,8}@?[a-z]{0,8}:hunter2[!-~]{0,30}",
        "postgres://[a-z]{0,5}:hunter2[!-~]{0,10}@[a-z0-9.\\[\\]:]{0,15}/[a-z]{0,5}",
        "https?://[ -~]{0,20}",
        "whsec_hunter2[A-Za-z0-9+/=]{0,30}",
        "-?[0-9]{1,21}",
        "[ -~]{0,30}",
        ".{0,30}",
    ];
    let values = (vec((0..variables::ALL.len(), value), 0..8), ".{0,60}");
    fuzz("configurations", CASES * 5, &values, |(pairs, file)| {
        let pairs = pairs.into_iter().filter_map(|(variable, value)| {
            let variable = variables::ALL[variable];
            // What is no secret may be shown.
            (variable.is_secret() || !value.contains(SECRET)).then_some((variable.name, value))
        });
        let source = Source::empty()
            .with(Origin::Environment, pairs)
            .with_env_file(&file);
        let parsed = <(LogConfig, Serve, Worker)>::parse(&source);
        let shown = match parsed {
            Ok(config) => format!("{config:?}"),
            Err(error) => {
                prop_assert!(!error.faults.is_empty());
                format!("{error} {error:?}")
            }
        };
        prop_assert!(!shown.contains(SECRET), "{}", shown);
        Ok(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn any_object_key_is_deleted_and_no_other() {
    let world = World::new().await;
    let store = Store::connect(world.store_config()).await;
    let key = prop_oneof!["[ -~]{1,60}", "\\PC{1,40}", "[a-c/+% &]{1,6}"];
    fuzz(
        "object keys",
        CASES / 4,
        &(key.clone(), key),
        |(key, other)| {
            if key == other || key.contains(['\0', '\r']) || other.contains(['\0', '\r']) {
                return Ok(());
            }
            world.s3.put(&key);
            world.s3.put(&other);
            let deletion = wait(store.delete(std::slice::from_ref(&key)));
            prop_assert_eq!(&deletion.outcomes, &[KeyOutcome::Gone], "{:?}", key);
            prop_assert!(!world.s3.contains(&key), "{:?} is still there", key);
            prop_assert!(world.s3.contains(&other), "{:?} went with {:?}", other, key);
            Ok(())
        },
    );
}

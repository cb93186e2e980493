//! Every operation of the OpenAPI document, called by every kind of caller.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use lethe::http::api::specification;
use lethe::vocabulary::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::service::{ISSUER, Service, WEBHOOK_SECRET, answer};
use crate::support::world::{Log, PATIENCE, World};

const VIEWER: &str = "viewer-token-of-the-tests";
const OPERATOR: &str = "operator-token-of-the-tests";
const ADMIN: &str = "admin-token-of-the-tests";
const OWNER: &str = "user_owner";

/// Who may call an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Anybody.
    Open,
    /// Whoever signs the body.
    Signed,
    /// The user whose data it is, or a token of at least this role.
    Owner(Role),
    /// A token of at least this role.
    Token(Role),
}

/// The rule for each call. A call that the document does not have yet may stand here; one that it has must.
const RULES: &[(&str, &str, Access)] = {
    use Access::{Open, Owner, Signed, Token};
    use Role::{Admin, Operator, Viewer};
    &[
        ("post", "/webhooks/clerk", Signed),
        ("delete", "/samples/{sampleId}", Owner(Admin)),
        ("post", "/samples/{sampleId}/restore", Owner(Operator)),
        ("get", "/samples/{sampleId}/deletion", Owner(Viewer)),
        ("delete", "/entities/{type}/{id}", Owner(Admin)),
        ("post", "/entities/{type}/{id}/restore", Owner(Operator)),
        ("get", "/entities/{type}/{id}/deletion", Owner(Viewer)),
        ("delete", "/admin/users/{userId}", Token(Admin)),
        ("get", "/admin/users/{userId}", Token(Viewer)),
        ("get", "/admin/users/{userId}/plan", Token(Viewer)),
        ("get", "/admin/users/{userId}/erasure", Token(Viewer)),
        ("post", "/admin/users/{userId}/erasure/cancel", Token(Admin)),
        ("get", "/admin/erasures", Token(Viewer)),
        ("get", "/admin/deleted", Token(Viewer)),
        ("get", "/admin/cleanup-tasks", Token(Viewer)),
        ("get", "/admin/cleanup-tasks/{taskId}", Token(Viewer)),
        (
            "post",
            "/admin/cleanup-tasks/{taskId}/retry",
            Token(Operator),
        ),
        ("post", "/admin/cleanup-tasks/retry", Token(Operator)),
        ("get", "/admin/audit", Token(Viewer)),
        ("get", "/admin/receipts", Token(Viewer)),
        ("get", "/admin/stats", Token(Viewer)),
        ("get", "/admin/workers", Token(Viewer)),
        ("get", "/admin/map", Token(Viewer)),
        ("get", "/admin/me", Token(Viewer)),
        ("post", "/admin/pause", Token(Operator)),
        ("post", "/admin/resume", Token(Operator)),
        ("get", "/admin/settings", Token(Viewer)),
        ("get", "/health/live", Open),
        ("get", "/health/ready", Open),
        ("get", "/.well-known/lethe-receipts.json", Open),
    ]
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Nobody,
    Garbage,
    /// A session token that Clerk did not sign.
    Forged,
    Expired,
    Stranger,
    Owner,
    Holder(Role),
}

const CALLERS: [Caller; 9] = [
    Caller::Nobody,
    Caller::Garbage,
    Caller::Forged,
    Caller::Expired,
    Caller::Stranger,
    Caller::Owner,
    Caller::Holder(Role::Viewer),
    Caller::Holder(Role::Operator),
    Caller::Holder(Role::Admin),
];

impl Caller {
    fn token(self, service: &Service) -> Option<String> {
        Some(match self {
            Self::Nobody => return None,
            Self::Garbage => "no-token-of-anybody-at-all".into(),
            Self::Forged => session(include_str!("fixtures/other-key.pem"), 60),
            Self::Expired => session(include_str!("fixtures/session-key.pem"), -60),
            Self::Stranger => service.session("user_stranger"),
            Self::Owner => service.session(OWNER),
            Self::Holder(Role::Viewer) => VIEWER.into(),
            Self::Holder(Role::Operator) => OPERATOR.into(),
            Self::Holder(Role::Admin) => ADMIN.into(),
        })
    }

    /// What a call must be answered with; `None` if the caller may make it.
    fn refusal(self, access: Access) -> Option<u16> {
        match (access, self) {
            (Access::Open, _) => None,
            // Nobody signs here.
            (Access::Signed, _) => Some(400),
            (_, Self::Nobody | Self::Garbage | Self::Forged | Self::Expired) => Some(401),
            (Access::Owner(_), Self::Stranger) => Some(404),
            (Access::Owner(_), Self::Owner) => None,
            (Access::Token(_), Self::Stranger | Self::Owner) => Some(403),
            (Access::Owner(least) | Access::Token(least), Self::Holder(role)) => {
                (role < least).then_some(403)
            }
        }
    }
}

fn session(key: &str, lifetime: i64) -> String {
    let now = chrono::Utc::now().timestamp();
    let claims = json!({
        "sub": OWNER, "sid": "sess_1", "iss": ISSUER, "iat": now - 120, "exp": now + lifetime,
    });
    let key = EncodingKey::from_rsa_pem(key.as_bytes()).unwrap();
    encode(&Header::new(Algorithm::RS256), &claims, &key).unwrap()
}

/// Every call of the document: method, path, operation.
fn operations() -> Vec<(String, String, Value)> {
    let document = specification();
    let paths = document["paths"].as_object().unwrap().clone();
    let mut operations = Vec::new();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap() {
            operations.push((method.clone(), path.clone(), operation.clone()));
        }
    }
    operations
}

#[track_caller]
fn rule(method: &str, path: &str) -> Access {
    RULES
        .iter()
        .find(|(one, other, _)| *one == method && *other == path)
        .unwrap_or_else(|| panic!("there is no rule for {method} {path}: add one to RULES"))
        .2
}

#[test]
fn the_document_says_the_rule_of_each_operation() {
    for (method, path, operation) in operations() {
        let (security, role) = match rule(&method, &path) {
            Access::Open | Access::Signed => (json!([]), None),
            Access::Owner(role) => (
                json!([{"clerkSession": []}, {"adminToken": []}]),
                Some(role),
            ),
            Access::Token(role) => (json!([{"adminToken": []}]), Some(role)),
        };
        assert_eq!(operation["security"], security, "{method} {path}");
        let said = operation["x-required-role"].as_str();
        assert_eq!(said, role.map(Role::as_str), "{method} {path}");
    }
}

async fn start(world: &World) -> Service {
    let tokens = format!("vera@viewer:{VIEWER},otto@operator:{OPERATOR},ada:{ADMIN}");
    Service::start_with(world, &[("ADMIN_API_TOKENS", &tokens)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_lets_in_whom_it_should_and_nobody_else() {
    let world = World::new().await;
    world.user(OWNER).await;
    let service = start(&world).await;
    let mut faults = Vec::new();
    let mut calls = 0;
    for (method, path, operation) in operations() {
        let access = rule(&method, &path);
        for caller in CALLERS {
            let sample = world.sample(OWNER, &[]).await.to_string();
            let target = path
                .replace("{sampleId}", &sample)
                .replace("{id}", &sample)
                .replace("{type}", "sample")
                .replace("{taskId}", "1")
                .replace("{userId}", "user_of_nobody");
            let mut request = service.client.request(
                Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(),
                format!("{}{target}", service.url),
            );
            if let Some(token) = caller.token(&service) {
                request = request.bearer_auth(token);
            }
            if operation.get("requestBody").is_some() {
                request = request.json(&json!({"reason": "a test"}));
            }
            let (status, body) = answer(request).await;
            calls += 1;
            let is_right = match caller.refusal(access) {
                Some(expected) => status == expected,
                None => !matches!(status.as_u16(), 401 | 403 | 429 | 500..),
            };
            if !is_right {
                faults.push(format!("{method} {target} by {caller:?}: {status} {body}"));
            }
        }
    }
    assert!(calls >= 14 * CALLERS.len(), "only {calls} calls");
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_who_called_from_where_and_the_metrics_count_refusals() {
    let world = World::new().await;
    let log = Log::new();
    let tokens = format!("vera@viewer:{VIEWER},ada:{ADMIN}");
    let more = [
        ("ADMIN_API_TOKENS", tokens.as_str()),
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
        ("RUST_LOG", "info"),
        ("LOG_FORMAT", "json"),
    ];
    let service = Service::start_logged(&world, &more, &log).await;
    for (token, path) in [
        (ADMIN, "/admin/stats"),
        ("a-wrong-token-of-somebody", "/admin/audit"),
    ] {
        let request = service
            .request(Method::GET, path, token)
            .header("x-forwarded-for", "6.6.6.6, 192.0.2.7");
        request.send().await.unwrap();
    }
    let user = service.session("user_a");
    service
        .request(Method::GET, "/admin/deleted", &user)
        .send()
        .await
        .unwrap();
    service.user_deleted("m1", "user_b").send().await.unwrap();
    log.until("\"path\":\"/webhooks/clerk\"").await;
    let text = log.text();
    let line = |path: &str| -> Value {
        let line = text
            .lines()
            .find(|line| line.contains(&format!("\"path\":\"{path}\"")));
        serde_json::from_str(line.unwrap_or_else(|| panic!("no line of {path} in\n{text}")))
            .unwrap()
    };
    let stats = line("/admin/stats");
    assert_eq!(
        (&stats["actor"], &stats["client"]),
        (&json!("admin:ada"), &json!("192.0.2.7"))
    );
    let audit = line("/admin/audit");
    assert_eq!(
        (&audit["refused"], &audit["actor"]),
        (&json!("invalid"), &Value::Null)
    );
    assert_eq!(audit["client"], "192.0.2.7");
    let deleted = line("/admin/deleted");
    assert_eq!(
        (&deleted["refused"], &deleted["actor"]),
        (&json!("role"), &json!("user:user_a"))
    );
    assert_eq!(deleted["client"], "127.0.0.1");
    assert_eq!(line("/webhooks/clerk")["actor"], "clerk");
    assert!(
        !text.contains("/health/live"),
        "probes are logged at debug:\n{text}"
    );

    let metrics = service.client.get(format!("{}/metrics", service.url));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    for series in [
        "lethe_auth_failures_total{reason=\"invalid\"} 1",
        "lethe_auth_failures_total{reason=\"role\"} 1",
        "lethe_http_requests_total{operation=\"getStats\",status=\"200\"} 1",
        "lethe_http_requests_total{operation=\"listAudit\",status=\"401\"} 1",
        "lethe_http_requests_total{operation=\"receiveClerkEvent\",status=\"204\"} 1",
        "lethe_http_request_duration_seconds_count{operation=\"getStats\"} 1",
        "lethe_build_info{version=",
        "process_resident_memory_bytes ",
    ] {
        assert!(metrics.contains(series), "{series} is not in\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guesser_has_to_wait_and_nobody_else_does() {
    let world = World::new().await;
    let service = Service::start_with(
        &world,
        &[
            ("ADMIN_API_TOKENS", &format!("ada:{ADMIN},otto:{OPERATOR}")),
            ("TRUSTED_PROXIES", "127.0.0.1"),
        ],
    )
    .await;
    let call = async |token: &str, from: &str| {
        let request = service
            .request(Method::GET, "/admin/stats", token)
            .header("x-forwarded-for", from);
        request.send().await.unwrap()
    };
    // Who has used a right token before is not locked out by a guesser at the same address.
    assert_eq!(call(ADMIN, "192.0.2.9").await.status(), 200);
    for from in ["192.0.2.8", "192.0.2.9"] {
        let mut refused = 0;
        while call("a-guess-of-somebody-unknown", from).await.status() == 401 {
            refused += 1;
            assert!(refused < 1000, "a thousand guesses are answered");
        }
        assert!(
            refused >= 100,
            "only {refused} guesses before the first 429"
        );
    }
    let guess = call("another-guess-of-somebody", "192.0.2.8").await;
    assert_eq!(guess.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = guess.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=10).contains(&wait), "{wait}");
    let problem: Value = guess.json().await.unwrap();
    assert_eq!(problem["status"], 429, "{problem}");
    // Even a right token: else a guess could still succeed.
    assert_eq!(call(OPERATOR, "192.0.2.8").await.status(), 429);
    assert_eq!(call(ADMIN, "192.0.2.9").await.status(), 200);
    assert_eq!(call(OPERATOR, "192.0.2.10").await.status(), 200);
    // A session's signature cannot be guessed, and a webhook's neither.
    let session = service.session("user_a");
    assert_eq!(call(&session, "192.0.2.8").await.status(), 403);
    let webhook = service
        .user_deleted("m1", "user_b")
        .header("x-forwarded-for", "192.0.2.8");
    assert_eq!(webhook.send().await.unwrap().status(), 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_read_again_at_sighup() {
    let world = World::new().await;
    let file = std::env::temp_dir().join(format!("lethe-tokens-{}", uuid::Uuid::new_v4()));
    std::fs::write(&file, format!("ada:{ADMIN}")).unwrap();
    let log = Log::new();
    let more = [
        ("ADMIN_API_TOKENS", ""),
        ("ADMIN_API_TOKENS_FILE", file.to_str().unwrap()),
    ];
    let service = Service::start_logged(&world, &more, &log).await;
    let status = async |token: &str| {
        let request = service.request(Method::GET, "/admin/stats", token);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!((status(ADMIN).await, status(VIEWER).await), (200, 401));
    std::fs::write(&file, format!("vera@viewer:{VIEWER}")).unwrap();
    service.hang_up();
    until(async || status(VIEWER).await == 200).await;
    assert_eq!(status(ADMIN).await, 401, "the token was revoked");
    // A file that cannot be used changes nothing.
    std::fs::write(&file, "vera@viwer:nonsense").unwrap();
    service.hang_up();
    log.until("the ones from before stay valid").await;
    assert_eq!(status(VIEWER).await, 200);
    assert!(!log.text().contains("nonsense"), "{}", log.text());
    std::fs::remove_file(&file).unwrap();
}

async fn until(condition: impl AsyncFn() -> bool) {
    let begun = std::time::Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < PATIENCE, "never happened");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_would_send_secrets_unencrypted_is_refused() {
    let world = World::new().await;
    let more = [("DATABASE_URL", "postgres://lethe:hunter2@db.example/app")];
    let refused = world.run(&["migrate", "--check"], &more).await;
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains("DATABASE_URL would send") && said.contains("ALLOW_INSECURE"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
    let worker = [("AWS_ENDPOINT_URL_S3", "http://s3.example")];
    let refused = world.run(&["worker"], &worker).await;
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("AWS_ENDPOINT_URL_S3 would send"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documentation_runs_no_foreign_script_and_is_shown_in_no_frame() {
    let world = World::new().await;
    let service = Service::start(&world).await;
    let page = service
        .client
        .get(format!("{}/docs", service.url))
        .send()
        .await
        .unwrap();
    let header = |name: &str| page.headers()[name].to_str().unwrap().to_owned();
    let policy = header("content-security-policy");
    for part in [
        "default-src 'none'",
        "script-src 'sha256-",
        "connect-src 'self'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe-eval"), "{policy}");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert_eq!(header("x-frame-options"), "DENY");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_open_address_exposes_is_said_at_the_start() {
    const METRICS: &str = "/metrics is shown to everybody";
    const SESSIONS: &str = "session tokens are accepted from every issuer";
    let world = World::new().await;
    let key = include_str!("fixtures/session-key.pub.pem");
    let needed = [
        ("CLERK_WEBHOOK_SIGNING_SECRET", WEBHOOK_SECRET),
        ("CLERK_JWT_KEY", key),
    ];
    let careful = [
        ("METRICS_ADDR", "127.0.0.1:0"),
        ("CLERK_ISSUER", ISSUER),
        ("CLERK_AUTHORIZED_PARTIES", "https://app.example.com"),
    ];
    for (address, more, warned) in [
        ("0.0.0.0:0", &[][..], true),
        ("0.0.0.0:0", &careful[..], false),
        ("127.0.0.1:0", &[][..], false),
    ] {
        let log = Log::new();
        let environment = [&needed[..], &[("BIND_ADDR", address)], more].concat();
        let mut process = world.logged(&["serve"], &environment, &log);
        log.until("serving the API").await;
        let pid = i32::try_from(process.id().unwrap()).unwrap();
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(pid),
            nix::sys::signal::Signal::SIGTERM,
        )
        .unwrap();
        process.wait().await.unwrap();
        let text = log.text();
        for warning in [METRICS, SESSIONS] {
            assert_eq!(text.contains(warning), warned, "{address} {more:?}: {text}");
        }
    }
}

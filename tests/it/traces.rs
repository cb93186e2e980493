//! Traces by OTLP, with a stand-in for the collector: one trace from the request to the last task.

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use poem::http::{HeaderMap, StatusCode};
use poem::listener::{Acceptor as _, Listener as _, TcpListener};
use poem::{EndpointExt as _, Route, Server, handler, post, web::Data};
use prost::Message as _;
use reqwest::Method;

use crate::support::service::{ADMIN_TOKEN, Service, answer};
use crate::support::world::{Log, PATIENCE, World};

/// What was exported: the service and the span.
type Exported = Arc<Mutex<Vec<(String, Span)>>>;

#[handler]
fn take(headers: &HeaderMap, body: Vec<u8>, Data(exported): Data<&Exported>) -> StatusCode {
    if headers
        .get("x-key")
        .is_none_or(|key| key != "collector-key")
    {
        return StatusCode::UNAUTHORIZED;
    }
    let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.unwrap();
        let name = resource
            .attributes
            .iter()
            .find(|one| one.key == "service.name");
        let name = format!("{:?}", name.unwrap().value);
        let spans = of_resource
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans);
        exported
            .lock()
            .unwrap()
            .extend(spans.map(|span| (name.clone(), span)));
    }
    StatusCode::OK
}

/// A collector that keeps what it is sent.
async fn collector() -> (String, Exported) {
    let exported = Exported::default();
    let acceptor = TcpListener::bind("127.0.0.1:0")
        .into_acceptor()
        .await
        .unwrap();
    let address = acceptor.local_addr()[0]
        .0
        .as_socket_addr()
        .copied()
        .unwrap();
    let routes = Route::new()
        .at("/v1/traces", post(take))
        .data(Arc::clone(&exported));
    tokio::spawn(Server::new_with_acceptor(acceptor).run(routes));
    (format!("http://{address}"), exported)
}

fn named(exported: &Exported, name: &str) -> Vec<Span> {
    let exported = exported.lock().unwrap();
    let spans = exported.iter().map(|(_, span)| span);
    spans.filter(|span| span.name == name).cloned().collect()
}

async fn until_named(exported: &Exported, name: &str) -> Vec<Span> {
    let began = std::time::Instant::now();
    loop {
        let spans = named(exported, name);
        if !spans.is_empty() {
            return spans;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "no span {name}: {:?}",
            exported.lock().unwrap()
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

const HEADERS: (&str, &str) = ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=collector-key");

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_goes_from_the_webhook_to_the_last_row() {
    let world = World::new().await;
    world.user("user_a").await;
    // More than one task takes, so that the erasure has parts and steps.
    world.samples("user_a", "many", 1_500).await;
    let (url, exported) = collector().await;
    let given = [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()), HEADERS];
    let service = Service::start_with(&world, &given).await;
    let log = Log::new();
    let _worker = world.logged(&["worker"], &given, &log);
    let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let (status, body) = answer(
        service
            .user_deleted("msg_1", "user_a")
            .header("traceparent", caller),
    )
    .await;
    assert_eq!(status, 204, "{body}");
    world
        .until("not exists (select from lethe.cleanup_tasks)")
        .await;
    world.expect_rows("users", 0).await;

    let webhook = until_named(&exported, "receiveClerkEvent").await.remove(0);
    assert_eq!(webhook.trace_id[0], 0x4b, "the trace of the caller goes on");
    assert_eq!(webhook.parent_span_id[7], 0xb7);
    let roots = until_named(&exported, "user-delete").await;
    let parts = until_named(&exported, "user-delete-part").await;
    for task in roots.iter().chain(&parts) {
        assert_eq!(task.trace_id, webhook.trace_id);
        assert_eq!(task.parent_span_id, webhook.span_id);
        // Linked with the batch that carried it out, which is linked with the request.
        assert_eq!(task.links.len(), 1);
        let link = &task.links[0];
        assert_ne!(link.trace_id, task.trace_id);
        let batches = until_named(&exported, "cleanup batch").await;
        let batch = batches.iter().find(|batch| batch.span_id == link.span_id);
        if let Some(batch) = batch {
            assert_eq!(batch.links[0].span_id, webhook.span_id);
        }
    }
    assert!(parts.len() >= 2);
    // A path with the id of a user leaves no trace of it either, nor does a path that is none.
    let (status, _) = service
        .admin(Method::GET, "/admin/users/user_a/erasure")
        .await;
    assert_eq!(status, 200);
    let (status, _) = service.admin(Method::GET, "/users/user_a").await;
    assert_eq!(status, 404);
    until_named(&exported, "getErasure").await;
    until_named(&exported, "other").await;
    let stages = until_named(&exported, "delete objects").await;
    assert!(stages.iter().all(|stage| !stage.parent_span_id.is_empty()));
    let said = format!("{:?}", exported.lock().unwrap());
    assert!(said.contains("lethe"));
    assert!(
        !said.contains("user_a") && !said.contains("many/"),
        "no span names a user or an object"
    );
    assert!(named(&exported, "getReadiness").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_holds_up_nothing_and_is_reported() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    let given = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")];
    let log = Log::new();
    let service = Service::start_logged(&world, &given, &log).await;
    let mut worker = world.process(&["worker"], &given);
    let request = service.request(Method::DELETE, &format!("/samples/{sample}"), ADMIN_TOKEN);
    let (status, body) = answer(request).await;
    assert_eq!(status, 202, "{body}");
    world
        .until("not exists (select from lethe.cleanup_tasks)")
        .await;
    log.until("opentelemetry").await;
    // The end waits for it a few seconds at most.
    let began = std::time::Instant::now();
    let pid = worker.id().unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap()),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    assert!(worker.wait().await.unwrap().success());
    assert!(began.elapsed() < std::time::Duration::from_secs(10));
}

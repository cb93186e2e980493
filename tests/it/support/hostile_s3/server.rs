//! HTTP: takes requests apart, and bends the answers.

use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::answer::{Answer, Call};
use super::xml::url_decode;
use super::{Behaviour, State};

type Body = BoxBody<Bytes, io::Error>;

/// Serves until it is aborted; its connections end with it.
pub async fn run(listener: TcpListener, state: Arc<Mutex<State>>, held: watch::Sender<bool>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (state, held) = (state.clone(), held.clone());
        if state.lock().unwrap().resets {
            // Closing does not wait for what is unsent, and says so with a reset.
            stream.set_zero_linger().unwrap();
        }
        connections.spawn(async move {
            let service = service_fn(move |request| serve(state.clone(), held.clone(), request));
            hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await
                .ok();
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(
    state: Arc<Mutex<State>>,
    held: watch::Sender<bool>,
    request: Request<Incoming>,
) -> Result<Response<Body>, io::Error> {
    let call = taken_apart(request).await?;
    let answer = state.lock().unwrap().answer(&call);
    if answer.deletes {
        held.subscribe().wait_for(|held| !held).await.ok();
    }
    bend(answer).await
}

async fn taken_apart(request: Request<Incoming>) -> Result<Call, io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let query = head.uri.query().unwrap_or_default();
    let query = query.split('&').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (url_decode(name), url_decode(value))
    });
    // The rest of the path is the key as it stands: a leading slash or `..` belongs to it.
    let path = head.uri.path();
    let path = path.strip_prefix('/').unwrap_or(path);
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    Ok(Call {
        method: head.method,
        bucket: url_decode(bucket),
        key: url_decode(key),
        query: query.collect(),
        headers: head.headers,
        body,
    })
}

async fn bend(answer: Answer) -> Result<Response<Body>, io::Error> {
    let text = answer.body;
    let half = text.len() / 2;
    let body = match answer.behaviour {
        None | Some(Behaviour::Refuse(..) | Behaviour::LeaveOut) => whole(text),
        Some(Behaviour::CutBody) => whole(cut_in_last_key(&text)),
        Some(Behaviour::EmptyResult) => whole("<DeleteResult></DeleteResult>".to_owned()),
        Some(Behaviour::NoBody) => whole(String::new()),
        Some(Behaviour::Garbage) => whole("<html><body>Welcome!</body>".to_owned()),
        Some(Behaviour::Drop) => return Err(io::Error::other("as the test wishes")),
        Some(Behaviour::Hang) => return std::future::pending().await,
        Some(Behaviour::Delay(delay)) => {
            tokio::time::sleep(delay).await;
            whole(text)
        }
        Some(Behaviour::Drip(pause)) => {
            let bytes: Vec<_> = text.into_bytes();
            let drops = stream::iter(bytes).then(move |byte| async move {
                tokio::time::sleep(pause).await;
                Ok(Frame::data(Bytes::copy_from_slice(&[byte])))
            });
            BodyExt::boxed(StreamBody::new(drops))
        }
        Some(Behaviour::BreakBody) => {
            let error = stream::iter([Err(io::Error::other("as the test wishes"))]);
            partial(&text[..half], error)
        }
        Some(Behaviour::HangAfterHeaders) => partial(&text[..half], stream::pending()),
    };
    let length = match answer.behaviour {
        Some(Behaviour::BreakBody | Behaviour::HangAfterHeaders) => Some(text_length(half)),
        _ => None,
    };
    let mut response = Response::builder().status(StatusCode::from_u16(answer.status).unwrap());
    if let Some(id) = answer.marker {
        response = response
            .header("x-amz-delete-marker", "true")
            .header("x-amz-version-id", id);
    }
    if let Some(length) = length {
        response = response.header("content-length", length);
    }
    Ok(response.body(body).unwrap())
}

/// At least one byte more than is sent.
fn text_length(half: usize) -> usize {
    half * 2 + 1
}

fn whole(text: String) -> Body {
    Full::new(Bytes::from(text))
        .map_err(|never| match never {})
        .boxed()
}

fn partial(
    text: &str,
    then: impl futures::Stream<Item = Result<Frame<Bytes>, io::Error>> + Send + Sync + 'static,
) -> Body {
    let start = Frame::data(Bytes::from(text.to_owned()));
    // Let the first part reach the wire before the end of it.
    BodyExt::boxed(StreamBody::new(stream::iter([Ok(start)]).chain(then)))
}

/// Stops one character into the last `<Key>`; a single deletion has no body to cut.
fn cut_in_last_key(text: &str) -> String {
    let cut = text.rfind("<Key>").map_or(text.len() / 2, |at| at + 6);
    text.chars().take(cut).collect()
}

//! A double of Clerk's Backend API, over plain TCP so that it can answer as badly as any server: the list of
//! users by id, and one user.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lethe::reconcile::clerk_api::ClerkBackend;
use lethe::secret::Secret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub const SECRET_KEY: &str = "sk_test_0123456789hunter2";

/// Which requests are bent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// For the oldest user.
    Oldest,
    /// For users by id.
    List,
    /// For one user.
    Direct,
}

/// How an answer is bent.
#[derive(Clone, Debug)]
pub enum Bend {
    /// Another status with this body.
    Answer(u16, &'static str),
    /// 200 with only the first part of the JSON.
    CutJson,
    /// The connection ends before the body does.
    CutBody,
    /// 429 with these seconds.
    Throttle(u64),
    /// Nothing is answered.
    Hang,
    /// This user is deleted in Clerk first.
    Forget(&'static str),
}

#[derive(Default)]
struct State {
    users: Vec<String>,
    hidden: HashSet<String>,
    bends: Vec<(Asked, Bend, usize)>,
    asked: Vec<(Asked, String)>,
}

pub struct ClerkDouble {
    pub url: String,
    state: Arc<Mutex<State>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for ClerkDouble {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl ClerkDouble {
    pub async fn start(users: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            users: users.iter().map(|user| (*user).to_owned()).collect(),
            ..State::default()
        }));
        let shared = Arc::clone(&state);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { url, state, server }
    }

    pub fn backend(&self) -> ClerkBackend {
        ClerkBackend {
            url: self.url.parse().unwrap(),
            secret_key: Secret::new(SECRET_KEY),
        }
    }

    /// Bends the next so many answers to such requests.
    pub fn bend(&self, asked: Asked, bend: Bend, times: usize) {
        self.state.lock().unwrap().bends.push((asked, bend, times));
    }

    /// Lists leave this user out, as a page does from which somebody moved away.
    pub fn hide(&self, user: &str) {
        self.state.lock().unwrap().hidden.insert(user.to_owned());
    }

    /// How often was such a thing asked?
    pub fn count(&self, asked: Asked) -> usize {
        let state = self.state.lock().unwrap();
        state
            .asked
            .iter()
            .filter(|(kind, _)| *kind == asked)
            .count()
    }

    /// The targets of all requests.
    pub fn targets(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state
            .asked
            .iter()
            .map(|(_, target)| target.clone())
            .collect()
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    let authorized = format!("authorization: bearer {SECRET_KEY}");
    let is_authorized = head
        .lines()
        .any(|line| line.to_lowercase() == authorized.to_lowercase());
    let asked = match target.strip_prefix("/v1/users") {
        Some(rest) if rest.starts_with('/') => Asked::Direct,
        Some(rest) if rest.contains("user_id=") => Asked::List,
        _ => Asked::Oldest,
    };
    let bend = {
        let mut state = state.lock().unwrap();
        state.asked.push((asked, target.clone()));
        let bend = state
            .bends
            .iter_mut()
            .find(|(when, _, times)| *when == asked && *times > 0);
        let bend = bend.map(|(_, bend, times)| {
            *times -= 1;
            bend.clone()
        });
        if let Some(Bend::Forget(user)) = &bend {
            state.users.retain(|one| one != user);
        }
        bend
    };
    let (status, body) = if is_authorized {
        answer(&state.lock().unwrap(), asked, &target)
    } else {
        (401, error("authentication_invalid"))
    };
    let (mut more, mut length) = (String::new(), body.len());
    let (status, body) = match bend {
        None | Some(Bend::Forget(_)) => (status, body),
        Some(Bend::Answer(status, text)) => {
            length = text.len();
            (status, text.to_owned())
        }
        Some(Bend::CutJson) => {
            length = body.len() - 2;
            (status, body[..length].to_owned())
        }
        Some(Bend::CutBody) => (status, body[..body.len() / 2].to_owned()),
        Some(Bend::Throttle(seconds)) => {
            more = format!("Retry-After: {seconds}\r\n");
            length = 0;
            (429, String::new())
        }
        Some(Bend::Hang) => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            return;
        }
    };
    let answer = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n{more}\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await.ok();
    stream.shutdown().await.ok();
}

fn answer(state: &State, asked: Asked, target: &str) -> (u16, String) {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let values = |name: &str| -> Vec<&str> {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value)
            .collect()
    };
    // Ten, if it is not asked for otherwise.
    let limit: usize = values("limit")
        .first()
        .map_or(10, |limit| limit.parse().unwrap());
    match asked {
        Asked::Direct => {
            let id = target.rsplit('/').next().unwrap();
            if state.users.iter().any(|user| user == id) {
                (200, user(id))
            } else {
                (404, error("resource_not_found"))
            }
        }
        Asked::Oldest => {
            assert_eq!(values("order_by"), ["%2Bcreated_at"]);
            (200, list(state.users.iter().take(limit)))
        }
        Asked::List => {
            let ids = values("user_id");
            if ids.len() > 100 || limit > 500 {
                return (422, error("form_param_value_invalid"));
            }
            let listed = state
                .users
                .iter()
                .filter(|user| ids.contains(&user.as_str()) && !state.hidden.contains(*user));
            (200, list(listed.take(limit)))
        }
    }
}

fn list<'a>(users: impl Iterator<Item = &'a String>) -> String {
    let users: Vec<String> = users.map(|id| user(id)).collect();
    format!("[{}]", users.join(","))
}

fn user(id: &str) -> String {
    format!(r#"{{"id":"{id}","object":"user","username":null,"created_at":1700690400000}}"#)
}

fn error(code: &str) -> String {
    format!(
        r#"{{"errors":[{{"message":"x","long_message":"x","code":"{code}"}}],"clerk_trace_id":"t"}}"#
    )
}

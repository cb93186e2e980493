//! The HTTP interface: routes, credentials, problem bodies, and the server.

pub mod admin_tokens;
pub mod answer;
pub mod api;
mod body;
mod catch_all;
mod compression;
mod connection;
mod correlation;
pub mod credentials;
pub mod json_body;
pub mod jwks;
pub mod limits;
pub mod problem;
pub mod request_id;
pub mod server;
pub mod session;
mod session_claims;
pub mod session_keys;
mod static_text;
mod usage;
pub mod webhook_signature;

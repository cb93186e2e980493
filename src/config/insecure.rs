//! What may go unencrypted to another machine (`ALLOW_INSECURE`).

use reqwest::Url;

use super::reader::Reader;
use super::variables::{ALLOW_INSECURE, Variable};
use crate::db::url::{DatabaseUrl, is_loopback};

/// A connection that must be encrypted, unless it stays on this machine or `ALLOW_INSECURE` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connection {
    Database,
    Jwks,
    ClerkApi,
    S3,
    Notices,
    Traces,
}

impl Connection {
    const ALL: [Self; 6] = [
        Self::Database,
        Self::Jwks,
        Self::ClerkApi,
        Self::S3,
        Self::Notices,
        Self::Traces,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Jwks => "jwks",
            Self::ClerkApi => "clerk-api",
            Self::S3 => "s3",
            Self::Notices => "notices",
            Self::Traces => "traces",
        }
    }

    /// What somebody on the way could do.
    const fn danger(self) -> &'static str {
        match self {
            Self::Database => "would send the password and all rows unencrypted",
            Self::Jwks => "would take from anybody on the way the keys that open sessions",
            Self::ClerkApi => {
                "would send CLERK_SECRET_KEY unencrypted, and believe anybody on the way about who is deleted"
            }
            Self::S3 => {
                "would send object keys unencrypted, and believe anybody on the way about what is deleted"
            }
            Self::Notices => "would send the ids of erased users unencrypted",
            Self::Traces => {
                "would send OTEL_EXPORTER_OTLP_HEADERS and what is done when unencrypted"
            }
        }
    }
}

/// Records a fault if the database's URL neither demands encryption nor stays on this machine.
pub(super) fn check_database(reader: &mut Reader<'_>, variable: &Variable, url: &DatabaseUrl) {
    if !url.is_encrypted() && !url.is_local() {
        refuse(
            reader,
            variable,
            Connection::Database,
            "Add sslmode=verify-full to it (require at least)",
        );
    }
}

/// Reads an `http` or `https` URL, and records a fault for `http://` to another machine.
pub(super) fn url(
    reader: &mut Reader<'_>,
    variable: &Variable,
    connection: Connection,
) -> Option<Url> {
    let url = reader.http_url(variable)?;
    if url.scheme() != "https" && !is_loopback(url.host_str().unwrap_or_default()) {
        refuse(reader, variable, connection, "Give an https URL");
    }
    Some(url)
}

fn refuse(reader: &mut Reader<'_>, variable: &Variable, connection: Connection, remedy: &str) {
    if is_allowed(reader, connection) {
        return;
    }
    reader.fault(
        variable,
        connection.danger(),
        format!(
            "{remedy}, or set ALLOW_INSECURE={} if the network in between is yours alone.",
            connection.word()
        ),
    );
}

/// Whether `ALLOW_INSECURE` names this connection. Records a fault for each entry that it cannot have.
pub(super) fn is_allowed(reader: &mut Reader<'_>, connection: Connection) -> bool {
    allowed(reader).contains(&connection)
}

fn allowed(reader: &mut Reader<'_>) -> Vec<Connection> {
    let mut allowed = Vec::new();
    for entry in reader.list(&ALLOW_INSECURE) {
        match Connection::ALL.iter().find(|one| one.word() == entry) {
            Some(connection) => allowed.push(*connection),
            None => reader.fault(
                &ALLOW_INSECURE,
                &format!("has the entry `{entry}`"),
                "Give any of database, jwks, clerk-api, s3 and notices, separated by commas.",
            ),
        }
    }
    allowed
}

//! Whether the connections to the database are encrypted, and whether they can only lead to the right server.

use sqlx::postgres::PgSslMode;
use sqlx::{PgConnection, query_file_scalar};

use super::table::{Finding, TrialResult};
use super::trial::Trial;
use crate::config::Database;
use crate::db::url::DatabaseUrl;

const REMEDY: &str = "Set sslmode=verify-full in the URL (sslrootcert=… for an authority of your own), or \
                      ALLOW_INSECURE=database if the network in between is yours alone.";

/// One finding for the URL of the pool, whose connection this is, and one for that of LISTEN if it is another.
pub(super) async fn check(
    trial: &Trial,
    connection: &mut PgConnection,
    database: &Database,
) -> Vec<Finding> {
    let is_allowed = database.insecure_is_allowed;
    let seen = seen_by_server(trial, connection).await;
    let mut findings = vec![judge("encryption", &database.url, is_allowed, &seen)];
    if database.listen_url.expose() != database.url.expose() {
        let seen = match trial.connect(&database.listen_url).await {
            Ok(mut connection) => seen_by_server(trial, &mut connection).await,
            // The line about LISTEN says why.
            Err(_) => "no connection".to_owned(),
        };
        let finding = judge(
            "encryption of LISTEN",
            &database.listen_url,
            is_allowed,
            &seen,
        );
        findings.push(finding);
    }
    findings
}

/// What the server says of this connection. A pooler in between has a connection of its own, with or without TLS.
async fn seen_by_server(trial: &Trial, connection: &mut PgConnection) -> String {
    let version = query_file_scalar!("sql/check/tls.sql").fetch_optional(connection);
    match trial.answer(version).await {
        Ok(version) => match version.flatten() {
            Some(version) => format!("the server sees {version}"),
            None => "the server sees no TLS".to_owned(),
        },
        Err(problem) => format!("what the server sees is not known: {problem}"),
    }
}

/// Judges by the `sslmode` that is configured, because only that decides what an attacker on the network path can do.
fn judge(name: &str, url: &DatabaseUrl, is_allowed: bool, seen: &str) -> Finding {
    let (mode, effect) = meaning(url.ssl_mode());
    let place = if url.is_local() {
        " (on this machine)"
    } else {
        ""
    };
    let detail = format!("sslmode={mode}{place}: {effect}; {seen}");
    let result = match url.ssl_mode() {
        PgSslMode::VerifyFull => TrialResult::Works,
        _ if url.is_local() => TrialResult::Works,
        _ if is_allowed => TrialResult::Note,
        _ => TrialResult::Wrong,
    };
    let remedy = match result {
        TrialResult::Works => "",
        TrialResult::Note => {
            "ALLOW_INSECURE has `database`. sslmode=verify-full would prove that it is your server."
        }
        TrialResult::Wrong => REMEDY,
    };
    Finding::new(name, result, detail, remedy)
}

/// The word of a mode, and what it makes sure of.
fn meaning(mode: PgSslMode) -> (&'static str, &'static str) {
    match mode {
        PgSslMode::Disable => ("disable", "never encrypted"),
        PgSslMode::Allow => ("allow", "never encrypted, because sqlx has no such mode"),
        PgSslMode::Prefer => (
            "prefer",
            "encrypted if the server offers it, which somebody on the way can prevent",
        ),
        PgSslMode::Require => (
            "require",
            "encrypted, but any server with any certificate is believed",
        ),
        PgSslMode::VerifyCa => (
            "verify-ca",
            "encrypted, and the certificate is verified, but not the name in it",
        ),
        PgSslMode::VerifyFull => (
            "verify-full",
            "encrypted, and certificate and name are verified",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_verify_full_a_database_elsewhere_is_wrong_unless_it_is_allowed() {
        use TrialResult::{Note, Works, Wrong};
        for (url, is_allowed, result) in [
            (
                "postgres://u:hunter2@db/a?sslmode=verify-full",
                false,
                Works,
            ),
            ("postgres://u:hunter2@db/a?sslmode=verify-full", true, Works),
            ("postgres://u:hunter2@db/a?sslmode=verify-ca", false, Wrong),
            ("postgres://u:hunter2@db/a?sslmode=require", false, Wrong),
            (
                "postgres://u:hunter2@10.0.0.7/a?sslmode=prefer",
                false,
                Wrong,
            ),
            ("postgres://u:hunter2@db/a?sslmode=require", true, Note),
            ("postgres://u:hunter2@db/a?sslmode=disable", true, Note),
            (
                "postgres://u:hunter2@localhost/a?sslmode=disable",
                false,
                Works,
            ),
            ("postgres://u:hunter2@[::1]/a?sslmode=prefer", false, Works),
            (
                "postgres:///a?host=/var/run/postgresql&sslmode=prefer",
                false,
                Works,
            ),
        ] {
            let url: DatabaseUrl = url.parse().unwrap();
            let mode = meaning(url.ssl_mode()).0;
            // A pooler may speak TLS to the server while it takes plain connections.
            let finding = judge("encryption", &url, is_allowed, "the server sees TLSv1.3");
            assert_eq!(finding.result, result, "{mode}: {finding:?}");
            assert!(
                finding.detail.contains(&format!("sslmode={mode}")),
                "{finding:?}"
            );
            assert!(finding.detail.contains("TLSv1.3"), "{finding:?}");
            assert_eq!(finding.remedy.is_empty(), result == Works, "{finding:?}");
            assert!(!format!("{finding:?}").contains("hunter2"));
        }
    }
}

//! What `lethe check` says of the encryption between Lethe and a PostgreSQL that speaks TLS.

use std::path::Path;

use crate::check::{check, row};
use crate::support::own_postgres::OwnPostgres;

/// No loopback address to Lethe, and yet this machine.
const ELSEWHERE: &str = "0.0.0.0";

#[tokio::test(flavor = "multi_thread")]
async fn check_says_what_protects_the_connections_to_the_database() {
    let postgres = OwnPostgres::start(&[]).await;
    postgres.speak_tls().await;
    let world = postgres.world(postgres.url()).await;
    let url = |host: &str, parameters: &str| {
        let own = format!("127.0.0.1:{}", postgres.port());
        let place = format!("{host}:{}", postgres.port());
        format!("{}?{parameters}", postgres.url().replace(&own, &place))
    };
    let ca = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/database-ca.pem");
    let ca = ca.display();
    let full = format!("sslmode=verify-full&sslrootcert={ca}");
    let by_ca = format!("sslmode=verify-ca&sslrootcert={ca}");
    for (host, parameters, allowed, mark, words) in [
        (
            "127.0.0.1",
            "sslmode=prefer",
            "",
            "ok",
            ["on this machine", "the server sees TLSv1."],
        ),
        (
            "127.0.0.1",
            "sslmode=disable",
            "",
            "ok",
            ["never encrypted", "no TLS"],
        ),
        (
            ELSEWHERE,
            "sslmode=disable",
            "database",
            "-",
            ["never encrypted", "no TLS"],
        ),
        (
            ELSEWHERE,
            "sslmode=require",
            "",
            "WRONG",
            ["any certificate", "the server sees TLSv1."],
        ),
        (
            ELSEWHERE,
            "sslmode=require",
            "s3,database",
            "-",
            ["any certificate", "TLSv1."],
        ),
        (
            ELSEWHERE,
            &by_ca,
            "",
            "WRONG",
            ["not the name in it", "TLSv1."],
        ),
        (
            ELSEWHERE,
            &full,
            "",
            "ok",
            ["certificate and name are verified", "TLSv1."],
        ),
    ] {
        let url = url(host, parameters);
        let mut more = vec![("DATABASE_URL", url.as_str())];
        if !allowed.is_empty() {
            more.push(("ALLOW_INSECURE", allowed));
        }
        let (_, text) = check(&world, &more).await;
        let encryption = row(&text, "encryption");
        assert_eq!(encryption[0], mark, "{parameters}\n{text}");
        for words in words {
            assert!(
                encryption[2].contains(words),
                "{parameters}: {words}\n{text}"
            );
        }
        assert_eq!(encryption[3].is_empty(), mark == "ok", "{text}");
        assert_eq!(row(&text, "database")[0], "ok", "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_for_listen_is_judged_by_itself_and_a_false_server_is_refused() {
    let postgres = OwnPostgres::start(&[]).await;
    postgres.speak_tls().await;
    let world = postgres.world(postgres.url()).await;
    let own = format!("127.0.0.1:{}", postgres.port());
    let place = format!("{ELSEWHERE}:{}", postgres.port());
    let elsewhere = postgres.url().replace(&own, &place);
    let url = format!("{elsewhere}?sslmode=require");
    let (is_fine, text) = check(&world, &[("DATABASE_LISTEN_URL", &url)]).await;
    assert!(!is_fine, "{text}");
    assert_eq!(row(&text, "encryption")[0], "ok", "{text}");
    let listen = row(&text, "encryption of LISTEN");
    assert_eq!(listen[0], "WRONG", "{text}");
    assert!(listen[3].contains("verify-full"), "{text}");
    // No public authority has signed its certificate.
    let url = format!("{elsewhere}?sslmode=verify-full");
    let (is_fine, text) = check(&world, &[("DATABASE_URL", &url)]).await;
    assert!(!is_fine, "{text}");
    let database = row(&text, "database");
    assert!(
        database[0] == "WRONG" && database[2].contains("certificate"),
        "{text}"
    );
}

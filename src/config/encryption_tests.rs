//! What may go unencrypted, through the sections that read it.

use super::database::Database;
use super::fault::ConfigError;
use super::reader::Section;
use super::testing::{PEM, WHSEC, at_fault, parse};
use super::{Serve, Worker};

const DATABASE: (&str, &str) = ("DATABASE_URL", "postgres://u:hunter2@db/app");

fn faults<S: Section>(pairs: &[(&str, &str)]) -> Vec<String> {
    parse::<S>(pairs).map_or_else(|error: ConfigError| at_fault(&error), |_| Vec::new())
}

#[test]
fn a_database_on_another_machine_is_asked_with_encryption_only() {
    for (url, accepted) in [
        ("postgres://u:hunter2@db/app", false),
        ("postgres://u:hunter2@db/app?sslmode=prefer", false),
        ("postgres://u:hunter2@db/app?sslmode=disable", false),
        ("postgres://u:hunter2@10.0.0.7/app", false),
        ("postgres://u:hunter2@localhost.example/app", false),
        ("postgres://u:hunter2@db/app?sslmode=require", true),
        ("postgres://u:hunter2@db/app?sslmode=verify-full", true),
        ("postgres://u:hunter2@localhost/app", true),
        ("postgres://u:hunter2@127.1.2.3/app", true),
        ("postgres://u:hunter2@[::1]/app", true),
        ("postgres:///app?host=/var/run/postgresql", true),
    ] {
        let faults = faults::<Database>(&[("DATABASE_URL", url)]);
        assert_eq!(faults.is_empty(), accepted, "{url}: {faults:?}");
    }
    let error = parse::<Database>(&[DATABASE]).unwrap_err();
    assert_eq!(error.faults[0].variable, "DATABASE_URL");
    assert!(
        error.to_string().contains("ALLOW_INSECURE=database"),
        "{error}"
    );
    assert!(!error.to_string().contains("hunter2"), "{error}");
    let allows = |list| {
        let database: Database = parse(&[
            ("DATABASE_URL", "postgres://localhost/app"),
            ("ALLOW_INSECURE", list),
        ])
        .unwrap();
        database.insecure_is_allowed
    };
    assert!(allows("s3,database") && !allows("s3"));
    let listen = [
        ("DATABASE_URL", "postgres://localhost/app"),
        ("DATABASE_LISTEN_URL", "postgres://db/app"),
    ];
    assert_eq!(faults::<Database>(&listen), ["DATABASE_LISTEN_URL"]);
}

#[test]
fn what_the_list_names_may_go_unencrypted_and_nothing_else() {
    let serve = [
        DATABASE,
        ("CLERK_WEBHOOK_SIGNING_SECRET", WHSEC),
        ("CLERK_JWKS_URL", "http://clerk.example/jwks"),
    ];
    assert_eq!(faults::<Serve>(&serve), ["DATABASE_URL", "CLERK_JWKS_URL"]);
    let allowing = |list| [&serve[..], &[("ALLOW_INSECURE", list)]].concat();
    assert_eq!(faults::<Serve>(&allowing("jwks")), ["DATABASE_URL"]);
    assert_eq!(faults::<Serve>(&allowing("database, jwks")), [""; 0]);
    assert_eq!(
        faults::<Serve>(&allowing("database,jkws")),
        ["CLERK_JWKS_URL", "ALLOW_INSECURE"]
    );
    let key = [
        ("CLERK_JWT_KEY", PEM),
        ("DATABASE_URL", "postgres://localhost/app"),
    ];
    assert_eq!(faults::<Serve>(&[&key[..], &serve[1..2]].concat()), [""; 0]);
    // A mistyped entry is told although nothing needs it.
    let mistyped = [&key[..], &serve[1..2], &[("ALLOW_INSECURE", "databse")]].concat();
    assert_eq!(faults::<Serve>(&mistyped), ["ALLOW_INSECURE"]);
}

#[test]
fn the_store_and_clerks_api_are_asked_by_https() {
    let worker = [
        ("DATABASE_URL", "postgres://localhost/app"),
        ("S3_BUCKET", "images"),
        ("CLERK_SECRET_KEY", "sk_test_1"),
    ];
    let with = |more: &[(&str, &str)]| faults::<Worker>(&[&worker[..], more].concat());
    assert_eq!(with(&[]), [""; 0]);
    assert_eq!(
        with(&[("AWS_ENDPOINT_URL_S3", "http://s3:8333")]),
        ["AWS_ENDPOINT_URL_S3"]
    );
    assert_eq!(
        with(&[("AWS_ENDPOINT_URL", "http://10.0.0.7")]),
        ["AWS_ENDPOINT_URL"]
    );
    assert_eq!(
        with(&[("AWS_ENDPOINT_URL_S3", "http://[::1]:8333")]),
        [""; 0]
    );
    assert_eq!(
        with(&[("CLERK_API_URL", "http://clerk.example")]),
        ["CLERK_API_URL"]
    );
    let allowed = ("ALLOW_INSECURE", "s3,clerk-api");
    let both = [
        ("AWS_ENDPOINT_URL_S3", "http://s3:8333"),
        ("CLERK_API_URL", "http://clerk.example"),
        allowed,
    ];
    assert_eq!(with(&both), [""; 0]);
}

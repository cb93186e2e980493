//! The bucket and how it is reached.

use super::insecure;
use super::reader::{Reader, Section, read_all};
use super::variables::{
    AWS_ACCESS_KEY_ID, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3, AWS_REGION,
    AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, S3_ATTEMPT_TIMEOUT_MS, S3_BUCKET,
    S3_CONNECT_TIMEOUT_MS, S3_FORCE_PATH_STYLE, S3_KEY_PREFIXES, S3_OPERATION_TIMEOUT_MS, Variable,
};
use crate::storage::{KeyPrefixes, StoreConfig};

impl Section for StoreConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let endpoints = [&AWS_ENDPOINT_URL_S3, &AWS_ENDPOINT_URL].map(|variable| {
            insecure::url(reader, variable, insecure::Connection::S3)?;
            reader.text(variable)
        });
        let endpoint = endpoints.into_iter().flatten().next();
        let region = [&AWS_REGION, &AWS_DEFAULT_REGION].map(|variable| reader.text(variable));
        let timeouts = reader.ordered_millis(&S3_ATTEMPT_TIMEOUT_MS, &S3_OPERATION_TIMEOUT_MS);
        check_credentials(reader);
        read_all!(Self {
            bucket: bucket(reader),
            force_path_style: reader
                .switch(&S3_FORCE_PATH_STYLE)
                .or(Some(endpoint.is_some())),
            connect_timeout: reader.millis(&S3_CONNECT_TIMEOUT_MS),
            attempt_timeout: timeouts.map(|(attempt, _)| attempt),
            operation_timeout: timeouts.map(|(_, operation)| operation),
            endpoint: Some(endpoint.map(str::to_owned)),
            region: Some(region.into_iter().flatten().next().map(str::to_owned)),
            access_key_id: Some(reader.secret(&AWS_ACCESS_KEY_ID)),
            secret_access_key: Some(reader.secret(&AWS_SECRET_ACCESS_KEY)),
            session_token: Some(reader.secret(&AWS_SESSION_TOKEN)),
            key_prefixes: Some(key_prefixes(reader)),
        })
    }
}

fn key_prefixes(reader: &mut Reader<'_>) -> KeyPrefixes {
    let prefixes = reader.list(&S3_KEY_PREFIXES);
    KeyPrefixes::new(prefixes.into_iter().map(str::to_owned).collect())
}

/// The bucket's name. Stores differ in what they allow, so only what cannot be a name in any of
/// them is refused here; `lethe check` asks the store itself.
fn bucket(reader: &mut Reader<'_>) -> Option<String> {
    const REMEDY: &str = "Give the bucket's name alone, such as sample-images.";
    let name = reader.required(&S3_BUCKET, REMEDY)?;
    let is_arn = name.starts_with("arn:");
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if !is_arn && !name.bytes().all(is_name) {
        reader.fault(
            &S3_BUCKET,
            &format!("is `{name}`, which is not a bucket's name"),
            REMEDY,
        );
        return None;
    }
    Some(name.to_owned())
}

/// Half a pair would silently fall back to the SDK's chain, and so to somebody else's rights.
fn check_credentials(reader: &mut Reader<'_>) {
    const PAIR: &str = "Set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither of them.";
    let is_set = |variable: &Variable| reader.rank(variable).is_some();
    let [id, key, token] = [
        &AWS_ACCESS_KEY_ID,
        &AWS_SECRET_ACCESS_KEY,
        &AWS_SESSION_TOKEN,
    ]
    .map(is_set);
    let (variable, missing, remedy) = match (id, key) {
        (true, false) => (&AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY.name, PAIR),
        (false, true) => (&AWS_SECRET_ACCESS_KEY, AWS_ACCESS_KEY_ID.name, PAIR),
        (false, false) if token => (
            &AWS_SESSION_TOKEN,
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            "Set all three, or none of them.",
        ),
        _ => return,
    };
    reader.fault(variable, &format!("is set without {missing}"), remedy);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::fault::ConfigError;
    use crate::config::testing::{at_fault, parse as parse_section};

    fn parse(pairs: &[(&str, &str)]) -> Result<StoreConfig, ConfigError> {
        parse_section(&[&[("S3_BUCKET", "images")], pairs].concat())
    }

    fn faulty(pairs: &[(&str, &str)]) -> Vec<String> {
        at_fault(&parse(pairs).unwrap_err())
    }

    #[test]
    fn the_defaults_are_the_documented_ones_and_the_rest_is_the_sdks() {
        assert_eq!(
            parse(&[]).unwrap(),
            StoreConfig {
                bucket: "images".to_owned(),
                force_path_style: false,
                connect_timeout: Duration::from_secs(3),
                attempt_timeout: Duration::from_secs(20),
                operation_timeout: Duration::from_secs(60),
                endpoint: None,
                region: None,
                access_key_id: None,
                secret_access_key: None,
                session_token: None,
                key_prefixes: KeyPrefixes::default(),
            }
        );
    }

    #[test]
    fn an_endpoint_turns_path_style_on_unless_told_otherwise() {
        let endpoint = ("AWS_ENDPOINT_URL", "http://localhost:9000");
        assert!(parse(&[endpoint]).unwrap().force_path_style);
        assert!(
            !parse(&[endpoint, ("S3_FORCE_PATH_STYLE", "false")])
                .unwrap()
                .force_path_style
        );
        assert!(
            parse(&[("S3_FORCE_PATH_STYLE", "TRUE")])
                .unwrap()
                .force_path_style
        );
        assert_eq!(
            faulty(&[("S3_FORCE_PATH_STYLE", "maybe")]),
            ["S3_FORCE_PATH_STYLE"]
        );
    }

    #[test]
    fn the_endpoint_for_s3_comes_before_the_one_for_all_services() {
        let storage = parse(&[
            ("AWS_ENDPOINT_URL", "https://all"),
            ("AWS_ENDPOINT_URL_S3", "https://s3"),
            ("AWS_DEFAULT_REGION", "eu-west-1"),
        ]);
        let storage = storage.unwrap();
        assert_eq!(storage.endpoint.as_deref(), Some("https://s3"));
        assert_eq!(storage.region.as_deref(), Some("eu-west-1"));
    }

    #[test]
    fn an_endpoint_that_is_no_web_address_is_a_fault() {
        for url in [
            "localhost:9000",
            "minio",
            "ftp://x",
            "http://",
            "http://u:hunter2@s3",
        ] {
            let error = parse(&[("AWS_ENDPOINT_URL_S3", url)]).unwrap_err();
            assert_eq!(error.faults.len(), 1, "{url}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn half_a_credential_pair_is_a_fault() {
        assert_eq!(
            faulty(&[("AWS_ACCESS_KEY_ID", "id")]),
            ["AWS_ACCESS_KEY_ID"]
        );
        assert_eq!(
            faulty(&[("AWS_SECRET_ACCESS_KEY", "key")]),
            ["AWS_SECRET_ACCESS_KEY"]
        );
        assert_eq!(
            faulty(&[("AWS_SESSION_TOKEN", "token")]),
            ["AWS_SESSION_TOKEN"]
        );
        let pair = [
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "key"),
        ];
        assert!(parse(&pair).is_ok());
    }

    #[test]
    fn one_try_may_not_outlast_the_whole_call() {
        let both = [
            ("S3_ATTEMPT_TIMEOUT_MS", "3000"),
            ("S3_OPERATION_TIMEOUT_MS", "2000"),
        ];
        assert_eq!(faulty(&both), ["S3_ATTEMPT_TIMEOUT_MS"]);
        let short = parse(&[("S3_OPERATION_TIMEOUT_MS", "2000")]).unwrap();
        assert_eq!(short.attempt_timeout, Duration::from_secs(2));
        let long = parse(&[("S3_ATTEMPT_TIMEOUT_MS", "90000")]).unwrap();
        assert_eq!(long.operation_timeout, Duration::from_secs(90));
    }

    #[test]
    fn a_bucket_is_a_name_and_not_an_address() {
        for (bucket, accepted) in [
            ("images", true),
            ("My_Legacy.Bucket", true),
            ("arn:aws:s3:eu-west-1:123456789012:accesspoint/images", true),
            ("s3://images", false),
            ("images/2024", false),
            ("two words", false),
        ] {
            let parsed = parse_section::<StoreConfig>(&[("S3_BUCKET", bucket)]);
            assert_eq!(parsed.is_ok(), accepted, "{bucket}");
        }
    }
}

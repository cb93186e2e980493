//! The bucket and the way to it.

use std::time::Duration;

use super::reader::{Reader, Section};
use super::secret::Secret;
use super::variables::{
    AWS_ACCESS_KEY_ID, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3, AWS_REGION,
    AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, S3_ATTEMPT_TIMEOUT_MS, S3_BUCKET,
    S3_CONNECT_TIMEOUT_MS, S3_DELETE_RATE, S3_FORCE_PATH_STYLE, S3_OPERATION_TIMEOUT_MS,
};

/// The bucket and the way to it. What is `None` is left to the AWS SDK's own chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Bucket of the sample images, or the ARN of an access point.
    pub bucket: String,
    /// Ask for `host/bucket/key` instead of `bucket.host/key`.
    pub force_path_style: bool,
    /// Most objects deleted per second by all workers together.
    pub delete_rate: Option<u32>,
    /// Time-out of one connect.
    pub connect_timeout: Duration,
    /// Time-out of one try; at most `operation_timeout`.
    pub attempt_timeout: Duration,
    /// Time-out of one call with the SDK's retries.
    pub operation_timeout: Duration,
    /// `http` or `https` URL of any S3-compatible store.
    pub endpoint: Option<String>,
    /// Region of the bucket.
    pub region: Option<String>,
    /// Given together with `secret_access_key`, or not at all.
    pub access_key_id: Option<String>,
    /// Given together with `access_key_id`, or not at all.
    pub secret_access_key: Option<Secret>,
    /// Given only with the two keys.
    pub session_token: Option<Secret>,
}

impl Section for Storage {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let bucket = bucket(reader);
        let endpoint = [&AWS_ENDPOINT_URL_S3, &AWS_ENDPOINT_URL].map(|name| reader.http_url(name));
        let endpoint = endpoint.into_iter().flatten().next();
        let region = reader
            .text(&AWS_REGION)
            .or(reader.text(&AWS_DEFAULT_REGION));
        let force_path_style = reader
            .switch(&S3_FORCE_PATH_STYLE)
            .unwrap_or(endpoint.is_some());
        let delete_rate = reader.explicit_number(&S3_DELETE_RATE);
        let connect_timeout = reader.millis(&S3_CONNECT_TIMEOUT_MS);
        let timeouts = reader.ordered_millis(&S3_ATTEMPT_TIMEOUT_MS, &S3_OPERATION_TIMEOUT_MS);
        check_credentials(reader);
        let access_key_id = reader.text(&AWS_ACCESS_KEY_ID);
        let secret_access_key = reader.secret(&AWS_SECRET_ACCESS_KEY);
        let session_token = reader.secret(&AWS_SESSION_TOKEN);
        let (attempt_timeout, operation_timeout) = timeouts?;
        Some(Self {
            bucket: bucket?,
            force_path_style,
            delete_rate: delete_rate.and_then(|rate| u32::try_from(rate).ok()),
            connect_timeout: connect_timeout?,
            attempt_timeout,
            operation_timeout,
            endpoint,
            region: region.map(str::to_owned),
            access_key_id: access_key_id.map(str::to_owned),
            secret_access_key,
            session_token,
        })
    }
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
    let is_set = |reader: &Reader<'_>, name| reader.rank(name).is_some();
    let id = is_set(reader, &AWS_ACCESS_KEY_ID);
    let key = is_set(reader, &AWS_SECRET_ACCESS_KEY);
    let without = |missing: &str| format!("is set without {missing}");
    let remedy = "Set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither of them.";
    match (id, key) {
        (true, false) => {
            reader.fault(
                &AWS_ACCESS_KEY_ID,
                &without(AWS_SECRET_ACCESS_KEY.name),
                remedy,
            );
        }
        (false, true) => {
            reader.fault(
                &AWS_SECRET_ACCESS_KEY,
                &without(AWS_ACCESS_KEY_ID.name),
                remedy,
            );
        }
        (false, false) if is_set(reader, &AWS_SESSION_TOKEN) => {
            reader.fault(
                &AWS_SESSION_TOKEN,
                &without("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
                "Set all three, or none of them.",
            );
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigError, Origin, Source};

    fn parse(pairs: &[(&str, &str)]) -> Result<Storage, ConfigError> {
        let bucket = [("S3_BUCKET", "images")];
        let pairs = pairs.iter().copied().chain(bucket);
        Storage::parse(&Source::empty().with(Origin::Environment, pairs))
    }

    fn faulty(pairs: &[(&str, &str)]) -> Vec<String> {
        parse(pairs)
            .unwrap_err()
            .faults
            .into_iter()
            .map(|fault| fault.variable)
            .collect()
    }

    #[test]
    fn defaults_are_the_contracts_and_the_rest_is_the_sdks() {
        assert_eq!(
            parse(&[]).unwrap(),
            Storage {
                bucket: "images".to_owned(),
                force_path_style: false,
                delete_rate: None,
                connect_timeout: Duration::from_secs(3),
                attempt_timeout: Duration::from_secs(20),
                operation_timeout: Duration::from_secs(60),
                endpoint: None,
                region: None,
                access_key_id: None,
                secret_access_key: None,
                session_token: None,
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
            ("AWS_ENDPOINT_URL", "http://all"),
            ("AWS_ENDPOINT_URL_S3", "http://s3"),
            ("AWS_DEFAULT_REGION", "eu-west-1"),
        ]);
        let storage = storage.unwrap();
        assert_eq!(storage.endpoint.as_deref(), Some("http://s3"));
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
        assert_eq!(parse(&pair).unwrap().access_key_id.as_deref(), Some("id"));
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
            let source = Source::empty().with(Origin::Environment, [("S3_BUCKET", bucket)]);
            assert_eq!(Storage::parse(&source).is_ok(), accepted, "{bucket}");
        }
    }

    #[test]
    fn a_delete_rate_of_zero_would_delete_nothing_and_is_refused() {
        assert_eq!(faulty(&[("S3_DELETE_RATE", "0")]), ["S3_DELETE_RATE"]);
        assert_eq!(
            parse(&[("S3_DELETE_RATE", "250")]).unwrap().delete_rate,
            Some(250)
        );
    }
}

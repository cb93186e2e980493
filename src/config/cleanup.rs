//! How the queue is worked off.

use super::reader::{Reader, Section, read_all};
use super::variables::{
    CLEANUP_BACKOFF_BASE_MS, CLEANUP_BACKOFF_MAX_MS, CLEANUP_CLAIM_BATCH, CLEANUP_CONCURRENCY,
    CLEANUP_LEASE_MS, CLEANUP_MAX_ATTEMPTS, CLEANUP_POLL_INTERVAL_MS, CLEANUP_RETENTION_DAYS,
    SHUTDOWN_TIMEOUT_MS,
};
use crate::worker::Cleanup;

impl Section for Cleanup {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let backoff = reader.ordered_millis(&CLEANUP_BACKOFF_BASE_MS, &CLEANUP_BACKOFF_MAX_MS);
        read_all!(Self {
            poll_interval: reader.millis(&CLEANUP_POLL_INTERVAL_MS),
            lease: reader.millis(&CLEANUP_LEASE_MS),
            backoff_base: backoff.map(|(base, _)| base),
            backoff_max: backoff.map(|(_, max)| max),
            claim_batch: reader.number(&CLEANUP_CLAIM_BATCH),
            concurrency: reader.number(&CLEANUP_CONCURRENCY),
            max_attempts: reader.number(&CLEANUP_MAX_ATTEMPTS),
            retention_days: reader.number(&CLEANUP_RETENTION_DAYS),
            shutdown_timeout: reader.millis(&SHUTDOWN_TIMEOUT_MS),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::fault::ConfigError;
    use crate::config::testing::parse as parse_section;

    fn parse(pairs: &[(&str, &str)]) -> Result<Cleanup, ConfigError> {
        parse_section(pairs)
    }

    #[test]
    fn the_defaults_are_the_documented_ones() {
        assert_eq!(
            parse(&[]).unwrap(),
            Cleanup {
                poll_interval: Duration::from_millis(5_000),
                lease: Duration::from_millis(30_000),
                backoff_base: Duration::from_millis(5_000),
                backoff_max: Duration::from_millis(3_600_000),
                claim_batch: 500,
                concurrency: 8,
                max_attempts: 8,
                retention_days: 30,
                shutdown_timeout: Duration::from_millis(25_000),
            }
        );
    }

    #[test]
    fn the_documented_minimums_are_accepted_and_anything_less_is_refused() {
        for (name, least) in [
            ("CLEANUP_LEASE_MS", 1000),
            ("CLEANUP_POLL_INTERVAL_MS", 100),
            ("CLEANUP_BACKOFF_BASE_MS", 100),
            ("CLEANUP_BACKOFF_MAX_MS", 100),
            ("CLEANUP_CLAIM_BATCH", 1),
            ("CLEANUP_CONCURRENCY", 1),
            ("CLEANUP_MAX_ATTEMPTS", 1),
        ] {
            assert!(
                parse(&[(name, &least.to_string())]).is_ok(),
                "{name}={least}"
            );
            for less in [least - 1, 0] {
                let error = parse(&[(name, &less.to_string())]).unwrap_err();
                assert!(error.faults[0].problem.contains("too small"), "{error}");
            }
        }
        for zero in ["SHUTDOWN_TIMEOUT_MS", "CLEANUP_RETENTION_DAYS"] {
            assert!(parse(&[(zero, "0")]).is_ok(), "{zero}");
        }
    }

    #[test]
    fn what_is_too_large_or_no_number_is_refused_with_the_bounds() {
        for (name, value, problem) in [
            (
                "CLEANUP_CLAIM_BATCH",
                "10001",
                "is 10001, which is too large.",
            ),
            ("CLEANUP_CONCURRENCY", "257", "is 257, which is too large."),
            (
                "CLEANUP_POLL_INTERVAL_MS",
                "3600001",
                "is 3600001, which is too large.",
            ),
            (
                "CLEANUP_LEASE_MS",
                "5s",
                "is `5s`, which is not a whole number.",
            ),
            (
                "CLEANUP_LEASE_MS",
                "-1",
                "is `-1`, which is not a whole number.",
            ),
            (
                "CLEANUP_LEASE_MS",
                "99999999999999999999",
                "is 99999999999999999999, which is too large.",
            ),
        ] {
            let error = parse(&[(name, value)]).unwrap_err();
            assert_eq!(error.faults[0].problem, problem);
        }
        let error = parse(&[("CLEANUP_CLAIM_BATCH", "0")]).unwrap_err();
        assert_eq!(
            error.faults[0].remedy,
            "Give tasks from 1 to 10000; the default is 500."
        );
    }

    #[test]
    fn the_backoffs_longest_step_is_no_shorter_than_its_first() {
        let both = [
            ("CLEANUP_BACKOFF_BASE_MS", "2000"),
            ("CLEANUP_BACKOFF_MAX_MS", "1000"),
        ];
        let error = parse(&both).unwrap_err();
        assert_eq!(error.faults[0].variable, "CLEANUP_BACKOFF_BASE_MS");
        let short = parse(&[("CLEANUP_BACKOFF_MAX_MS", "1000")]).unwrap();
        assert_eq!(short.backoff_base, Duration::from_secs(1));
    }
}

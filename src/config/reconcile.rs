//! How rows that were deleted without a task are found.

use super::insecure;
use super::reader::{Reader, Section, read_all};
use super::variables::{
    CLEANUP_GRACE_PERIOD_MS, CLERK_API_URL, CLERK_SECRET_KEY, RECONCILE_CLERK_APPLY,
    RECONCILE_CLERK_INTERVAL_MS, RECONCILE_INTERVAL_MS, RECONCILE_MAX_USER_SHARE,
};
use crate::reconcile::clerk_api::ClerkBackend;
use crate::reconcile::options::ReconcileOptions;
use crate::secret::Secret;

/// What every secret key of Clerk begins with.
const SECRET_KEY_PREFIX: &str = "sk_";

impl Section for ReconcileOptions {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let interval = reader.millis(&RECONCILE_INTERVAL_MS);
        let clerk_interval = reader.millis(&RECONCILE_CLERK_INTERVAL_MS);
        let asks_clerk = clerk_interval.is_some() || reader.rank(&CLERK_SECRET_KEY).is_some();
        read_all!(Self {
            interval: interval.map(|interval| Some(interval).filter(|one| !one.is_zero())),
            max_user_share: reader.number(&RECONCILE_MAX_USER_SHARE),
            grace_period: reader.millis(&CLEANUP_GRACE_PERIOD_MS),
            clerk: Some(asks_clerk.then(|| ClerkBackend::read(reader)).flatten()),
            clerk_interval: Some(clerk_interval),
            clerk_apply: reader.switch(&RECONCILE_CLERK_APPLY),
        })
    }
}

impl Section for ClerkBackend {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        const REMEDY: &str = "Copy the secret key (sk_…) from Clerk's dashboard, API keys.";
        let key = reader.required(&CLERK_SECRET_KEY, REMEDY);
        let is_sound = |key: &str| {
            key.starts_with(SECRET_KEY_PREFIX) && key.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if key.is_some_and(|key| !is_sound(key)) {
            let problem = "is not a secret key, which begins with sk_ and has no blanks";
            reader.fault(&CLERK_SECRET_KEY, problem, REMEDY);
        }
        read_all!(Self {
            url: insecure::url(reader, &CLERK_API_URL, insecure::Connection::ClerkApi),
            secret_key: key.map(Secret::new),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::fault::ConfigError;
    use crate::config::testing::parse as parse_section;

    fn parse(pairs: &[(&str, &str)]) -> Result<ReconcileOptions, ConfigError> {
        parse_section(pairs)
    }

    #[test]
    fn without_variables_the_database_is_reconciled_and_clerk_is_not_asked() {
        assert_eq!(
            parse(&[]).unwrap(),
            ReconcileOptions {
                interval: Some(Duration::from_secs(300)),
                max_user_share: 5,
                grace_period: Duration::ZERO,
                clerk: None,
                clerk_interval: None,
                clerk_apply: false,
            }
        );
        let never = parse(&[("RECONCILE_INTERVAL_MS", "0")]).unwrap();
        assert_eq!(never.interval, None);
    }

    #[test]
    fn a_comparison_with_clerk_needs_the_key() {
        let interval = ("RECONCILE_CLERK_INTERVAL_MS", "3600000");
        let error = parse(&[interval]).unwrap_err();
        assert_eq!(error.faults[0].variable, "CLERK_SECRET_KEY");
        let config = parse(&[interval, ("CLERK_SECRET_KEY", "sk_test_hunter2")]).unwrap();
        let clerk = config.clerk.clone().unwrap();
        assert_eq!(clerk.url.as_str(), "https://api.clerk.com/");
        assert_eq!(clerk.secret_key.expose(), "sk_test_hunter2");
        assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    }

    #[test]
    fn a_text_that_is_no_secret_key_is_a_fault_that_does_not_show_it() {
        for bad in ["pk_test_hunter2", "sk_hunter2 x", "sk_hunter2\u{e4}"] {
            let error = parse(&[("CLERK_SECRET_KEY", bad)]).unwrap_err();
            assert_eq!(error.faults.len(), 1, "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}

//! How what was deleted without a task is found.

use std::time::Duration;

use super::reader::{Reader, Section};
use super::secret::Secret;
use super::variables::{
    CLEANUP_GRACE_PERIOD_MS, CLERK_API_URL, CLERK_SECRET_KEY, RECONCILE_CLERK_APPLY,
    RECONCILE_CLERK_INTERVAL_MS, RECONCILE_INTERVAL_MS, RECONCILE_MAX_USER_SHARE,
};

/// What every secret key of Clerk begins with.
const SECRET_KEY_PREFIX: &str = "sk_";

/// How what was deleted without a task is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconcile {
    /// Between two passes on the database; none if there are to be none.
    pub interval: Option<Duration>,
    /// Most users that are taken within a day, in percent of all.
    pub max_user_share: u32,
    /// A soft-deleted sample can be restored for so long.
    pub grace_period: Duration,
    /// Clerk's Backend API, if its key is known.
    pub clerk: Option<ClerkBackend>,
    /// Between two comparisons with Clerk; none if the workers are not to compare.
    pub clerk_interval: Option<Duration>,
    /// Whether the workers' comparison deletes.
    pub clerk_apply: bool,
}

/// Clerk's Backend API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClerkBackend {
    /// An `http` or `https` URL, without `/v1`.
    pub url: String,
    /// Sent as a bearer token; it can be, as it is.
    pub secret_key: Secret,
}

impl Section for Reconcile {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let interval = reader.millis(&RECONCILE_INTERVAL_MS);
        let max_user_share = reader.number(&RECONCILE_MAX_USER_SHARE);
        let grace_period = reader.millis(&CLEANUP_GRACE_PERIOD_MS);
        let clerk_interval = reader.explicit_number(&RECONCILE_CLERK_INTERVAL_MS);
        let clerk_apply = reader.switch(&RECONCILE_CLERK_APPLY);
        let is_key_set = reader.rank(&CLERK_SECRET_KEY).is_some();
        let clerk = if is_key_set || clerk_interval.is_some() {
            ClerkBackend::read(reader)
        } else {
            None
        };
        Some(Self {
            interval: interval.map(|interval| Some(interval).filter(|one| !one.is_zero()))?,
            max_user_share: max_user_share?,
            grace_period: grace_period?,
            clerk,
            clerk_interval: clerk_interval.map(Duration::from_millis),
            clerk_apply: clerk_apply.unwrap_or(false),
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
        let url = if reader.rank(&CLERK_API_URL).is_some() {
            reader.http_url(&CLERK_API_URL)
        } else {
            Some(CLERK_API_URL.unset.to_owned())
        };
        Some(Self {
            url: url?,
            secret_key: Secret::new(key?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigError, Origin, Source};

    fn parse(pairs: &[(&str, &str)]) -> Result<Reconcile, ConfigError> {
        Reconcile::parse(&Source::empty().with(Origin::Environment, pairs.iter().copied()))
    }

    #[test]
    fn without_variables_the_database_is_looked_at_and_clerk_is_not() {
        assert_eq!(
            parse(&[]).unwrap(),
            Reconcile {
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
        assert_eq!(clerk.url, "https://api.clerk.com");
        assert_eq!(clerk.secret_key.expose(), "sk_test_hunter2");
        assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    }

    #[test]
    fn a_key_that_is_none_is_a_fault_that_does_not_show_it() {
        for bad in ["pk_test_hunter2", "sk_hunter2 x", "sk_hunter2\u{e4}"] {
            let error = parse(&[("CLERK_SECRET_KEY", bad)]).unwrap_err();
            assert_eq!(error.faults.len(), 1, "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}

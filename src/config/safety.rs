//! What keeps erasures within bounds. A variable that is not set leaves the decision to the other role, or to the
//! default of the database.

use super::reader::{Reader, Section, read_all};
use super::variables::{ERASURE_LIMIT_PER_HOUR, USER_ERASURE_DELAY_MS};
use crate::safety::SafetyOptions;

impl Section for SafetyOptions {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let sets_limit = reader.rank(&ERASURE_LIMIT_PER_HOUR).is_some();
        let sets_delay = reader.rank(&USER_ERASURE_DELAY_MS).is_some();
        read_all!(Self {
            erasure_limit_per_hour: reader
                .number(&ERASURE_LIMIT_PER_HOUR)
                .map(|limit: u32| sets_limit.then_some(limit)),
            user_erasure_delay: reader
                .millis(&USER_ERASURE_DELAY_MS)
                .map(|delay| sets_delay.then_some(delay)),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::testing::parse;

    #[test]
    fn only_what_is_set_is_recorded() {
        assert_eq!(
            parse::<SafetyOptions>(&[]).unwrap(),
            SafetyOptions::default()
        );
        let set = [
            ("ERASURE_LIMIT_PER_HOUR", "0"),
            ("USER_ERASURE_DELAY_MS", "500"),
        ];
        let expected = SafetyOptions {
            erasure_limit_per_hour: Some(0),
            user_erasure_delay: Some(Duration::from_millis(500)),
        };
        assert_eq!(parse::<SafetyOptions>(&set).unwrap(), expected);
    }
}

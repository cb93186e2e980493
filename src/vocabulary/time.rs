//! Times as the database, the API and the command line exchange them.

use std::fmt;

use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta, Utc};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Postgres, Type};

/// Microseconds from 1970 to PostgreSQL's epoch, 2000-01-01.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// A point in time that RFC 3339 can write: a year from 0001 to 9999.
///
/// PostgreSQL knows `infinity`, `-infinity` and years that neither RFC 3339 nor chrono has, and an application
/// may have stored them. Reading one as `DateTime<Utc>` panics; here it becomes the nearest time in range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// 0001-01-01T00:00:00Z.
    #[must_use]
    pub fn min() -> Self {
        Self(start_of(1))
    }

    /// The last microsecond of the year 9999.
    #[must_use]
    pub fn max() -> Self {
        Self(start_of(10_000) - TimeDelta::microseconds(1))
    }

    /// The time from RFC 3339 text. `None` for any other text and for a year out of range.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
        (Self::min().0 <= time && time <= Self::max().0).then_some(Self(time))
    }

    /// The time for calculations.
    #[must_use]
    pub fn utc(self) -> DateTime<Utc> {
        self.0
    }

    /// RFC 3339 text in whole seconds, for tables that people read.
    #[must_use]
    pub fn to_seconds(self) -> String {
        self.0.to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    fn from_postgres(micros: i64) -> Self {
        let time = micros
            .checked_add(POSTGRES_EPOCH_MICROS)
            .and_then(DateTime::from_timestamp_micros);
        match time {
            Some(time) => time.into(),
            None if micros < 0 => Self::min(),
            None => Self::max(),
        }
    }
}

fn start_of(year: i32) -> DateTime<Utc> {
    NaiveDate::from_ymd_opt(year, 1, 1)
        .unwrap_or_default()
        .and_time(chrono::NaiveTime::MIN)
        .and_utc()
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time.clamp(Self::min().0, Self::max().0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

impl Type<Postgres> for Timestamp {
    fn type_info() -> PgTypeInfo {
        <DateTime<Utc> as Type<Postgres>>::type_info()
    }
}

impl sqlx::Encode<'_, Postgres> for Timestamp {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        sqlx::Encode::<Postgres>::encode(self.0, buffer)
    }
}

impl<'r> sqlx::Decode<'r, Postgres> for Timestamp {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        match value.format() {
            PgValueFormat::Binary => {
                <i64 as sqlx::Decode<Postgres>>::decode(value).map(Self::from_postgres)
            }
            // Only statements without parameters and types answer in text; none of ours selects a time.
            PgValueFormat::Text => {
                <DateTime<Utc> as sqlx::Decode<Postgres>>::decode(value).map(Self::from)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_end_in_z_and_come_back_as_they_were() {
        let time = Timestamp::parse("2026-11-24T18:00:00.25+01:00").unwrap();
        assert_eq!(time.to_string(), "2026-11-24T17:00:00.250Z");
        assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
        assert_eq!(time.to_seconds(), "2026-11-24T17:00:00Z");
    }

    #[test]
    fn years_that_rfc_3339_cannot_write_become_the_nearest_that_it_can() {
        assert_eq!(Timestamp::from_postgres(i64::MAX), Timestamp::max());
        assert_eq!(Timestamp::from_postgres(i64::MIN), Timestamp::min());
        let year_294276 = 9_223_371_331_199_999_999;
        assert_eq!(Timestamp::from_postgres(year_294276), Timestamp::max());
        let year_200000 = 6_248_275_200_000_000_000;
        assert_eq!(Timestamp::from_postgres(year_200000), Timestamp::max());
        assert_eq!(
            Timestamp::from_postgres(0).to_string(),
            "2000-01-01T00:00:00Z"
        );
        assert_eq!(Timestamp::min().to_string(), "0001-01-01T00:00:00Z");
        assert_eq!(Timestamp::max().to_string(), "9999-12-31T23:59:59.999999Z");
    }

    #[test]
    fn text_that_is_no_time_in_range_is_refused() {
        for text in [
            "",
            "2026-11-24",
            "-5000-01-01T00:00:00Z",
            "0000-12-31T23:59:59Z",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }
}

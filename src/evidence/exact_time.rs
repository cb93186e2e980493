//! A time as PostgreSQL holds it. chrono cannot represent all of them: `infinity` and the years after 262,142.

use std::{fmt, str::FromStr};

use sqlx::{
    Decode, Encode, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgTypeInfo, PgValueRef},
};

/// 2000-01-01, from which PostgreSQL counts, in microseconds after 1970-01-01.
const EPOCH: i128 = 946_684_800_000_000;
/// The finite times that PostgreSQL holds, 4714-11-24 BC to 294277-01-01, the end excluded, in microseconds
/// after 2000-01-01. Source: `MIN_TIMESTAMP` and `END_TIMESTAMP` in its `datatype/timestamp.h`.
const FINITE: std::ops::Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;

/// Microseconds after 2000-01-01; the least and the greatest number are `-infinity` and `infinity`. As text:
/// microseconds after 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ExactTime(i64);

/// The text is not a time that PostgreSQL can hold.
#[derive(Debug)]
pub(super) struct NoTime;

impl fmt::Display for ExactTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (i128::from(self.0) + EPOCH).fmt(f)
    }
}

impl FromStr for ExactTime {
    type Err = NoTime;

    fn from_str(text: &str) -> Result<Self, NoTime> {
        let after_1970: i128 = text.parse().map_err(|_| NoTime)?;
        let micros = after_1970
            .checked_sub(EPOCH)
            .and_then(|micros| i64::try_from(micros).ok())
            .ok_or(NoTime)?;
        if FINITE.contains(&micros) || matches!(micros, i64::MIN | i64::MAX) {
            Ok(Self(micros))
        } else {
            Err(NoTime)
        }
    }
}

impl Type<Postgres> for ExactTime {
    fn type_info() -> PgTypeInfo {
        <chrono::DateTime<chrono::Utc> as Type<Postgres>>::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for ExactTime {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let bytes = value.as_bytes()?;
        Ok(Self(i64::from_be_bytes(bytes.try_into()?)))
    }
}

impl Encode<'_, Postgres> for ExactTime {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<Postgres>>::encode(self.0, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_of_postgresql_survives_a_cursor_and_no_other_is_taken() {
        for micros in [i64::MIN, FINITE.start, 0, FINITE.end - 1, i64::MAX] {
            let time = ExactTime(micros);
            assert_eq!(time.to_string().parse::<ExactTime>().unwrap(), time);
        }
        for micros in [i64::MIN + 1, FINITE.start - 1, FINITE.end, i64::MAX - 1] {
            assert!(ExactTime(micros).to_string().parse::<ExactTime>().is_err());
        }
        for text in ["", "x", "9e18", "170141183460469231731687303715884105727"] {
            assert!(text.parse::<ExactTime>().is_err(), "{text}");
        }
    }
}

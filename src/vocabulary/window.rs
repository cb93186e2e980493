//! How far back the series of the statistics reach.

use super::macros::words;

words! {
    /// The time that a series covers, up to now.
    pub enum StatsWindow {
        /// One hour, in buckets of a minute.
        Hour = "1h",
        /// A day, in buckets of a quarter of an hour.
        Day = "24h",
        /// A week, in buckets of two hours.
        Week = "7d",
    }
}

impl StatsWindow {
    /// The length of one bucket, in seconds.
    #[must_use]
    pub const fn bucket_seconds(self) -> i32 {
        match self {
            Self::Hour => 60,
            Self::Day => 900,
            Self::Week => 7200,
        }
    }

    /// The number of buckets. The last one contains the present time.
    #[must_use]
    pub const fn buckets(self) -> i32 {
        match self {
            Self::Hour => 60,
            Self::Day => 96,
            Self::Week => 84,
        }
    }
}

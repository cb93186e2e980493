//! Ids as types, so that one cannot be passed where another is expected.

use std::fmt;

macro_rules! number_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, sqlx::Type)]
        #[sqlx(transparent)]
        pub struct $name(pub i64);

        impl $name {
            /// The id from its decimal digits.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                text.parse().ok().map(Self)
            }
        }

        impl From<i64> for $name {
            fn from(id: i64) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

macro_rules! text_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, sqlx::Type)]
        #[sqlx(transparent)]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl<T: Into<String>> From<T> for $name {
            fn from(id: T) -> Self {
                Self(id.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

number_id!(
    /// A task: `cleanup_tasks.id`. In JSON it is a string, because it may exceed what JavaScript can count to.
    TaskId
);
number_id!(
    /// An entry of the audit trail: `cleanup_audit.id`.
    AuditId
);
text_id!(
    /// A user, by the id that Clerk gave: `users.id`.
    UserId
);
text_id!(
    /// One boot of one worker process: `cleanup_workers.id`.
    WorkerId
);

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

/// The longest id of a user that is taken from outside, in characters. Clerk's have some thirty.
const MAX_USER_ID_CHARS: usize = 512;

/// The text cannot be the id of a user. A tombstone for it would be of no use and could not be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a user's id: at most {MAX_USER_ID_CHARS} characters, without blanks and control characters"
)]
pub struct UserIdError;

impl UserId {
    /// The expression for what can be an id, as JSON Schema writes it. Which of them are ids of users says `ids` of the
    /// erasure map.
    #[must_use]
    pub fn pattern() -> String {
        r"^[^\s\x00-\x1f\x7f-\x9f]+$".to_owned()
    }

    /// The longest of them, in characters.
    #[must_use]
    pub const fn max_chars() -> usize {
        MAX_USER_ID_CHARS
    }

    /// The id from text of outside: a path, an event of Clerk, a command line.
    ///
    /// # Errors
    /// With the rule, as the end of a sentence that begins with the field's name.
    pub fn parse(text: &str) -> Result<Self, UserIdError> {
        let is_plain = !text
            .chars()
            .any(|char| char.is_whitespace() || char.is_control());
        if text.is_empty() || !is_plain || text.chars().count() > MAX_USER_ID_CHARS {
            return Err(UserIdError);
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_text_of_some_length_is_a_users_id() {
        for text in ["user_2abc", "user_seed_1", "user_é", "7"] {
            assert_eq!(UserId::parse(text).unwrap().as_str(), text);
        }
        let longest = format!("user_{}", "é".repeat(MAX_USER_ID_CHARS - 5));
        assert!(UserId::parse(&longest).is_ok());
        for text in [
            "",
            " user_1",
            "user_1 ",
            "user_a b",
            "user_a\nb",
            "user_\u{1b}[31m",
            "user_\u{85}",
            "user_\u{a0}",
            "user_\0",
            &format!("{longest}x"),
        ] {
            assert_eq!(UserId::parse(text), Err(UserIdError), "{text:?}");
        }
    }
}

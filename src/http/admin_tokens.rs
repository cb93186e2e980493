//! The tokens of `ADMIN_API_TOKENS`: who may act as an admin, in which role, and under which name it is recorded.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::vocabulary::Role;

/// The index that stands for "no admin has this token".
const NOBODY: u64 = u64::MAX;
/// The shortest token that is accepted. 20 random characters of base64 are 120 bits, which nobody can guess.
const MIN_TOKEN_CHARS: usize = 20;
/// The longest name. It is stored in every audit row of this admin.
const MAX_NAME_CHARS: usize = 100;

/// Every admin's name with the digest of the token. Names are unique, and so are tokens. The tokens themselves are
/// not kept. Without an entry nobody is an admin.
#[derive(Clone, Default)]
pub struct AdminTokens {
    admins: Vec<Admin>,
}

#[derive(Clone)]
struct Admin {
    name: String,
    role: Role,
    token_digest: [u8; 32],
}

/// Why an admin cannot be added. The message continues a sentence that begins with "an entry". It repeats neither
/// name nor token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdminTokenError {
    #[error("without a name")]
    NoName,
    #[error("whose name has control characters or more than {MAX_NAME_CHARS} characters")]
    UnusableName,
    #[error("without a token")]
    NoToken,
    /// Such a token cannot stand in an `Authorization` header, so it would never match.
    #[error("whose token has characters other than visible ASCII")]
    InvisibleToken,
    #[error("whose token is shorter than {MIN_TOKEN_CHARS} characters")]
    ShortToken,
    #[error("whose name another entry has")]
    SameName,
    #[error("whose token another entry has")]
    SameToken,
}

impl AdminTokens {
    /// Adds an admin. The name goes to the audit trail as `admin:<name>`, whatever the role.
    ///
    /// # Errors
    /// [`AdminTokenError`]. Nothing is added then.
    pub fn add(&mut self, name: &str, role: Role, token: &str) -> Result<(), AdminTokenError> {
        let error = if name.is_empty() {
            AdminTokenError::NoName
        } else if name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) {
            AdminTokenError::UnusableName
        } else if token.is_empty() {
            AdminTokenError::NoToken
        } else if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            AdminTokenError::InvisibleToken
        } else if token.len() < MIN_TOKEN_CHARS {
            AdminTokenError::ShortToken
        } else if self.names().any(|other| other == name) {
            AdminTokenError::SameName
        } else if self.identify(token).is_some() {
            AdminTokenError::SameToken
        } else {
            self.admins.push(Admin {
                name: name.to_owned(),
                role,
                token_digest: digest(token),
            });
            return Ok(());
        };
        Err(error)
    }

    /// The admins' names, in the order in which they were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.admins.iter().map(|admin| admin.name.as_str())
    }

    /// The name and the role of the admin who holds `token`.
    ///
    /// All digests are compared, each in constant time, so that the time taken tells neither how
    /// much of a guess was right nor whose token it resembles.
    pub fn identify(&self, token: &str) -> Option<(&str, Role)> {
        let given = digest(token);
        let mut found = NOBODY;
        for (index, admin) in (0u64..).zip(&self.admins) {
            let same = admin.token_digest.ct_eq(&given);
            found.conditional_assign(&index, same);
        }
        let index = usize::try_from(found).ok()?;
        let admin = self.admins.get(index)?;
        Some((&admin.name, admin.role))
    }
}

impl fmt::Debug for AdminTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "correct-horse-battery";
    const BOB: &str = "staple-0123456789-staple";

    fn two_admins() -> AdminTokens {
        let mut tokens = AdminTokens::default();
        tokens.add("alice", Role::Admin, ALICE).unwrap();
        tokens.add("bob", Role::Viewer, BOB).unwrap();
        tokens
    }

    #[test]
    fn each_token_names_its_admin() {
        let tokens = two_admins();
        assert_eq!(tokens.identify(ALICE), Some(("alice", Role::Admin)));
        assert_eq!(tokens.identify(BOB), Some(("bob", Role::Viewer)));
    }

    #[test]
    fn prefixes_extensions_names_and_nothing_are_nobody() {
        let guesses = [
            "".to_owned(),
            "correct".to_owned(),
            format!("{ALICE} "),
            "alice".to_owned(),
            format!("alice:{ALICE}"),
            ALICE.to_uppercase(),
        ];
        for guess in guesses {
            assert_eq!(two_admins().identify(&guess), None, "{guess:?}");
            assert_eq!(AdminTokens::default().identify(&guess), None, "{guess:?}");
        }
    }

    #[test]
    fn an_entry_that_could_open_nothing_or_too_much_is_refused() {
        use AdminTokenError::{
            InvisibleToken, NoName, NoToken, SameName, SameToken, ShortToken, UnusableName,
        };
        let long_name = "x".repeat(101);
        for (name, token, error) in [
            ("", BOB, NoName),
            ("a\nb", BOB, UnusableName),
            (&long_name, BOB, UnusableName),
            ("carol", "", NoToken),
            ("carol", "0123456789 0123456789", InvisibleToken),
            ("carol", "0123456789abcdef012", ShortToken),
            ("alice", "0123456789abcdef0123", SameName),
            ("carol", ALICE, SameToken),
        ] {
            let mut tokens = two_admins();
            assert_eq!(tokens.add(name, Role::Admin, token), Err(error));
            assert_eq!(tokens.names().count(), 2);
        }
    }

    #[test]
    fn debug_output_shows_names_only() {
        let shown = format!("{:?}", two_admins());
        assert_eq!(shown, r#"["alice", "bob"]"#);
    }
}

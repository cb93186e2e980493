//! The tokens of `ADMIN_API_TOKENS`: who may act as an admin, and under which name it is recorded.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

/// The index that stands for "no admin has this token".
const NOBODY: u64 = u64::MAX;

/// Every admin's name with the digest of the token. The tokens themselves are not kept.
pub struct AdminTokens {
    admins: Vec<Admin>,
}

struct Admin {
    name: String,
    token_digest: [u8; 32],
}

impl AdminTokens {
    /// Takes `(name, token)` pairs. An empty token is left out: it must never open anything.
    pub fn new(tokens: Vec<(String, String)>) -> Self {
        let admins = tokens
            .into_iter()
            .filter(|(_, token)| !token.is_empty())
            .map(|(name, token)| Admin {
                name,
                token_digest: digest(&token),
            })
            .collect();
        Self { admins }
    }

    /// The name of the admin who holds `token`.
    ///
    /// All digests are compared, each in constant time, so that the time taken tells neither how
    /// much of a guess was right nor whose token it resembles.
    pub fn identify(&self, token: &str) -> Option<&str> {
        let given = digest(token);
        let mut found = NOBODY;
        for (index, admin) in (0u64..).zip(&self.admins) {
            let same = admin.token_digest.ct_eq(&given);
            found.conditional_assign(&index, same);
        }
        let index = usize::try_from(found).ok()?;
        self.admins.get(index).map(|admin| admin.name.as_str())
    }
}

impl fmt::Debug for AdminTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.admins.iter().map(|admin| &admin.name))
            .finish()
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_admins() -> AdminTokens {
        AdminTokens::new(vec![
            ("alice".into(), "correct-horse".into()),
            ("bob".into(), "battery-staple".into()),
        ])
    }

    #[test]
    fn each_token_names_its_admin() {
        let tokens = two_admins();
        assert_eq!(tokens.identify("correct-horse"), Some("alice"));
        assert_eq!(tokens.identify("battery-staple"), Some("bob"));
    }

    #[test]
    fn prefixes_extensions_names_and_nothing_are_nobody() {
        let tokens = two_admins();
        for guess in [
            "",
            "correct",
            "correct-horse ",
            "alice",
            "alice:correct-horse",
            "CORRECT-HORSE",
        ] {
            assert_eq!(tokens.identify(guess), None, "{guess:?}");
        }
    }

    #[test]
    fn without_tokens_nobody_is_admin() {
        assert_eq!(AdminTokens::new(Vec::new()).identify("anything"), None);
        assert_eq!(
            AdminTokens::new(vec![("ghost".into(), String::new())]).identify(""),
            None
        );
    }

    #[test]
    fn debug_output_shows_names_only() {
        let shown = format!("{:?}", two_admins());
        assert!(
            shown.contains("alice") && !shown.contains("horse"),
            "{shown}"
        );
    }
}

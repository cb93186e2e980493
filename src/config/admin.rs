//! The service's own operators.

use super::reader::{Reader, Section};
use super::secret::Secret;
use super::variables::ADMIN_API_TOKENS;

/// Shortest token, in characters: 16 random ones of base64 are 96 bits, beyond any guessing.
const SHORTEST_TOKEN_CHARS: usize = 16;
/// Longest name, in characters: it stands in every audit row of this operator's.
const LONGEST_NAME_CHARS: usize = 100;

/// An operator's name, which goes to the audit trail, and the token that proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminToken {
    /// Goes to the audit trail as `admin:<name>`.
    pub name: String,
    /// What follows `Authorization: Bearer`.
    pub token: Secret,
}

/// All operators: names and tokens are each unique. May be empty, then nobody is an admin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdminTokens(Vec<AdminToken>);

impl AdminTokens {
    /// The operators in the order in which they were given.
    pub fn iter(&self) -> std::slice::Iter<'_, AdminToken> {
        self.0.iter()
    }

    /// Whether nobody is an admin.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a AdminTokens {
    type Item = &'a AdminToken;
    type IntoIter = std::slice::Iter<'a, AdminToken>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Section for AdminTokens {
    /// Entries are told by their number: who mistook the order wrote the token where the name
    /// belongs.
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let Some(text) = reader.text(&ADMIN_API_TOKENS) else {
            return Some(Self::default());
        };
        let mut tokens: Vec<AdminToken> = Vec::new();
        for (index, entry) in text.split(',').enumerate() {
            match parse_entry(entry.trim(), &tokens) {
                Ok(token) => tokens.push(token),
                Err(problem) => {
                    let problem = format!("has an entry (number {}) {problem}", index + 1);
                    reader.fault(
                        &ADMIN_API_TOKENS,
                        &problem,
                        "Give name:token pairs separated by commas, such as \
                         alice:$(openssl rand -hex 32).",
                    );
                }
            }
        }
        Some(Self(tokens))
    }
}

fn parse_entry(entry: &str, others: &[AdminToken]) -> Result<AdminToken, String> {
    if entry.is_empty() {
        return Err("that is empty".to_owned());
    }
    let Some((name, token)) = entry.split_once(':') else {
        return Err("without a colon between name and token".to_owned());
    };
    let (name, token) = (name.trim(), token.trim());
    if name.is_empty() {
        return Err("without a name".to_owned());
    }
    if name.chars().count() > LONGEST_NAME_CHARS || name.chars().any(char::is_control) {
        return Err(format!(
            "whose name has control characters or more than {LONGEST_NAME_CHARS} characters"
        ));
    }
    if token.is_empty() {
        return Err("without a token".to_owned());
    }
    // Anything else cannot stand in an Authorization header, so it would never match.
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("whose token has characters other than visible ASCII".to_owned());
    }
    if token.len() < SHORTEST_TOKEN_CHARS {
        return Err(format!(
            "whose token is shorter than {SHORTEST_TOKEN_CHARS} characters"
        ));
    }
    for other in others {
        if other.name == name {
            return Err("whose name another entry has".to_owned());
        }
        if other.token.expose() == token {
            return Err("whose token another entry has".to_owned());
        }
    }
    Ok(AdminToken {
        name: name.to_owned(),
        token: Secret::new(token),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigError, Origin, Source};

    fn parse(value: &str) -> Result<AdminTokens, ConfigError> {
        AdminTokens::parse(
            &Source::empty().with(Origin::Environment, [("ADMIN_API_TOKENS", value)]),
        )
    }

    #[test]
    fn without_tokens_nobody_is_an_admin() {
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn each_entry_is_a_name_and_a_token_that_may_contain_colons() {
        let tokens = parse("alice:0123456789abcdef, bob:fedcba:9876543210").unwrap();
        let shown: Vec<(&str, &str)> = tokens
            .iter()
            .map(|token| (token.name.as_str(), token.token.expose()))
            .collect();
        assert_eq!(
            shown,
            [("alice", "0123456789abcdef"), ("bob", "fedcba:9876543210")]
        );
    }

    #[test]
    fn every_faulty_entry_is_told_by_its_number_and_never_shown() {
        let value = "hunter2hunter2hunter2,,:0123456789abcdef,a:,b:hunter2,c:0123456789 hunter2,\
                     ok:0123456789hunter2,ok:0123456789hunter3,other:0123456789hunter2";
        let error = parse(value).unwrap_err();
        let problems: Vec<&str> = error
            .faults
            .iter()
            .map(|fault| fault.problem.as_str())
            .collect();
        assert_eq!(
            problems,
            [
                "has an entry (number 1) without a colon between name and token.",
                "has an entry (number 2) that is empty.",
                "has an entry (number 3) without a name.",
                "has an entry (number 4) without a token.",
                "has an entry (number 5) whose token is shorter than 16 characters.",
                "has an entry (number 6) whose token has characters other than visible ASCII.",
                "has an entry (number 8) whose name another entry has.",
                "has an entry (number 9) whose token another entry has.",
            ]
        );
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}

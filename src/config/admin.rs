//! The service's own operators.

use super::reader::{Reader, Section};
use super::variables::ADMIN_API_TOKENS;
use crate::http::admin_tokens::AdminTokens;
use crate::vocabulary::Role;

impl Section for AdminTokens {
    /// A fault names an entry by its number, not by its text: where the order was mistaken, the
    /// token stands in the place of the name.
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut tokens = Self::default();
        let text = reader.text(&ADMIN_API_TOKENS);
        for (number, entry) in (1..).zip(text.into_iter().flat_map(|text| text.split(','))) {
            let problem = match entry.trim().split_once(':') {
                None if entry.trim().is_empty() => "that is empty".to_owned(),
                None => "without a colon between name and token".to_owned(),
                Some((name, token)) => match add(&mut tokens, name.trim(), token.trim()) {
                    Ok(()) => continue,
                    Err(problem) => problem,
                },
            };
            reader.fault(
                &ADMIN_API_TOKENS,
                &format!("has an entry (number {number}) {problem}"),
                "Give name:token or name@role:token, separated by commas, such as \
                 alice@viewer:$(openssl rand -hex 32); the roles are viewer, operator and admin.",
            );
        }
        Some(tokens)
    }
}

/// Adds the admin of one entry. What follows the last `@` of the name is the role: a name that may contain one
/// would turn a mistyped role into a name with every right.
fn add(tokens: &mut AdminTokens, name: &str, token: &str) -> Result<(), String> {
    let (name, role) = match name.rsplit_once('@') {
        None => (name, Role::Admin),
        Some((name, role)) => match Role::parse(role) {
            Some(role) => (name, role),
            None => return Err("whose role is not viewer, operator or admin".to_owned()),
        },
    };
    tokens
        .add(name, role, token)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::parse;

    #[test]
    fn each_entry_is_a_name_maybe_a_role_and_a_token_that_may_contain_colons() {
        assert_eq!(parse::<AdminTokens>(&[]).unwrap().names().count(), 0);
        let value = "alice:0123456789abcdef0123, bob@example.com@viewer:fedcba:9876543210:x@y,\
                     carol@operator:0123456789abcdef4567,dave@admin:0123456789abcdef8901";
        let tokens: AdminTokens = parse(&[("ADMIN_API_TOKENS", value)]).unwrap();
        for (token, name, role) in [
            ("0123456789abcdef0123", "alice", Role::Admin),
            ("fedcba:9876543210:x@y", "bob@example.com", Role::Viewer),
            ("0123456789abcdef4567", "carol", Role::Operator),
            ("0123456789abcdef8901", "dave", Role::Admin),
        ] {
            assert_eq!(tokens.identify(token), Some((name, role)));
        }
    }

    #[test]
    fn every_faulty_entry_is_told_by_its_number_and_never_shown() {
        let value = "hunter2hunter2hunter2,,:0123456789abcdef0123,a:,b:hunter2,c:0123456789 hunter2 0123,\
                     ok:0123456789hunter2-0123,ok:0123456789hunter3-0123,other:0123456789hunter2-0123,\
                     d@Viewer:0123456789hunter2-4567,d@:0123456789hunter2-4567,@viewer:0123456789hunter2-4567";
        let error = parse::<AdminTokens>(&[("ADMIN_API_TOKENS", value)]).unwrap_err();
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
                "has an entry (number 5) whose token is shorter than 20 characters.",
                "has an entry (number 6) whose token has characters other than visible ASCII.",
                "has an entry (number 8) whose name another entry has.",
                "has an entry (number 9) whose token another entry has.",
                "has an entry (number 10) whose role is not viewer, operator or admin.",
                "has an entry (number 11) whose role is not viewer, operator or admin.",
                "has an entry (number 12) without a name.",
            ]
        );
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}

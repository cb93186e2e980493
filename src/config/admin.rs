//! The service's own operators.

use super::reader::{Reader, Section};
use super::variables::ADMIN_API_TOKENS;
use crate::http::admin_tokens::AdminTokens;

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
                Some((name, token)) => match tokens.add(name.trim(), token.trim()) {
                    Ok(()) => continue,
                    Err(error) => error.to_string(),
                },
            };
            reader.fault(
                &ADMIN_API_TOKENS,
                &format!("has an entry (number {number}) {problem}"),
                "Give name:token pairs separated by commas, such as \
                 alice:$(openssl rand -hex 32).",
            );
        }
        Some(tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::parse;

    #[test]
    fn each_entry_is_a_name_and_a_token_that_may_contain_colons() {
        assert_eq!(parse::<AdminTokens>(&[]).unwrap().names().count(), 0);
        let value = "alice:0123456789abcdef, bob:fedcba:9876543210";
        let tokens: AdminTokens = parse(&[("ADMIN_API_TOKENS", value)]).unwrap();
        assert_eq!(tokens.identify("0123456789abcdef"), Some("alice"));
        assert_eq!(tokens.identify("fedcba:9876543210"), Some("bob"));
    }

    #[test]
    fn every_faulty_entry_is_told_by_its_number_and_never_shown() {
        let value = "hunter2hunter2hunter2,,:0123456789abcdef,a:,b:hunter2,c:0123456789 hunter2,\
                     ok:0123456789hunter2,ok:0123456789hunter3,other:0123456789hunter2";
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
                "has an entry (number 5) whose token is shorter than 16 characters.",
                "has an entry (number 6) whose token has characters other than visible ASCII.",
                "has an entry (number 8) whose name another entry has.",
                "has an entry (number 9) whose token another entry has.",
            ]
        );
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}

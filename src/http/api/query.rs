//! The query of a request, read strictly: text that is not UTF-8, unknown names and repeated names are refused, so
//! that no filter is different from the one that was asked for.

use std::{ops::Deref, sync::Arc};

use http::StatusCode;
use percent_encoding::percent_decode_str;
use poem::{FromRequest, PathPattern, Request, RequestBody};

use super::{ApiState, operations::Operations};
use crate::http::problem::Problem;
use crate::vocabulary::ProblemCode;

/// A longer name is cut where a problem repeats it.
const MAX_NAME_CHARS: usize = 64;

/// The state, for a request whose query has only parameters that its operation knows, each of them once. It stands
/// after the credentials, so that strangers are told of those first.
pub(super) struct State<'a>(&'a Arc<ApiState>);

impl Deref for State<'_> {
    type Target = ApiState;

    fn deref(&self) -> &ApiState {
        self.0
    }
}

impl<'a> FromRequest<'a> for State<'a> {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        let Some(state) = request.data::<Arc<ApiState>>() else {
            return Err(unfinished_routes("ApiState").into());
        };
        let pattern = request.data::<PathPattern>();
        let known = operations(request)?.query_parameters(pattern, request.method());
        check(&pairs(request)?, known)?;
        Ok(Self(state))
    }
}

/// The operations of the document, which each request carries.
pub(super) fn operations(request: &Request) -> Result<&Operations, Problem> {
    match request.data::<Arc<Operations>>() {
        Some(operations) => Ok(operations),
        None => Err(unfinished_routes("Operations")),
    }
}

fn unfinished_routes(lacking: &str) -> Problem {
    tracing::error!(
        lacking,
        "the routes were built without a part of their state"
    );
    Problem::opaque(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The value of a parameter of the query.
pub(super) fn value(request: &Request, name: &str) -> Result<Option<String>, Problem> {
    let pairs = pairs(request)?;
    Ok(pairs
        .into_iter()
        .find_map(|(other, value)| (other == name).then_some(value)))
}

fn check(pairs: &[(String, String)], known: &[String]) -> Result<(), Problem> {
    for (index, (name, _)) in pairs.iter().enumerate() {
        let shown: String = name.chars().take(MAX_NAME_CHARS).collect();
        if !known.contains(name) {
            let rule = match known {
                [] => "is not known: this operation has no parameters".to_owned(),
                known => format!("is not known: this operation has `{}`", known.join("`, `")),
            };
            return Err(Problem::bad_field(&shown, rule).with_code(ProblemCode::UnknownParameter));
        }
        if pairs.iter().take(index).any(|(other, _)| other == name) {
            let rule = "is given more than once";
            return Err(Problem::bad_field(&shown, rule).with_code(ProblemCode::RepeatedParameter));
        }
    }
    Ok(())
}

fn pairs(request: &Request) -> Result<Vec<(String, String)>, Problem> {
    let query = request.uri().query().unwrap_or_default();
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let name = decode(name)
                .ok_or_else(|| Problem::bad_field("query", "has a name that is not UTF-8"))?;
            match decode(value) {
                Some(value) => Ok((name, value)),
                None => Err(Problem::bad_field(&name, "is not UTF-8")),
            }
        })
        .collect()
}

fn decode(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(query: &str) -> Result<(), ProblemCode> {
        let request = Request::builder()
            .uri(format!("/list?{query}").parse().unwrap())
            .finish();
        let known = ["status".to_owned(), "userId".to_owned()];
        pairs(&request)
            .and_then(|pairs| check(&pairs, &known))
            .map_err(|problem| problem.code())
    }

    #[test]
    fn names_are_known_and_stand_once_and_text_is_utf_8() {
        for query in ["", "&", "status=dead", "userId=a+b%20c&status="] {
            assert_eq!(checked(query), Ok(()), "{query}");
        }
        for (query, code) in [
            ("stauts=dead", ProblemCode::UnknownParameter),
            ("Status=dead", ProblemCode::UnknownParameter),
            ("status=dead&status=failed", ProblemCode::RepeatedParameter),
            ("userId=%ff%fe", ProblemCode::InvalidInput),
            ("%ff=1", ProblemCode::InvalidInput),
        ] {
            assert_eq!(checked(query), Err(code), "{query}");
        }
    }

    #[test]
    fn a_value_is_decoded_as_forms_are_and_an_absent_one_is_none() {
        let request = Request::builder()
            .uri("/list?userId=a+b%2Bc".parse().unwrap())
            .finish();
        assert_eq!(value(&request, "userId").unwrap().unwrap(), "a b+c");
        assert_eq!(value(&request, "status").unwrap(), None);
    }
}

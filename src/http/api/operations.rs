//! What the document says of the operations, for the checks that all of them share.

use http::Method;
use poem::PathPattern;
use poem_openapi::{
    OpenApi,
    registry::{MetaOperation, MetaParamIn},
};

/// The methods of a path that the document does not describe, such as `/docs`.
const STATIC_METHODS: &str = "GET, HEAD";

/// All operations of one service.
#[derive(Debug)]
pub(super) struct Operations(Vec<Operation>);

#[derive(Debug)]
struct Operation {
    /// As poem routes it: the parameters of the path are `:param0`, `:param1` and so on.
    pattern: String,
    method: Method,
    path_parameters: Vec<String>,
    query_parameters: Vec<String>,
}

impl Operations {
    /// The operations of `api`.
    pub(super) fn of<T: OpenApi>(_api: &T) -> Self {
        let paths = T::meta().into_iter().flat_map(|api| api.paths);
        let operations = paths.flat_map(|path| {
            let (pattern, path_parameters) = pattern(&path.path);
            path.operations.into_iter().map(move |operation| Operation {
                pattern: pattern.clone(),
                path_parameters: path_parameters.clone(),
                query_parameters: query_parameters(&operation),
                method: operation.method,
            })
        });
        Self(operations.collect())
    }

    /// The value of `Allow` for a path: every `GET` also answers to `HEAD`.
    pub(super) fn allow(&self, pattern: Option<&PathPattern>) -> String {
        let methods: Vec<&str> = self
            .at(pattern)
            .flat_map(|operation| match operation.method {
                Method::GET => vec!["GET", "HEAD"],
                _ => vec![operation.method.as_str()],
            })
            .collect();
        if methods.is_empty() {
            return STATIC_METHODS.to_owned();
        }
        methods.join(", ")
    }

    /// The names of the parameters that the query of this operation may have.
    pub(super) fn query_parameters(
        &self,
        pattern: Option<&PathPattern>,
        method: &Method,
    ) -> &[String] {
        let found = self.at(pattern).find(|operation| {
            operation.method == *method
                || (operation.method == Method::GET && *method == Method::HEAD)
        });
        found.map_or(&[], |operation| &operation.query_parameters)
    }

    /// The name in the document of the parameter that poem calls `param0`.
    pub(super) fn path_parameter<'a>(
        &'a self,
        pattern: Option<&PathPattern>,
        name: &'a str,
    ) -> &'a str {
        let index = name
            .strip_prefix("param")
            .and_then(|index| index.parse::<usize>().ok());
        let found = index.and_then(|index| self.at(pattern).next()?.path_parameters.get(index));
        found.map_or(name, String::as_str)
    }

    fn at(&self, pattern: Option<&PathPattern>) -> impl Iterator<Item = &Operation> {
        let pattern = pattern.map(|pattern| pattern.0.trim_start_matches('/').to_owned());
        self.0
            .iter()
            .filter(move |operation| Some(&operation.pattern) == pattern.as_ref())
    }
}

/// `/samples/{sampleId}` becomes `samples/:param0` and `["sampleId"]`.
fn pattern(path: &str) -> (String, Vec<String>) {
    let mut names = Vec::new();
    let segments: Vec<String> = path
        .trim_start_matches('/')
        .split('/')
        .map(|segment| {
            match segment
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'))
            {
                Some(name) => {
                    names.push(name.to_owned());
                    format!(":param{}", names.len() - 1)
                }
                None => segment.to_owned(),
            }
        })
        .collect();
    (segments.join("/"), names)
}

fn query_parameters(operation: &MetaOperation) -> Vec<String> {
    let of_query = operation
        .params
        .iter()
        .filter(|parameter| parameter.in_type == MetaParamIn::Query);
    of_query.map(|parameter| parameter.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_document_becomes_the_pattern_of_its_route() {
        assert_eq!(
            pattern("/a/{first}/b/{second}"),
            (
                "a/:param0/b/:param1".to_owned(),
                vec!["first".to_owned(), "second".to_owned()]
            )
        );
        assert_eq!(
            pattern("/admin/stats"),
            ("admin/stats".to_owned(), Vec::new())
        );
    }
}

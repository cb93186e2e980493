//! How two values are compared.

use crate::map::catalog::{Column, TypeFamily};

const EQUALS: &str = "operator(pg_catalog.=)";

/// A condition that two values are equal. Each side is an expression and the column that its type comes from. Values
/// of one type are compared as that type does; integers of any width with each other; and where two types have no
/// equality in common, their texts are compared.
#[must_use]
pub fn equal(left: (&str, &Column), right: (&str, &Column)) -> String {
    let ((left_sql, left), (right_sql, right)) = (left, right);
    let same_type = left.base_type == right.base_type && left.equals == right.equals;
    let comparable = [TypeFamily::Integer, TypeFamily::Text];
    let same_family = left.family == right.family && comparable.contains(&left.family);
    if same_type {
        format!("{left_sql} {} {right_sql}", left.equals)
    } else if same_family {
        format!("{left_sql} {EQUALS} {right_sql}")
    } else {
        format!("{left_sql}::text {EQUALS} {right_sql}::text")
    }
}

//! Values as SQL. Names need nothing here: the server quoted them when the catalog was read.

use crate::map::catalog::Column;
use crate::map::format::Constant;

/// A string literal, whatever `standard_conforming_strings` says.
pub(super) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// An array of strings.
pub(super) fn array<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    let literals: Vec<String> = texts.map(literal).collect();
    format!("array[{}]::text[]", literals.join(", "))
}

/// A constant of the map in the type of a column.
pub(super) fn constant(constant: &Constant, column: &Column) -> String {
    let text = match constant {
        Constant::Text(text) => text.clone(),
        Constant::Whole(number) => number.to_string(),
        Constant::Fraction(number) => number.to_string(),
        Constant::Switch(switch) => switch.to_string(),
    };
    format!("{}::{}", literal(&text), column.type_sql)
}

/// A function's body between dollar quotes of which it has none in it.
pub(super) fn dollar_quoted(body: &str) -> String {
    let mut tag = "$lethe$".to_owned();
    for number in 1.. {
        if !body.contains(&tag) {
            break;
        }
        tag = format!("$lethe{number}$");
    }
    format!("{tag}\n{body}{tag}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_end_its_quotes() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("\\'"), "E'\\\\'''");
        assert_eq!(array(["a", "'"].into_iter()), "array['a', '''']::text[]");
        let quoted = dollar_quoted("select '$lethe$', '$lethe1$'\n");
        assert!(
            quoted.starts_with("$lethe2$\n") && quoted.ends_with("\n$lethe2$"),
            "{quoted}"
        );
    }
}

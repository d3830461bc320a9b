//! LIKE as Trino has it: no escape character unless ESCAPE names one.

use datafusion::sql::sqlparser::ast::{Expr, Value};

use crate::sandbox::athena::engine::EngineError;

/// Rewrites a literal pattern for DataFusion, where `\` always escapes.
pub fn rewrite_pattern(pattern: &mut Expr, escape: Option<Value>) -> Result<(), EngineError> {
    let Expr::Value(literal) = pattern else {
        return Err(EngineError::User(
            "NOT_SUPPORTED: the sandbox's engine takes only a string after LIKE".to_owned(),
        ));
    };
    let Value::SingleQuotedString(text) = &mut literal.value else {
        return Err(EngineError::User(
            "TYPE_MISMATCH: the pattern of LIKE is not a varchar".to_owned(),
        ));
    };
    let escape = match escape {
        None => None,
        Some(Value::SingleQuotedString(escape)) if escape.chars().count() == 1 => {
            escape.chars().next()
        }
        Some(_) => {
            return Err(EngineError::User(
                "INVALID_FUNCTION_ARGUMENT: Escape string must be a single character".to_owned(),
            ));
        }
    };
    *text = translate(text, escape)?;
    Ok(())
}

fn translate(pattern: &str, escape: Option<char>) -> Result<String, EngineError> {
    let mut translated = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let literal = if Some(character) == escape {
            let escaped = characters.next();
            let escaped = escaped.filter(|&next| matches!(next, '%' | '_') || Some(next) == escape);
            Some(escaped.ok_or_else(|| {
                EngineError::User(
                    "INVALID_FUNCTION_ARGUMENT: Escape character must be followed by '%', '_' or \
                     the escape character itself"
                        .to_owned(),
                )
            })?)
        } else if matches!(character, '%' | '_') {
            None
        } else {
            Some(character)
        };
        match literal {
            None => translated.push(character),
            Some(literal) => {
                if matches!(literal, '%' | '_' | '\\') {
                    translated.push('\\');
                }
                translated.push(literal);
            }
        }
    }
    Ok(translated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_keep_their_meaning_where_a_backslash_always_escapes() {
        for (pattern, escape, expected) in [
            ("a_b%", None, "a_b%"),
            (r"a\_b", None, r"a\\_b"),
            (r"a\_b%", Some('\\'), r"a\_b%"),
            (r"a\\b", Some('\\'), r"a\\b"),
            ("a#_b#%c##", Some('#'), r"a\_b\%c#"),
            (r"a\#_", Some('#'), r"a\\\_"),
        ] {
            assert_eq!(translate(pattern, escape).unwrap(), expected, "{pattern}");
        }
    }

    #[test]
    fn an_escape_before_anything_else_is_an_error() {
        assert!(translate(r"a\b", Some('\\')).is_err());
        assert!(translate(r"a\", Some('\\')).is_err());
    }
}

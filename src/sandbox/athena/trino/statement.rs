//! The one thing that is changed in a statement: the name of the database.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::sandbox::athena::engine::EngineError;
use crate::sandbox::athena::table::{CATALOG, DATABASE};

/// The statement with `schema` in place of the database wherever a name is qualified with it, and
/// without Athena's name of its catalog. Refuses whatever is no query.
pub fn with_schema(statement: &str, schema: &str) -> Result<String, EngineError> {
    let tokens = Tokenizer::new(&GenericDialect {}, statement)
        .with_unescape(false)
        .tokenize()
        .map_err(EngineError::syntax)?;
    let first = tokens.iter().find(|token| !is_blank(token));
    let is_query = match first {
        Some(Token::Word(word)) => {
            word.value.eq_ignore_ascii_case("SELECT") || word.value.eq_ignore_ascii_case("WITH")
        }
        Some(Token::LParen) => true,
        _ => false,
    };
    if !is_query {
        return Err(EngineError::User(
            "NOT_SUPPORTED: the sandbox's Athena runs only SELECT".to_owned(),
        ));
    }
    let end = tokens
        .iter()
        .rposition(|token| !is_blank(token) && *token != Token::SemiColon)
        .map_or(0, |last| last + 1);
    let mut rewritten = String::with_capacity(statement.len() + 64);
    let mut place = 0;
    while place < end {
        let is_qualifier = tokens[place + 1..end].first() == Some(&Token::Period);
        match &tokens[place] {
            Token::Word(word) if is_qualifier && word.value.eq_ignore_ascii_case(CATALOG) => {
                place += 1;
            }
            Token::Word(word) if is_qualifier && word.value.eq_ignore_ascii_case(DATABASE) => {
                rewritten.extend(["\"", schema, "\""]);
            }
            token => rewritten.push_str(&token.to_string()),
        }
        place += 1;
    }
    Ok(rewritten)
}

fn is_blank(token: &Token) -> bool {
    matches!(token, Token::Whitespace(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_database_is_renamed() {
        let sql = r#"SELECT "a""b", 'it''s \ "cloudtrail_logs".x', -- x
            1.5 FROM "AwsDataCatalog"."cloudtrail_logs"."t" WHERE x LIKE '%\_%' ESCAPE '\' ;"#;
        let expected = r#"SELECT "a""b", 'it''s \ "cloudtrail_logs".x', -- x
            1.5 FROM "s"."t" WHERE x LIKE '%\_%' ESCAPE '\'"#;
        assert_eq!(with_schema(sql, "s").unwrap(), expected);
        assert!(with_schema("DROP TABLE cloudtrail_logs.t", "s").is_err());
        assert!(with_schema("", "s").is_err());
    }
}

//! A condition on the record as one on the table's rows: every row that [`Condition::holds`] for,
//! and few others.
//!
//! The columns that decide are needed, one and all: without one of them the events could be neither
//! found nor recognised, so a table that lacks it is refused. (The planner asks the condition for
//! the same columns, so that such a table is a gap before any SQL is written.)

use std::net::IpAddr;

use super::columns::{Columns, MissingColumn};
use super::tree::{Expr, Pattern};
use crate::query::pattern::{Part, TextPattern};
use crate::query::{Case, Condition, Member, Network, ResourceRef};

/// The rows that may be so.
pub(super) fn rows(condition: &Condition, columns: Columns<'_>) -> Result<Expr, MissingColumn> {
    let each = |parts: &[Condition]| -> Result<Vec<Expr>, MissingColumn> {
        parts.iter().map(|part| rows(part, columns)).collect()
    };
    match condition {
        Condition::All(parts) => Ok(Expr::All(each(parts)?)),
        Condition::Any(parts) => match one_of(parts) {
            Some((member, texts)) => Ok(column(member, columns)?.among(texts)),
            None => Ok(Expr::Any(each(parts)?)),
        },
        Condition::Is(member, pattern) => Ok(text(column(*member, columns)?, pattern)),
        Condition::Absent(member) => Ok(column(*member, columns)?.null()),
        Condition::Present(member) => Ok(column(*member, columns)?.not_null()),
        Condition::From(network) => {
            Ok(address(column(Member::SourceIpAddress, columns)?, *network))
        }
        Condition::Names(resource) => {
            let pattern = in_json(resource);
            let named_in = |member| -> Result<Expr, MissingColumn> {
                Ok(column(member, columns)?.like(pattern.clone()))
            };
            Ok(Expr::Any(vec![
                named_in(Member::Resources)?,
                named_in(Member::RequestParameters)?,
            ]))
        }
    }
}

fn column(member: Member, columns: Columns<'_>) -> Result<Expr, MissingColumn> {
    columns.any_as_text(&member.path().to_lowercase())
}

/// The member and its texts, where all parts ask one member for one text each.
fn one_of(parts: &[Condition]) -> Option<(Member, Vec<&str>)> {
    let exact = |part| match part {
        &Condition::Is(member, ref pattern) => Some((member, pattern.as_exact()?)),
        _ => None,
    };
    let (member, _) = parts.first().and_then(exact)?;
    let texts = parts
        .iter()
        .map(|part| exact(part).filter(|(of, _)| *of == member));
    let texts: Option<Vec<_>> = texts.map(|text| Some(text?.1)).collect();
    Some((member, texts?))
}

/// The texts of this form, or few more.
fn text(column: Expr, pattern: &TextPattern) -> Expr {
    let (column, fold): (_, fn(&str) -> String) = match pattern.case {
        Case::Kept => (column, str::to_owned),
        // Lower case in SQL is that of all letters, in the condition that of A to Z: whatever is
        // equal by the latter is so by the former.
        Case::Ignored => (column.lower(), str::to_ascii_lowercase),
    };
    if let [Part::Text(text)] = &pattern.parts[..] {
        return column.equals(Expr::text(fold(text)));
    }
    let mut parts = Vec::new();
    for part in &pattern.parts {
        match part {
            Part::Anything => parts.push(Pattern::Anything),
            Part::HexDigits(digits) => parts.push(Pattern::Characters(*digits)),
            Part::Text(text) => match parts.last_mut() {
                Some(Pattern::Text(before)) => before.push_str(&fold(text)),
                _ => parts.push(Pattern::Text(fold(text))),
            },
        }
    }
    column.like(parts)
}

/// Addresses of the network and others that begin like them: SQL has no network types that both of
/// the engines know.
fn address(column: Expr, network: Network) -> Expr {
    let begins = |text: String| vec![Pattern::Text(text), Pattern::Anything];
    match network.first() {
        IpAddr::V4(first) if network.is_single() => column.equals(Expr::text(first.to_string())),
        IpAddr::V4(first) => {
            let whole_octets = usize::from(network.prefix() / 8);
            let octets = first.octets().map(|octet| octet.to_string());
            let mut start = octets[..whole_octets].join(".");
            if whole_octets > 0 {
                start.push('.');
            }
            // Of a name or an address of version 6 some would begin so too, at worst.
            column.like(begins(start))
        }
        IpAddr::V6(first) => {
            let group = first.segments()[0];
            // Zeros may be left out of an address's text, but not before the first colon of one
            // whose first group has all of its digits.
            if network.prefix() >= 16 && group >= 0x1000 {
                column.lower().like(begins(format!("{group:x}:")))
            } else {
                column.like(vec![
                    Pattern::Anything,
                    Pattern::Text(":".into()),
                    Pattern::Anything,
                ])
            }
        }
    }
}

/// JSON in which the text may stand: writers of JSON differ in which characters they escape, so that
/// only those that none escapes are asked for.
fn in_json(resource: &ResourceRef) -> Vec<Pattern> {
    let mut parts = vec![Pattern::Anything];
    for c in resource.as_str().chars() {
        let plain = c.is_ascii_alphanumeric() || "_-.:@+,*()! ".contains(c);
        match (plain, parts.last_mut()) {
            (true, Some(Pattern::Text(text))) => text.push(c),
            (true, _) => parts.push(Pattern::Text(c.into())),
            (false, Some(Pattern::Anything)) => {}
            (false, _) => parts.push(Pattern::Anything),
        }
    }
    if parts.last() != Some(&Pattern::Anything) {
        parts.push(Pattern::Anything);
    }
    parts
}

#[cfg(all(test, feature = "sandbox"))]
mod tests {
    use datafusion::sql::sqlparser::ast::{Expr as Parsed, Value, ValueWithSpan};
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;
    use proptest::prelude::*;

    use super::*;

    fn string(parsed: &Parsed) -> &str {
        let Parsed::Value(ValueWithSpan {
            value: Value::SingleQuotedString(text),
            ..
        }) = parsed
        else {
            panic!("not a string: {parsed}");
        };
        text
    }

    /// What Trino makes of a pattern after LIKE whose escape character is the backslash.
    fn is_like(pattern: &[char], text: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['\\', literal, rest @ ..] => {
                text.first() == Some(literal) && is_like(rest, &text[1..])
            }
            ['%', rest @ ..] => (0..=text.len()).any(|at| is_like(rest, &text[at..])),
            ['_', rest @ ..] => !text.is_empty() && is_like(rest, &text[1..]),
            [literal, rest @ ..] => text.first() == Some(literal) && is_like(rest, &text[1..]),
        }
    }

    /// Whether the SQL of `pattern` on a column takes `value`: it must be one comparison of that
    /// column with one literal.
    fn takes(pattern: &TextPattern, value: &str) -> bool {
        let sql = text(Expr::column("username"), pattern).to_string();
        let mut parser = Parser::new(&GenericDialect {}).try_with_sql(&sql).unwrap();
        let parsed = parser.parse_expr().unwrap();
        let value = match pattern.case {
            Case::Kept => value.to_owned(),
            Case::Ignored => value.to_lowercase(),
        };
        match parsed {
            Parsed::BinaryOp { right, .. } => string(&right) == value,
            Parsed::Like {
                negated: false,
                pattern,
                escape_char: Some(escape),
                ..
            } => {
                assert_eq!(escape.value.into_string().as_deref(), Some("\\"));
                let pattern: Vec<char> = string(&pattern).chars().collect();
                is_like(&pattern, &value.chars().collect::<Vec<_>>())
            }
            other => panic!("not one comparison: {other}"),
        }
    }

    proptest! {
        /// Whatever stands between the wildcards, SQL takes what the condition takes, and no more
        /// where case counts.
        #[test]
        fn a_wildcard_is_one_in_sql_and_nothing_else_is(
            pattern in "[aB_%'\\\\*]{1,8}",
            value in "[aAbB_%'\\\\]{0,8}",
        ) {
            let kept = TextPattern::wildcard(&pattern, Case::Kept);
            prop_assert_eq!(takes(&kept, &value), kept.matches(&value));
            let ignored = TextPattern::wildcard(&pattern, Case::Ignored);
            prop_assert_eq!(takes(&ignored, &value), ignored.matches(&value));
        }

        #[test]
        fn any_literal_between_wildcards_matches_itself(
            before in any::<String>(),
            after in any::<String>(),
        ) {
            let (before, after) = (before.replace('*', ""), after.replace('*', ""));
            let pattern = TextPattern::wildcard(&format!("{before}*{after}"), Case::Kept);
            let value = format!("{before}x{after}");
            prop_assert!(takes(&pattern, &value));
        }
    }
}

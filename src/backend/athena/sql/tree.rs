//! The tree of a statement, and how it is printed: the only place where SQL text is written.
//!
//! The dialect is Trino's (Athena engine version 3).

use std::fmt;

use crate::query::SearchOrder;

/// A statement that reads one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::backend::athena) struct Select {
    /// What is selected, each under its own name.
    pub outputs: Vec<(Expr, String)>,
    /// The database.
    pub database: String,
    /// The table in it.
    pub table: String,
    /// The part of its files, in percent, that is read, whichever they are; none reads all.
    pub sample: Option<u8>,
    /// Which rows.
    pub filter: Expr,
    /// By which values the rows are put together; none are.
    pub group_by: Vec<Expr>,
    /// By which columns the rows are ordered, NULLs last.
    pub order_by: Vec<Expr>,
    /// In which direction, all of them.
    pub order: SearchOrder,
}

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::backend::athena) enum Expr {
    /// A column, or by further names a field within it.
    Column(Vec<String>),
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A comparison.
    Compare(Box<Expr>, Comparison, Box<Expr>),
    /// Between two values, both included.
    Between(Box<Expr>, Box<Expr>, Box<Expr>),
    /// A text of a certain form.
    Like(Box<Expr>, Vec<Pattern>),
    /// One of the values; of none, never.
    In(Box<Expr>, Vec<Expr>),
    /// No value.
    IsNull(Box<Expr>),
    /// Some value.
    IsNotNull(Box<Expr>),
    /// A text in lower case.
    Lower(Box<Expr>),
    /// All of these; of none, always.
    All(Vec<Expr>),
    /// Any of these; of none, never.
    Any(Vec<Expr>),
    /// The first that has a value.
    Coalesce(Vec<Expr>),
    /// A scalar as text.
    AsText(Box<Expr>),
    /// An array, map or row as JSON text.
    AsJson(Box<Expr>),
    /// The greatest of a group.
    Max(Box<Expr>),
}

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend::athena) enum Comparison {
    Equal,
    AtLeast,
    AtMost,
    Less,
}

/// A part of what a text is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::backend::athena) enum Pattern {
    /// Exactly this.
    Text(String),
    /// Anything, also nothing.
    Anything,
    /// So many characters, whichever.
    Characters(usize),
}

impl Expr {
    /// The column at a dotted path.
    pub fn column(path: &str) -> Self {
        Self::Column(path.split('.').map(str::to_owned).collect())
    }

    /// A string.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Whether this is `other`.
    pub fn equals(self, other: Self) -> Self {
        self.compare(Comparison::Equal, other)
    }

    /// How this compares with `other`.
    pub fn compare(self, how: Comparison, other: Self) -> Self {
        Self::Compare(Box::new(self), how, Box::new(other))
    }

    /// Whether this lies between the two, or is one of them.
    pub fn between(self, least: Self, most: Self) -> Self {
        if least == most {
            self.equals(least)
        } else {
            Self::Between(Box::new(self), Box::new(least), Box::new(most))
        }
    }

    /// Whether this text has that form.
    pub fn like(self, pattern: Vec<Pattern>) -> Self {
        Self::Like(Box::new(self), pattern)
    }

    /// Whether this is one of the strings.
    pub fn among<T: Into<String>>(self, texts: impl IntoIterator<Item = T>) -> Self {
        Self::In(Box::new(self), texts.into_iter().map(Self::text).collect())
    }

    /// Whether this has no value.
    pub fn null(self) -> Self {
        Self::IsNull(Box::new(self))
    }

    /// Whether this has a value.
    pub fn not_null(self) -> Self {
        Self::IsNotNull(Box::new(self))
    }

    /// This text in lower case.
    pub fn lower(self) -> Self {
        Self::Lower(Box::new(self))
    }
}

impl fmt::Display for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SELECT\n")?;
        for (at, (value, name)) in self.outputs.iter().enumerate() {
            let comma = if at + 1 < self.outputs.len() { "," } else { "" };
            writeln!(f, "  {value} AS {}{comma}", quote_identifier(name))?;
        }
        let (database, table) = (
            quote_identifier(&self.database),
            quote_identifier(&self.table),
        );
        write!(f, "FROM {database}.{table}")?;
        if let Some(percent) = self.sample {
            write!(f, " TABLESAMPLE SYSTEM ({percent})")?;
        }
        f.write_str("\nWHERE ")?;
        match &self.filter {
            Expr::All(parts) if !parts.is_empty() => separated(f, parts, "\n  AND ")?,
            filter => filter.fmt(f)?,
        }
        if !self.group_by.is_empty() {
            f.write_str("\nGROUP BY ")?;
            separated(f, &self.group_by, ", ")?;
        }
        let direction = match self.order {
            SearchOrder::NewestFirst => "DESC",
            SearchOrder::OldestFirst => "ASC",
        };
        for (at, column) in self.order_by.iter().enumerate() {
            let before = if at == 0 { "\nORDER BY " } else { ", " };
            write!(f, "{before}{column} {direction} NULLS LAST")?;
        }
        Ok(())
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(path) => {
                let path: Vec<_> = path.iter().map(|name| quote_identifier(name)).collect();
                f.write_str(&path.join("."))
            }
            Self::Text(text) => f.write_str(&quote_text(text)),
            Self::Integer(number) => number.fmt(f),
            Self::Compare(left, how, right) => write!(f, "{left} {how} {right}"),
            Self::Between(value, least, most) => write!(f, "{value} BETWEEN {least} AND {most}"),
            Self::Like(value, pattern) => {
                let pattern: String = pattern.iter().map(Pattern::escaped).collect();
                write!(f, "{value} LIKE {} ESCAPE '\\'", quote_text(&pattern))
            }
            Self::In(_, values) if values.is_empty() => f.write_str("FALSE"),
            Self::In(value, values) if values.len() == 1 => write!(f, "{value} = {}", values[0]),
            Self::In(value, values) => {
                write!(f, "{value} IN (")?;
                separated(f, values, ", ")?;
                f.write_str(")")
            }
            Self::IsNull(value) => write!(f, "{value} IS NULL"),
            Self::IsNotNull(value) => write!(f, "{value} IS NOT NULL"),
            Self::Lower(value) => write!(f, "lower({value})"),
            Self::All(parts) => connected(f, parts, " AND ", "TRUE"),
            Self::Any(parts) => connected(f, parts, " OR ", "FALSE"),
            Self::Coalesce(values) => {
                f.write_str("COALESCE(")?;
                separated(f, values, ", ")?;
                f.write_str(")")
            }
            Self::AsText(value) => write!(f, "CAST({value} AS varchar)"),
            Self::AsJson(value) => write!(f, "json_format(CAST({value} AS JSON))"),
            Self::Max(value) => write!(f, "max({value})"),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::AtLeast => ">=",
            Self::AtMost => "<=",
            Self::Less => "<",
        })
    }
}

impl Pattern {
    /// This part as `LIKE … ESCAPE '\'` reads it.
    fn escaped(&self) -> String {
        match self {
            Self::Anything => "%".into(),
            Self::Characters(number) => "_".repeat(*number),
            Self::Text(text) => {
                let mut escaped = String::with_capacity(text.len());
                for c in text.chars() {
                    if matches!(c, '%' | '_' | '\\') {
                        escaped.push('\\');
                    }
                    escaped.push(c);
                }
                escaped
            }
        }
    }
}

/// So many conditions stand in one pair of parentheses. A parser makes a chain of them, as deep as
/// they are many, so more are printed as a balanced tree: depth is what exhausts an engine's stack.
const CHAIN: usize = 16;

/// Parts that are conditions themselves, in parentheses where there are several.
fn connected(f: &mut fmt::Formatter<'_>, parts: &[Expr], between: &str, none: &str) -> fmt::Result {
    match parts {
        [] => f.write_str(none),
        [one] => write!(f, "{one}"),
        _ if parts.len() > CHAIN => {
            let (first, second) = parts.split_at(parts.len() / 2);
            f.write_str("(")?;
            connected(f, first, between, none)?;
            f.write_str(between)?;
            connected(f, second, between, none)?;
            f.write_str(")")
        }
        _ => {
            f.write_str("(")?;
            separated(f, parts, between)?;
            f.write_str(")")
        }
    }
}

fn separated(f: &mut fmt::Formatter<'_>, parts: &[Expr], between: &str) -> fmt::Result {
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            f.write_str(between)?;
        }
        write!(f, "{part}")?;
    }
    Ok(())
}

/// A string literal: the one place where a caller's text enters SQL.
fn quote_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name in double quotes.
fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_grouped_as_they_nest() {
        let a = || Expr::column("a.b").equals(Expr::text("x"));
        let any = Expr::Any(vec![a(), Expr::All(vec![a(), a()])]);
        assert_eq!(
            Expr::All(vec![any, Expr::Any(vec![a()])]).to_string(),
            r#"(("a"."b" = 'x' OR ("a"."b" = 'x' AND "a"."b" = 'x')) AND "a"."b" = 'x')"#
        );
        assert_eq!(Expr::Any(Vec::new()).to_string(), "FALSE");
        assert_eq!(Expr::All(Vec::new()).to_string(), "TRUE");
        assert_eq!(
            Expr::column("a").among(Vec::<String>::new()).to_string(),
            "FALSE"
        );
    }

    #[test]
    fn many_conditions_nest_no_deeper_than_they_must() {
        let many = (0..1000).map(|n| Expr::column("a").equals(Expr::Integer(n)));
        let printed = Expr::Any(many.collect()).to_string();
        let mut deepest = 0_i32;
        let mut depth = 0;
        for c in printed.chars() {
            depth += i32::from(c == '(') - i32::from(c == ')');
            deepest = deepest.max(depth);
        }
        assert_eq!(printed.matches("\"a\" = ").count(), 1000);
        assert!(deepest <= 7, "{deepest}");
    }

    #[test]
    fn quotes_are_doubled_and_patterns_escaped() {
        assert_eq!(Expr::text("o'hara").to_string(), "'o''hara'");
        assert_eq!(Expr::column("a\"b").to_string(), "\"a\"\"b\"");
        let like =
            Expr::column("p").like(vec![Pattern::Anything, Pattern::Text(":a_b%c\\d'e".into())]);
        assert_eq!(like.to_string(), r#""p" LIKE '%:a\_b\%c\\d''e' ESCAPE '\'"#);
    }
}

#[cfg(all(test, feature = "sandbox"))]
mod parsed_back {
    use datafusion::sql::sqlparser::ast::{
        BinaryOperator, Expr as Parsed, SetExpr, Statement, Value, ValueWithSpan,
    };
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;
    use proptest::prelude::*;

    use super::*;

    /// The one predicate of the one statement that `filter` becomes.
    fn predicate(filter: Expr) -> Parsed {
        let select = Select {
            outputs: vec![(Expr::column("eventid"), "eventid".into())],
            database: "logs".into(),
            table: "cloudtrail".into(),
            sample: None,
            filter,
            group_by: Vec::new(),
            order_by: vec![Expr::column("eventtime")],
            order: SearchOrder::NewestFirst,
        };
        let mut statements = Parser::parse_sql(&GenericDialect {}, &select.to_string()).unwrap();
        assert_eq!(statements.len(), 1);
        let Some(Statement::Query(query)) = statements.pop() else {
            panic!("not a query");
        };
        let SetExpr::Select(select) = *query.body else {
            panic!("not a select");
        };
        select.selection.unwrap()
    }

    fn literal(parsed: &Parsed) -> &str {
        let Parsed::Value(ValueWithSpan {
            value: Value::SingleQuotedString(text),
            ..
        }) = parsed
        else {
            panic!("not a string: {parsed}");
        };
        text
    }

    proptest! {
        #[test]
        fn any_name_stays_one_literal(name in any::<String>()) {
            let parsed = predicate(Expr::column("username").equals(Expr::text(&name)));
            let Parsed::BinaryOp { op: BinaryOperator::Eq, right, .. } = parsed else {
                panic!("not one comparison");
            };
            prop_assert_eq!(literal(&right), name);
        }

        #[test]
        fn any_name_in_a_pattern_stays_one_literal_that_matches_itself_alone(
            name in any::<String>(),
        ) {
            let pattern = vec![Pattern::Anything, Pattern::Text(format!(":{name}"))];
            let parsed = predicate(Expr::column("principalid").like(pattern));
            let Parsed::Like { pattern, escape_char, negated: false, .. } = parsed else {
                panic!("not one LIKE");
            };
            let escape = escape_char.unwrap();
            prop_assert_eq!(escape.value.into_string(), Some("\\".to_owned()));
            let rest = literal(&pattern).strip_prefix('%').unwrap();
            prop_assert_eq!(unescape(rest), Some(format!(":{name}")));
        }
    }

    /// The one text that a pattern matches; none if it holds a wildcard.
    fn unescape(pattern: &str) -> Option<String> {
        let mut text = String::new();
        let mut rest = pattern.chars();
        while let Some(c) = rest.next() {
            match c {
                '\\' => text.push(rest.next()?),
                '%' | '_' => return None,
                c => text.push(c),
            }
        }
        Some(text)
    }
}

//! Reading a pattern.

use std::str::FromStr;

use serde_json::Value;

use crate::sandbox::logs::cursor::Cursor;

use super::{Condition, Operator, Pattern, Selector, Step, Wildcard};

/// Why a text is no pattern, or none that the sandbox has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid filter pattern: {what} at character {position}")]
pub(in crate::sandbox::logs) struct NotAPattern {
    what: String,
    position: usize,
}

/// How deep parentheses may nest; a pattern has at most 1,024 characters anyway.
const MAX_DEPTH: usize = 100;

impl FromStr for Pattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        let mut parser = Parser {
            cursor: Cursor::new(text),
            depth: 0,
        };
        if !parser.cursor.eat("{") {
            return parser.refuse("the sandbox has patterns for JSON only: expected `{`");
        }
        let pattern = parser.any()?;
        if !parser.cursor.eat("}") {
            return parser.refuse("expected `&&`, `||` or `}`");
        }
        if !parser.cursor.is_at_end() {
            return parser.refuse("expected nothing more");
        }
        Ok(pattern)
    }
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    depth: usize,
}

impl Parser<'_> {
    fn refuse<T>(&self, what: impl Into<String>) -> Result<T, NotAPattern> {
        Err(NotAPattern {
            what: what.into(),
            position: self.cursor.position(),
        })
    }

    fn any(&mut self) -> Result<Pattern, NotAPattern> {
        let mut patterns = vec![self.all()?];
        while self.cursor.eat("||") {
            patterns.push(self.all()?);
        }
        Ok(only_or(patterns, Pattern::Any))
    }

    fn all(&mut self) -> Result<Pattern, NotAPattern> {
        let mut patterns = vec![self.one()?];
        while self.cursor.eat("&&") {
            patterns.push(self.one()?);
        }
        Ok(only_or(patterns, Pattern::All))
    }

    fn one(&mut self) -> Result<Pattern, NotAPattern> {
        if !self.cursor.eat("(") {
            let selector = self.selector()?;
            return Ok(Pattern::Condition(selector, self.condition()?));
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.refuse("too many parentheses");
        }
        let pattern = self.any()?;
        self.depth -= 1;
        if self.cursor.eat(")") {
            Ok(pattern)
        } else {
            self.refuse("expected `&&`, `||` or `)`")
        }
    }

    fn selector(&mut self) -> Result<Selector, NotAPattern> {
        if !self.cursor.eat("$.") {
            return self.refuse("expected `(` or a property selector such as `$.eventName`");
        }
        let mut steps = vec![self.member()?];
        loop {
            match self.cursor.rest().chars().next() {
                Some('.') => {
                    self.cursor.eat(".");
                    steps.push(self.member()?);
                }
                Some('[') => {
                    self.cursor.eat("[");
                    let digits = self.cursor.take_while(|next| next.is_ascii_digit());
                    let Ok(index) = digits.parse() else {
                        return self.refuse("expected an array index");
                    };
                    if !self.cursor.eat("]") {
                        return self.refuse("expected `]`");
                    }
                    steps.push(Step::Element(index));
                }
                _ => return Ok(Selector(steps)),
            }
        }
    }

    fn member(&mut self) -> Result<Step, NotAPattern> {
        let takes = |next: char| next.is_ascii_alphanumeric() || matches!(next, '-' | '_');
        match self.cursor.take_while(takes) {
            "" => self.refuse("expected a property's name (letters, digits, `-`, `_`)"),
            name => Ok(Step::Member(name.to_owned())),
        }
    }

    fn condition(&mut self) -> Result<Condition, NotAPattern> {
        self.cursor.skip_space();
        let before = self.cursor;
        match self.cursor.take_while(|next| next.is_ascii_alphabetic()) {
            "" => {}
            "IS" => {
                self.cursor.skip_space();
                return match self.cursor.take_while(|next| next.is_ascii_alphabetic()) {
                    "NULL" => Ok(Condition::Is(Value::Null)),
                    "TRUE" => Ok(Condition::Is(Value::Bool(true))),
                    "FALSE" => Ok(Condition::Is(Value::Bool(false))),
                    _ => self.refuse("expected `NULL`, `TRUE` or `FALSE`"),
                };
            }
            "NOT" => {
                self.cursor.skip_space();
                return match self.cursor.take_while(|next| next.is_ascii_alphabetic()) {
                    "EXISTS" => Ok(Condition::NotExists),
                    _ => self.refuse("expected `EXISTS`"),
                };
            }
            _ => {
                self.cursor = before;
                return self.refuse("expected an operator, `IS` or `NOT EXISTS`");
            }
        }
        // The longer ones first.
        let operators = [
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("=", Operator::Equal),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        for (symbol, operator) in operators {
            if self.cursor.eat(symbol) {
                return self.comparison(operator);
            }
        }
        self.refuse("expected an operator, `IS` or `NOT EXISTS`")
    }

    fn comparison(&mut self, operator: Operator) -> Result<Condition, NotAPattern> {
        self.cursor.skip_space();
        let term = if self.cursor.eat("\"") {
            let Some(term) = self.cursor.take_until('"') else {
                return self.refuse("expected a closing quotation mark");
            };
            if term.ends_with('\\') {
                return self.refuse("no way to quote a quotation mark is documented");
            }
            term
        } else {
            let takes = |next: char| {
                next.is_ascii_alphanumeric() || matches!(next, '_' | '.' | '*' | '+' | '-')
            };
            let term = self.cursor.take_while(takes);
            if let Some(number) = number(term) {
                return Ok(Condition::Number {
                    operator,
                    term: number,
                });
            }
            if term.is_empty() || term.contains(['+', '-']) {
                return self
                    .refuse("expected a number, letters and digits, or a text in quotation marks");
            }
            term
        };
        let equal = match operator {
            Operator::Equal => true,
            Operator::NotEqual => false,
            _ => return self.refuse("texts are compared with `=` and `!=` only"),
        };
        let term = Wildcard::of(term);
        Ok(Condition::Text { term, equal })
    }
}

fn only_or(mut patterns: Vec<Pattern>, several: fn(Vec<Pattern>) -> Pattern) -> Pattern {
    match (patterns.len(), patterns.pop()) {
        (1, Some(only)) => only,
        (_, last) => several(patterns.into_iter().chain(last).collect()),
    }
}

/// An integer or decimal with an optional sign, and an optional exponent behind `e`.
fn number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let plain = |next: char| next.is_ascii_digit() || matches!(next, '.' | 'e' | '+' | '-');
    if !unsigned.starts_with(|next: char| next.is_ascii_digit()) || !unsigned.chars().all(plain) {
        return None;
    }
    text.parse().ok()
}

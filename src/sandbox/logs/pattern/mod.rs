//! Filter patterns for JSON log events, as far as AWS documents them by example.
//!
//! Where the documentation is silent, this is the reading that finds less, so that whoever relies
//! on more notices: a comparison holds for a value of its term's own kind only, and none holds for
//! a member that is missing (of `!=`, CloudWatch's console shows as much).

mod parse;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use serde_json::Value;

/// A pattern that log events match or do not.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Pattern {
    /// `a || b`
    Any(Vec<Pattern>),
    /// `a && b`
    All(Vec<Pattern>),
    /// One condition on one member.
    Condition(Selector, Condition),
}

/// Where a condition looks: `$.users[0].email`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selector(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(String),
    Element(usize),
}

/// What a condition asks of the value there.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    /// `IS NULL`, `IS TRUE`, `IS FALSE`
    Is(Value),
    /// `NOT EXISTS`
    NotExists,
    /// `= text` or `!= text`
    Text { term: Wildcard, equal: bool },
    /// A comparison with a number.
    Number { operator: Operator, term: f64 },
}

/// A text that may have a `*` before and behind it. Any other `*` is the character itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wildcard {
    any_before: bool,
    any_behind: bool,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Pattern {
    /// Whether a log event matches.
    pub fn matches(&self, event: &Value) -> bool {
        match self {
            Self::Any(patterns) => patterns.iter().any(|pattern| pattern.matches(event)),
            Self::All(patterns) => patterns.iter().all(|pattern| pattern.matches(event)),
            Self::Condition(selector, condition) => condition.holds(selector.value(event)),
        }
    }
}

impl Selector {
    fn value<'a>(&self, event: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(event, |value, step| match step {
            Step::Member(name) => value.as_object()?.get(name),
            Step::Element(index) => value.as_array()?.get(*index),
        })
    }
}

impl Condition {
    fn holds(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::NotExists, value) => value.is_none(),
            (Self::Is(wanted), Some(value)) => wanted == value,
            (Self::Text { term, equal }, Some(Value::String(text))) => term.matches(text) == *equal,
            (Self::Text { term, equal }, Some(Value::Number(number))) if term.has_wildcard() => {
                term.matches(&number.to_string()) == *equal
            }
            (Self::Number { operator, term }, Some(Value::Number(number))) => {
                (number.as_f64()).is_some_and(|number| operator.holds(number, *term))
            }
            _ => false,
        }
    }
}

impl Wildcard {
    fn of(term: &str) -> Self {
        let (any_before, text) =
            (term.strip_prefix('*')).map_or((false, term), |rest| (true, rest));
        let (any_behind, text) =
            (text.strip_suffix('*')).map_or((false, text), |rest| (true, rest));
        Self {
            any_before,
            any_behind,
            text: text.to_owned(),
        }
    }

    fn has_wildcard(&self) -> bool {
        self.any_before || self.any_behind
    }

    fn matches(&self, text: &str) -> bool {
        match (self.any_before, self.any_behind) {
            (false, false) => text == self.text,
            (true, false) => text.ends_with(&self.text),
            (false, true) => text.starts_with(&self.text),
            (true, true) => text.contains(&self.text),
        }
    }
}

impl Operator {
    fn holds(self, left: f64, right: f64) -> bool {
        let Some(ordering) = left.partial_cmp(&right) else {
            return false;
        };
        match self {
            Self::Equal => ordering == Ordering::Equal,
            Self::NotEqual => ordering != Ordering::Equal,
            Self::Less => ordering == Ordering::Less,
            Self::LessOrEqual => ordering != Ordering::Greater,
            Self::Greater => ordering == Ordering::Greater,
            Self::GreaterOrEqual => ordering != Ordering::Less,
        }
    }
}

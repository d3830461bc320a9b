//! The query language of Logs Insights, as far as the service writes it: `fields`, `filter`,
//! `sort @timestamp` and `limit`.
//!
//! Where the documentation is silent, this is the reading that finds less: a comparison holds for
//! a value of its literal's own kind only. A field that is missing is unequal to everything.

mod fields;
mod parse;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use regex::Regex;

pub(super) use fields::Fields;
use fields::Scalar;
pub(super) use parse::MAX_ROWS;

/// A query.
#[derive(Debug, Clone)]
pub(super) struct Query {
    /// What each row shows, `@ptr` apart.
    pub columns: Vec<Column>,
    /// All of them must hold.
    pub filters: Vec<Filter>,
    /// The order of rows.
    pub order: Order,
    /// How many rows there are at most.
    pub limit: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Message,
    Timestamp,
    LogStream,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    OldestFirst,
    NewestFirst,
}

/// A condition on an event.
#[derive(Debug, Clone)]
pub(super) enum Filter {
    Any(Vec<Filter>),
    All(Vec<Filter>),
    Not(Box<Filter>),
    /// `ispresent(field)`
    IsPresent(String),
    /// `field < literal`
    Compare {
        field: String,
        operator: Operator,
        literal: Scalar,
    },
    /// `field in [literal, …]`
    In {
        field: String,
        literals: Vec<Scalar>,
    },
    /// `field like "text"`
    Contains {
        field: String,
        text: String,
    },
    /// `field like /expression/`
    Like {
        field: String,
        expression: Regex,
    },
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

/// Why a text is no query, or none that the sandbox runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} ([{position}])")]
pub(super) struct NotAQuery {
    what: String,
    position: usize,
}

impl Filter {
    /// Whether an event with these fields passes.
    pub fn passes(&self, fields: &Fields<'_>) -> bool {
        match self {
            Self::Any(filters) => filters.iter().any(|filter| filter.passes(fields)),
            Self::All(filters) => filters.iter().all(|filter| filter.passes(fields)),
            Self::Not(filter) => !filter.passes(fields),
            Self::IsPresent(field) => fields.get(field).is_some(),
            Self::Compare {
                field,
                operator,
                literal,
            } => operator.holds(fields.get(field), literal),
            Self::In { field, literals } => {
                (fields.get(field)).is_some_and(|value| literals.contains(&value))
            }
            Self::Contains { field, text } => {
                (fields.text(field)).is_some_and(|value| value.contains(&**text))
            }
            Self::Like { field, expression } => {
                (fields.text(field)).is_some_and(|value| expression.is_match(&value))
            }
        }
    }
}

impl Operator {
    fn holds(self, value: Option<Scalar>, literal: &Scalar) -> bool {
        let ordering = match (value, literal) {
            (Some(Scalar::Text(value)), Scalar::Text(literal)) => Some(value.cmp(literal)),
            (Some(Scalar::Number(value)), Scalar::Number(literal)) => value.partial_cmp(literal),
            _ => None,
        };
        match (self, ordering) {
            (Self::NotEqual, None) => true,
            (_, None) => false,
            (Self::Equal, Some(ordering)) => ordering == Ordering::Equal,
            (Self::NotEqual, Some(ordering)) => ordering != Ordering::Equal,
            (Self::Less, Some(ordering)) => ordering == Ordering::Less,
            (Self::LessOrEqual, Some(ordering)) => ordering != Ordering::Greater,
            (Self::Greater, Some(ordering)) => ordering == Ordering::Greater,
            (Self::GreaterOrEqual, Some(ordering)) => ordering != Ordering::Less,
        }
    }
}

//! A table's columns, as expressions.

use super::tree::Expr;
use crate::plan::facts::TableFacts;

/// What the table has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns<'a>(pub &'a TableFacts);

/// A column that is needed and that the table lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it has no column {0}")]
pub(super) struct MissingColumn(pub String);

impl Columns<'_> {
    /// Whether there is a scalar at this path.
    pub fn has(self, path: &str) -> bool {
        self.0.columns.contains(path)
    }

    /// Whether the scalar at this path is a string.
    pub fn is_text(self, path: &str) -> bool {
        self.has(path) && !self.0.not_text.contains(path)
    }

    /// Whether there is an array or a map at this path: composite, with nothing below it.
    pub fn is_collection(self, path: &str) -> bool {
        let below = format!("{path}.");
        let leads_on = |paths: &std::collections::BTreeSet<String>| {
            paths
                .range(below.clone()..)
                .next()
                .is_some_and(|next| next.starts_with(&below))
        };
        self.0.composites.contains(path)
            && !leads_on(&self.0.columns)
            && !leads_on(&self.0.composites)
    }

    /// Whatever is at this path, as text: a scalar, or a composite as JSON.
    pub fn any_as_text(self, path: &str) -> Result<Expr, MissingColumn> {
        if self.0.composites.contains(path) {
            Ok(Expr::AsJson(Box::new(Expr::column(path))))
        } else {
            self.text(path)
        }
    }

    /// The scalar at this path, as text.
    pub fn text(self, path: &str) -> Result<Expr, MissingColumn> {
        if !self.has(path) {
            return Err(MissingColumn(path.to_owned()));
        }
        let column = Expr::column(path);
        Ok(if self.is_text(path) {
            column
        } else {
            Expr::AsText(Box::new(column))
        })
    }
}

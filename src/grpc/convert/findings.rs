//! What is wrong with a request: all of it, not only the first thing.

use crate::query::shown;

/// At most so many of a kind are told: error details travel in HTTP/2 trailers, which some clients
/// limit to 8 KB.
pub(crate) const MAX_TOLD: usize = 16;

/// Collects what is wrong with a request while it is read.
#[derive(Debug, Default)]
pub struct Findings {
    invalid: Vec<FieldFinding>,
    exceeded: Vec<FieldFinding>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFinding {
    /// The field's path, such as `identities[0].user_name`.
    pub field: String,
    /// What is allowed.
    pub description: String,
}

/// Why a request is refused before anything is asked of AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// These fields are malformed or contradict each other.
    Invalid(Vec<FieldFinding>),
    /// These fields ask for more than the configured limits allow.
    Exceeded(Vec<FieldFinding>),
}

impl Findings {
    /// Notes a malformed value.
    pub fn invalid(&mut self, field: impl Into<String>, description: impl Into<String>) {
        note(&mut self.invalid, field.into(), description.into());
    }

    /// Notes a malformed value that is text, with its beginning.
    pub fn malformed(
        &mut self,
        field: impl Into<String>,
        value: &str,
        expected: impl std::fmt::Display,
    ) {
        self.invalid(field, format!("{}: {expected}", shown(value)));
    }

    /// Notes a value beyond a limit.
    pub fn exceeded(&mut self, field: impl Into<String>, description: impl Into<String>) {
        note(&mut self.exceeded, field.into(), description.into());
    }

    /// Notes a list that is longer than `limit`, the value of the configuration's `key`.
    pub fn check_length(&mut self, field: &str, length: usize, limit: u64, key: &str) {
        if length as u64 > limit {
            self.exceeded(
                field,
                format!("{length} asked for, at most {limit} are allowed ({key})"),
            );
        }
    }

    /// Whether nothing malformed was found, so that the parts can be put together.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        self.invalid.is_empty()
    }

    /// The verdict. Malformed input comes first: what it was meant to say is not known.
    pub fn finish(self) -> Result<(), Rejection> {
        if !self.invalid.is_empty() {
            Err(Rejection::Invalid(self.invalid))
        } else if !self.exceeded.is_empty() {
            Err(Rejection::Exceeded(self.exceeded))
        } else {
            Ok(())
        }
    }
}

fn note(list: &mut Vec<FieldFinding>, field: String, description: String) {
    if list.len() + 1 < MAX_TOLD {
        list.push(FieldFinding { field, description });
    } else if list.len() + 1 == MAX_TOLD {
        list.push(FieldFinding {
            field,
            description: format!("{description} (further problems are not listed)"),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_input_outweighs_limits() {
        let mut findings = Findings::default();
        findings.exceeded("account_ids", "too many");
        findings.invalid("regions[0]", "no Region");
        assert!(matches!(findings.finish(), Err(Rejection::Invalid(list)) if list.len() == 1));
        assert_eq!(Findings::default().finish(), Ok(()));
    }

    #[test]
    fn details_stay_small_whatever_is_sent() {
        let mut findings = Findings::default();
        for index in 0..1_000 {
            findings.malformed(format!("account_ids[{index}]"), &"'\n".repeat(9_999), "no");
        }
        let Err(Rejection::Invalid(told)) = findings.finish() else {
            panic!("not refused");
        };
        assert_eq!(told.len(), MAX_TOLD);
        assert!(told[15].description.contains("not listed"));
        let bytes: usize = told
            .iter()
            .map(|f| f.field.len() + f.description.len())
            .sum();
        assert!(bytes < 4_096, "{bytes}");
    }
}

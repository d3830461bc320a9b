//! All outcomes together: what was read and what was not.

use super::outcome::{OutcomeState, ScanOutcome};

/// Whether the answer is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// Every interval asked for was read.
    Complete,
    /// Something was not.
    Incomplete,
}

/// All outcomes of a search.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    /// One outcome for every scan and every gap.
    pub outcomes: Vec<ScanOutcome>,
}

impl Coverage {
    /// Complete only if every outcome is complete or not applicable.
    #[must_use]
    pub fn completeness(&self) -> Completeness {
        let whole = self.outcomes.iter().all(|outcome| {
            matches!(
                outcome.state,
                OutcomeState::Complete | OutcomeState::NotApplicable
            )
        });
        if whole {
            Completeness::Complete
        } else {
            Completeness::Incomplete
        }
    }
}

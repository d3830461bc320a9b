//! All outcomes together: what was read and what was not.

use super::outcome::{OutcomeState, ReasonCode, ScanOutcome};
use crate::query::TimeRange;

/// Whether the answer is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// Every interval asked for was read.
    Complete,
    /// Everything was but for what the configuration accepts as unreadable.
    CompleteExceptAccepted,
    /// Something was not.
    Incomplete,
}

/// All outcomes of a search.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    /// One outcome for every scan and every gap.
    pub outcomes: Vec<ScanOutcome>,
}

impl ScanOutcome {
    /// What of the interval asked was not read, or holds records that could not be read; none if
    /// nothing remains. What was read and is unverified is not in it.
    ///
    /// Of what was handed over nothing remains: what does is in the outcome of who took it over.
    /// Scans read from one end, so what remains is one interval at the other.
    #[must_use]
    pub fn remaining(&self) -> Option<TimeRange> {
        match (self.state, self.covered) {
            (
                OutcomeState::Complete
                | OutcomeState::Unverified
                | OutcomeState::NotApplicable
                | OutcomeState::HandedOver,
                _,
            ) => None,
            // Nobody knows when what could not be read happened.
            _ if self.counts.unreadable_records > 0 => Some(self.asked),
            // Where all was read and yet it is not complete, somewhere in it a record is missing.
            (_, covered) => (self.asked.without(covered).first().copied()).or(Some(self.asked)),
        }
    }
}

impl ScanOutcome {
    /// Whether this is a gap that the configuration accepts.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.state == OutcomeState::Skipped
            && (self.reason.as_ref()).is_some_and(|it| it.code == ReasonCode::AcceptedGap)
    }
}

impl Coverage {
    /// Whether some of the answer is complete only for the sessions that were found.
    #[must_use]
    pub fn is_inferred(&self) -> bool {
        let mut readings = (self.outcomes.iter()).filter_map(|it| it.role_reading.as_ref());
        readings.any(|reading| reading.inferred)
    }

    /// Complete only if every outcome is complete or not applicable: with any day unverified it is
    /// not. Where nothing else remains than accepted gaps, it says so.
    #[must_use]
    pub fn completeness(&self) -> Completeness {
        let whole = |it: &ScanOutcome| it.remaining().is_none() && it.unverified.is_empty();
        let mut remaining = self.outcomes.iter().filter(|it| !whole(it));
        match remaining.next() {
            None => Completeness::Complete,
            Some(first) if first.is_accepted() && remaining.all(ScanOutcome::is_accepted) => {
                Completeness::CompleteExceptAccepted
            }
            Some(_) => Completeness::Incomplete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::outcome::{Reason, ScanCounts, Unverified};
    use crate::plan::scan::EventPart;
    use crate::query::EventTime;

    fn range(start: i64, end: i64) -> TimeRange {
        let time = |second| EventTime::from_second(second).unwrap();
        TimeRange::new(time(start), time(end)).unwrap()
    }

    fn outcome(state: OutcomeState, asked: TimeRange, covered: Option<TimeRange>) -> ScanOutcome {
        ScanOutcome {
            scan: None,
            backend: None,
            archive: None,
            log_group: None,
            accounts: vec!["111122223333".parse().unwrap()],
            regions: vec![],
            events: EventPart::default(),
            state,
            asked,
            covered,
            unverified: vec![],
            role_reading: None,
            counts: ScanCounts::default(),
            reason: Some(Reason::new(ReasonCode::Throttled, "wait")),
        }
    }

    fn remaining(outcomes: Vec<ScanOutcome>) -> Vec<TimeRange> {
        let coverage = Coverage { outcomes };
        let remaining: Vec<TimeRange> = (coverage.outcomes.iter())
            .flat_map(|it| {
                let unverified = it.unverified.iter().map(|days| days.range);
                it.remaining().into_iter().chain(unverified)
            })
            .collect();
        assert_eq!(
            coverage.completeness() == Completeness::Complete,
            remaining.is_empty()
        );
        remaining
    }

    #[test]
    fn what_was_read_or_does_not_apply_leaves_nothing() {
        let all = range(0, 10);
        let complete = outcome(OutcomeState::Complete, all, Some(all));
        let disabled = outcome(OutcomeState::NotApplicable, all, None);
        assert_eq!(remaining(vec![complete, disabled]), []);
        assert_eq!(remaining(vec![]), []);
    }

    #[test]
    fn a_scan_that_was_cut_off_leaves_the_part_that_it_did_not_reach() {
        let newest = outcome(OutcomeState::Truncated, range(0, 10), Some(range(4, 10)));
        let oldest = outcome(OutcomeState::Truncated, range(0, 10), Some(range(0, 4)));
        let failed = outcome(OutcomeState::Failed, range(20, 30), None);
        assert_eq!(
            remaining(vec![newest, oldest, failed]),
            [range(0, 4), range(4, 10), range(20, 30)]
        );
    }

    #[test]
    fn a_scan_with_unreadable_records_leaves_all_of_it() {
        let all = range(0, 10);
        let unreadable = outcome(OutcomeState::Truncated, all, Some(all));
        assert_eq!(remaining(vec![unreadable]), [all]);
    }

    #[test]
    fn a_scan_that_was_cut_off_leaves_also_the_part_with_unreadable_records() {
        let mut cut = outcome(OutcomeState::Truncated, range(0, 10), Some(range(4, 10)));
        cut.counts.unreadable_records = 1;
        assert_eq!(remaining(vec![cut]), [range(0, 10)]);
    }

    #[test]
    fn a_day_without_log_files_remains_though_all_was_read() {
        let all = range(0, 10);
        let mut unverified = outcome(OutcomeState::Unverified, all, Some(all));
        unverified.reason = None;
        unverified.unverified = vec![Unverified {
            accounts: unverified.accounts.clone(),
            range: range(3, 5),
            reason: Reason::new(ReasonCode::NoLogFiles, "no log file"),
        }];
        assert_eq!(unverified.remaining(), None);
        assert_eq!(remaining(vec![unverified]), [range(3, 5)]);
    }

    #[test]
    fn an_accepted_gap_hides_no_other() {
        let all = range(0, 10);
        let complete = outcome(OutcomeState::Complete, all, Some(all));
        let mut accepted = outcome(OutcomeState::Skipped, all, None);
        accepted.reason = Some(Reason::new(ReasonCode::AcceptedGap, "closed by policy"));
        let failed = outcome(OutcomeState::Failed, all, None);
        let completeness = |outcomes: &[&ScanOutcome]| {
            let outcomes = outcomes.iter().map(|it| (*it).clone()).collect();
            Coverage { outcomes }.completeness()
        };
        assert_eq!(
            completeness(&[&complete, &accepted]),
            Completeness::CompleteExceptAccepted
        );
        for order in [[&accepted, &failed], [&failed, &accepted]] {
            assert_eq!(completeness(&order), Completeness::Incomplete);
        }
    }
}

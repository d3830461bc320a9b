//! Accepted gaps: which hold now, which no longer do, and what they make of a gap.
//!
//! | in an accepted account and Region | becomes |
//! |---|---|
//! | what event history would read | is not asked of it |
//! | what something else holds | read there all the same |
//! | management events that nobody holds | an accepted gap, with the configured reason |
//! | other events that nobody holds | a gap as anywhere else: event history has none |
//! | what the request's own `backends` or an unusable archive leaves out | a gap as anywhere else |

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::facts::AcceptedGap;
use super::outcome::{Reason, ReasonCode};
use crate::query::{AccountId, BackendKind, Region};

/// The accepted gaps that hold at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Accepted<'a>(Vec<&'a AcceptedGap>);

impl<'a> Accepted<'a> {
    /// Those of `configured` whose last day is not over.
    pub(super) fn at(configured: &'a [AcceptedGap], now: Timestamp) -> Self {
        let holds = |gap: &&AcceptedGap| is_current(gap, now);
        Self(configured.iter().filter(holds).collect())
    }

    /// The first that covers the account and Region.
    pub(super) fn covering(&self, account: AccountId, region: &Region) -> Option<&'a AcceptedGap> {
        let mut gaps = self.0.iter().copied();
        gaps.find(|gap| covers(gap, account, region))
    }

    /// What a gap in the account and Region is put down to, where it is accepted. Only what nobody
    /// holds is: never what went wrong, nor what the caller left out.
    pub(super) fn reason_for(
        &self,
        account: AccountId,
        region: &Region,
        backend: Option<BackendKind>,
        reason: &Reason,
    ) -> Option<Reason> {
        let held_by_nobody = match reason.code {
            ReasonCode::BeyondHorizon
            | ReasonCode::NoBackend
            | ReasonCode::NotInArchive
            | ReasonCode::NotInLogGroup => true,
            // Event history is not asked here, whatever the request says of it.
            ReasonCode::BackendExcluded => backend == Some(BackendKind::EventHistory),
            _ => false,
        };
        let gap = self.covering(account, region).filter(|_| held_by_nobody)?;
        let message = format!("accepted until {}: {}", gap.until, gap.reason);
        Some(Reason::new(ReasonCode::AcceptedGap, message))
    }
}

/// What to say of those accepted gaps that are over and would have covered some of `places`, which
/// nothing accepts now.
pub(super) fn expired(
    configured: &[AcceptedGap],
    now: Timestamp,
    places: &[(AccountId, &Region)],
) -> Vec<String> {
    let current = Accepted::at(configured, now);
    let mut warnings = Vec::new();
    for gap in configured.iter().filter(|gap| !is_current(gap, now)) {
        let uncovered = |(account, region): &(AccountId, &Region)| {
            covers(gap, *account, region) && current.covering(*account, region).is_none()
        };
        if places.iter().any(uncovered) {
            warnings.push(format!(
                "an accepted gap ended with {}, so that what it covered is read again: {} (renew or \
                 remove it in the service's accepted_gaps)",
                gap.until, gap.reason
            ));
        }
    }
    warnings
}

fn is_current(gap: &AcceptedGap, now: Timestamp) -> bool {
    now.to_zoned(TimeZone::UTC).date() <= gap.until
}

fn covers(gap: &AcceptedGap, account: AccountId, region: &Region) -> bool {
    let accounts = gap.accounts.as_ref();
    let regions = gap.regions.as_ref();
    accounts.is_none_or(|accounts| accounts.contains(&account))
        && regions.is_none_or(|regions| regions.contains(region))
}

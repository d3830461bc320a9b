//! Cutting an interval so that first answers come early and no time is read twice.

use jiff::SignedDuration;

use crate::query::TimeRange;

/// Cuts `range` into slices, newest first: the newest is `first` long, each older one twice as
/// long as the one before it, and the oldest is what is left.
pub(super) fn slices(range: TimeRange, first: SignedDuration) -> Vec<TimeRange> {
    let mut slices = Vec::new();
    let mut left = Some(range);
    let mut length = first.as_secs().max(1);
    while let Some(rest) = left {
        let cut = rest.end().plus(-length).max(rest.start());
        slices.extend(rest.from(cut));
        left = rest.before(cut);
        length = length.saturating_mul(2);
    }
    slices
}

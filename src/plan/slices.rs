//! Cutting an interval so that first answers come early and no time is read twice.

use jiff::SignedDuration;

use crate::query::{SearchOrder, TimeRange};

/// Cuts `range` into slices, in reading order: the first is `first` long, each further one twice as
/// long as the one before it, and the last is what is left.
pub(super) fn slices(
    range: TimeRange,
    first: SignedDuration,
    order: SearchOrder,
) -> Vec<TimeRange> {
    let mut slices = Vec::new();
    let mut left = Some(range);
    let mut length = first.as_secs().max(1);
    while let Some(rest) = left {
        let cut = order.skip(rest, length);
        slices.extend(order.read(rest, cut));
        left = order.rest(rest, cut);
        length = length.saturating_mul(2);
    }
    slices
}

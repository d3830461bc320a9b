//! Who takes over what a scan of event history leaves.

use super::{ago, archive, ask, facts, now, user, with};
use crate::plan::facts::{ArchiveFacts, Declared};
use crate::plan::hand_over::Taking;
use crate::plan::{ScanId, plan};
use crate::query::TimeRange;

/// An archive without reads is no reason to cut a scan that can go on, and better than nothing once
/// it cannot: also once another scan reads on for it.
#[test]
fn who_reads_on_for_a_scan_may_leave_it_to_the_same_archive() {
    let writes = archive("writes");
    let writes = ArchiveFacts {
        holds: Declared {
            reads: false,
            ..writes.holds
        },
        ..writes
    };
    let mut plan = plan(&ask(user("alice"), 48, 24), &with(facts(), writes), now());
    let (from, to) = (plan.scans[0].id, ScanId(99));
    let rest = TimeRange::new(ago(40), ago(30)).unwrap();
    let long = plan.receivers.divide(from, rest, Taking::WhoHoldsAll);
    assert_eq!(long.kept, [rest]);
    plan.receivers.pass_on(from, rest, to);
    let left = TimeRange::new(ago(44), ago(35)).unwrap();
    let broken = plan.receivers.divide(to, left, Taking::Anyone);
    let given: Vec<TimeRange> = broken.given.iter().map(|(_, range)| *range).collect();
    assert_eq!(given, [TimeRange::new(ago(40), ago(35)).unwrap()]);
    assert_eq!(broken.kept, [TimeRange::new(ago(44), ago(40)).unwrap()]);
}

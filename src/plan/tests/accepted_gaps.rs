//! Accepted gaps in a plan.

use jiff::civil::date;

use super::routing_table::told;
use super::*;
use crate::plan::facts::AcceptedGap;
use crate::plan::{Reason, ReasonCode, plan};
use crate::query::BackendKind;

/// Account 1's event history is closed; today is 2026-11-22.
fn closed(mut facts: Facts, until: jiff::civil::Date) -> Facts {
    facts.accepted_gaps = [AcceptedGap {
        accounts: Some([account(1)].into()),
        regions: None,
        reason: "closed by policy".into(),
        until,
    }]
    .into();
    facts
}

#[test]
fn what_nobody_else_holds_is_an_accepted_gap_with_its_reason() {
    let facts = closed(facts(), date(2026, 11, 22));
    let plan = plan(&ask(user("alice"), HORIZON + 24, 0), &facts, now());
    assert_eq!(
        told(&plan),
        [
            "[-2160, -0) history 2 Username=alice, federated sessions Management",
            "[-2184, -0) nobody 1 Management: AcceptedGap",
            "[-2184, -2160) nobody 2 Management: BeyondHorizon",
        ]
    );
    assert_eq!(
        plan.gaps[0].reason.message,
        "accepted until 2026-11-22: closed by policy"
    );
    assert_eq!(plan.warnings, [""; 0]);
}

#[test]
fn events_that_event_history_never_has_are_missing_all_the_same() {
    let facts = closed(facts(), date(2026, 11, 22));
    let mut query = EventQuery {
        account_ids: vec![account(1)],
        ..ask(user("alice"), 24, 0)
    };
    query.filter.categories = vec![EventCategory::Management, EventCategory::Data];
    let plan = plan(&query, &facts, now());
    assert_eq!(
        told(&plan),
        [
            "[-24, -0) nobody 1 Management: AcceptedGap",
            "[-24, -0) nobody 1 Data: NoBackend",
        ]
    );
}

#[test]
fn what_an_archive_holds_is_read_there() {
    let facts = with(closed(facts(), date(2026, 11, 22)), archive("trail"));
    let plan = plan(&ask(user("alice"), 24, 0), &facts, now());
    assert_eq!(
        told(&plan),
        [
            "[-24, -0) history 2 Username=alice, federated sessions Management",
            "[-24, -0) trail 1 Management",
        ]
    );
}

#[test]
fn an_accepted_gap_that_is_over_is_read_again_and_told() {
    let mut facts = closed(facts(), date(2026, 11, 21));
    let query = ask(user("alice"), 24, 0);
    let read = plan(&query, &facts, now());
    assert_eq!(
        told(&read),
        [
            "[-24, -0) history 1 Username=alice, federated sessions Management",
            "[-24, -0) history 2 Username=alice, federated sessions Management",
        ]
    );
    insta::assert_snapshot!(
        read.warnings.join("\n"),
        @"an accepted gap ended with 2026-11-21, so that what it covered is read again: closed by policy (renew or remove it in the service's accepted_gaps)"
    );
    // Nothing to tell where it is not asked about, or where it was renewed.
    let elsewhere = EventQuery {
        account_ids: vec![account(2)],
        ..query.clone()
    };
    assert!(plan(&elsewhere, &facts, now()).warnings.is_empty());
    let renewed = AcceptedGap {
        until: date(2027, 1, 1),
        ..facts.accepted_gaps[0].clone()
    };
    facts.accepted_gaps = [facts.accepted_gaps[0].clone(), renewed].into();
    assert!(plan(&query, &facts, now()).warnings.is_empty());
}

#[test]
fn it_hides_neither_a_broken_archive_nor_what_the_caller_leaves_out() {
    let facts = closed(facts(), date(2026, 11, 22));
    let mut broken = archive("trail");
    broken.table = Err(Reason::new(ReasonCode::ArchiveUnusable, "no such table"));
    let mut query = EventQuery {
        account_ids: vec![account(1)],
        ..ask(user("alice"), 24, 0)
    };
    let unusable = plan(&query, &with(facts.clone(), broken), now());
    assert_eq!(
        told(&unusable),
        ["[-24, -0) nobody 1 Management: ArchiveUnusable"]
    );
    query.backends = vec![BackendKind::EventHistory];
    let excluded = plan(&query, &with(facts.clone(), archive("trail")), now());
    assert_eq!(
        told(&excluded),
        ["[-24, -0) nobody 1 Management: BackendExcluded"]
    );
    // Event history is closed there whether or not the request leaves it out.
    query.backends = vec![BackendKind::Athena];
    let closed = plan(&query, &facts, now());
    assert_eq!(
        told(&closed),
        ["[-24, -0) nobody 1 Management: AcceptedGap"]
    );
}

use super::*;

fn range(start: i64, end: i64) -> TimeRange {
    let time = |second| crate::query::EventTime::from_second(second).unwrap();
    TimeRange::new(time(start), time(end)).unwrap()
}

fn outcome(account: u64, regions: &[&str], state: OutcomeState) -> ScanOutcome {
    ScanOutcome {
        scan: None,
        backend: Some(BackendKind::EventHistory),
        archive: None,
        log_group: None,
        accounts: vec![AccountId::from_u64(account).unwrap()],
        regions: regions.iter().map(|r| r.parse().unwrap()).collect(),
        events: EventPart::whole([crate::query::EventCategory::Management]),
        state,
        asked: range(0, 100),
        covered: (state == OutcomeState::Complete).then(|| range(0, 100)),
        unverified: Vec::new(),
        role_reading: None,
        counts: ScanCounts {
            requests: 1,
            ..ScanCounts::default()
        },
        reason: (state != OutcomeState::Complete).then(|| Reason {
            code: ReasonCode::AccessDenied,
            message: "grant cloudtrail:LookupEvents".into(),
            aws_code: Some("AccessDeniedException".into()),
            aws_message: None,
            aws_request_id: Some(format!("{account}-{regions:?}")),
        }),
    }
}

/// Every (account, Region) that outcomes speak of, with its state.
fn cells(outcomes: &[pb::ScanOutcome]) -> Vec<(String, String, i32)> {
    let mut cells = Vec::new();
    for outcome in outcomes {
        for account in &outcome.account_ids {
            for region in &outcome.regions {
                cells.push((account.clone(), region.clone(), outcome.state));
            }
        }
    }
    cells.sort();
    cells
}

#[test]
fn groups_say_exactly_what_the_single_outcomes_said() {
    use OutcomeState::{Complete, Failed};
    let grouped = grouped(vec![
        outcome(1, &["us-east-1"], Complete),
        outcome(1, &["eu-west-1"], Failed),
        outcome(2, &["us-east-1"], Complete),
        outcome(2, &["eu-west-1"], Complete),
        outcome(3, &["eu-west-1"], Complete),
        outcome(3, &["us-east-1"], Complete),
        outcome(4, &["eu-west-1"], Failed),
    ]);
    // Failed: accounts 1 and 4; complete: 1 alone, 2 and 3 together.
    assert_eq!(grouped.len(), 3);
    assert_eq!(grouped[0].state, i32::from(pb::OutcomeState::Failed));
    assert_eq!(grouped[0].account_ids, ["000000000001", "000000000004"]);
    assert_eq!(grouped[0].scans, 2);
    assert_eq!(grouped[0].counts.unwrap().requests, 2);
    let cells = cells(&grouped);
    assert_eq!(cells.len(), 7);
    let failed: Vec<&str> = (cells.iter())
        .filter(|(_, _, state)| *state == i32::from(pb::OutcomeState::Failed))
        .map(|(account, _, _)| account.as_str())
        .collect();
    assert_eq!(failed, ["000000000001", "000000000004"]);
    assert_eq!(
        state_counts(&grouped).iter().map(|c| c.scans).sum::<i64>(),
        7
    );
}

#[test]
fn every_region_is_not_mixed_with_some() {
    let grouped = grouped(vec![
        outcome(1, &[], OutcomeState::Complete),
        outcome(1, &["eu-west-1"], OutcomeState::Complete),
    ]);
    assert_eq!(grouped.len(), 2);
}

#[test]
fn what_does_not_fit_into_one_message_goes_into_several() {
    // Every reason is its own, so that nothing can be grouped.
    let outcomes: Vec<ScanOutcome> = (0..2_000)
        .map(|account| {
            let mut outcome = outcome(account, &["eu-west-1"], OutcomeState::Failed);
            let reason = outcome.reason.as_mut().unwrap();
            reason.aws_message = Some(format!("{account} {}", "é".repeat(3_000)));
            outcome
        })
        .collect();
    let grouped = grouped(outcomes);
    assert_eq!(grouped.len(), 2_000);
    let reports = reports(grouped, pb::OutcomePhase::Early);
    assert!(reports.len() > 1);
    assert!(
        reports
            .iter()
            .all(|report| report.encoded_len() < 1_000_000)
    );
    let told: usize = reports.iter().map(|report| report.outcomes.len()).sum();
    assert_eq!(told, 2_000);
}

#[test]
fn a_gap_says_which_events_it_is_about_and_differs_by_them() {
    let gap = |region: &str, read_only| Gap {
        account: AccountId::from_u64(1).unwrap(),
        regions: vec![region.parse().unwrap()],
        range: range(0, 100),
        events: EventPart {
            read_only: Some(read_only),
            event_sources: Some(["kms.amazonaws.com".to_owned()].into()),
            ..EventPart::whole([crate::query::EventCategory::Data])
        },
        backend: Some(BackendKind::Athena),
        reason: Reason::new(ReasonCode::NotInArchive, "not held"),
    };
    let told = of_gaps(vec![
        gap("us-east-1", true),
        gap("eu-west-1", false),
        gap("eu-west-1", true),
    ]);
    let told: Vec<(usize, Option<pb::EventPart>)> = told
        .into_iter()
        .map(|outcome| (outcome.regions.len(), outcome.events))
        .collect();
    let part = |read_only| pb::EventPart {
        categories: vec![pb::EventCategory::Data.into()],
        read_only: Some(read_only),
        event_sources: vec!["kms.amazonaws.com".into()],
    };
    assert_eq!(told, [(1, Some(part(false))), (2, Some(part(true)))]);
}

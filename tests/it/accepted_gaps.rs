//! What the configuration accepts as unreadable, over the wire.

use identity_trail::grpc::pb::search_events_response::Item;
use identity_trail::grpc::pb::{Completeness, OutcomeState, ReasonCode, SearchPlan, SearchSummary};
use identity_trail::sandbox::{Denial, Sandbox};

use crate::grpc_service::{NOW, Service, request, service_config_with};
use crate::sandbox::{HUB, OTHER, config, record};

/// Searches two accounts, of which one denies its role, with a gap that is accepted until then.
async fn search(accepted_until: &str, denied: &[&str]) -> (Service, Vec<Item>) {
    let mut sandbox = config(&[record(1, "2026-10-31T10:00:00Z", "alice")], NOW);
    let denied = denied
        .iter()
        .map(|id| ((*id).to_owned(), Denial::NotAllowed));
    sandbox.faults.denied_accounts = denied.collect();
    let sandbox = Sandbox::start(sandbox).await.unwrap();
    let accounts = format!(
        "    - {{id: \"{HUB}\", name: hub, credentials: hub}}\n    - {{id: \"{OTHER}\"}}\n    \
         - {{id: \"333333333333\"}}"
    );
    let gaps = format!(
        "accepted_gaps:\n  - {{accounts: [\"333333333333\"], regions: all, reason: its owner \
         refuses, until: {accepted_until}}}\n"
    );
    let config = service_config_with(&sandbox, &accounts, &gaps);
    let service = Service::over(sandbox, &config).await;
    let items = service.search(request()).await;
    (service, items)
}

fn plan_and_summary(items: &[Item]) -> (&SearchPlan, &SearchSummary) {
    match (items.first(), items.last()) {
        (Some(Item::Plan(plan)), Some(Item::Summary(summary))) => (plan, summary),
        _ => panic!("{items:?}"),
    }
}

#[tokio::test]
async fn an_accepted_gap_is_named_and_does_not_make_the_answer_incomplete() {
    let (service, items) = search("2026-11-01", &["333333333333"]).await;
    let (plan, summary) = plan_and_summary(&items);
    let coverage = summary.coverage.as_ref().unwrap();
    assert_eq!(
        coverage.completeness(),
        Completeness::CompleteExceptAccepted
    );
    let left_out = &coverage.outcomes[0];
    assert_eq!(left_out.state(), OutcomeState::Skipped);
    assert_eq!(left_out.account_ids, ["333333333333"]);
    let reason = left_out.reason.as_ref().unwrap();
    assert_eq!(reason.code(), ReasonCode::AcceptedGap);
    assert_eq!(
        reason.message,
        "accepted until 2026-11-01: its owner refuses"
    );
    assert_eq!(plan.warnings, [""; 0]);
    // Nobody asked there: a look at each of the others, and one read where there is something.
    assert_eq!(service.sandbox.stats().of("LookupEvents").received, 3);
    assert_eq!(service.sandbox.stats().of("AssumeRole").refused, 0);
}

#[tokio::test]
async fn it_hides_no_failure_elsewhere() {
    let (_service, items) = search("2026-11-01", &["333333333333", OTHER]).await;
    let (_, summary) = plan_and_summary(&items);
    let coverage = summary.coverage.as_ref().unwrap();
    assert_eq!(coverage.completeness(), Completeness::Incomplete);
    assert_eq!(coverage.outcomes[0].state(), OutcomeState::Failed);
    assert_eq!(coverage.outcomes[0].account_ids, [OTHER]);
}

#[tokio::test]
async fn one_that_is_over_is_read_again_and_the_answer_says_so() {
    let (_service, items) = search("2026-10-31", &["333333333333"]).await;
    let (plan, summary) = plan_and_summary(&items);
    let coverage = summary.coverage.as_ref().unwrap();
    assert_eq!(coverage.completeness(), Completeness::Incomplete);
    assert_eq!(coverage.outcomes[0].state(), OutcomeState::Failed);
    let [warning] = plan.warnings.as_slice() else {
        panic!("{:?}", plan.warnings);
    };
    assert!(warning.contains("its owner refuses"), "{warning}");
}

//! `CheckAccounts` of log groups, over sockets.

use std::collections::BTreeSet;

use identity_trail::grpc::pb::{CheckFinding, CheckProbe, CheckState, ReasonCode};
use identity_trail::sandbox::logs::{LOG_GROUP_NAME, LOG_GROUP_REGION};
use identity_trail::sandbox::{Denial, SandboxConfig, Selectors};
use serde_json::{Value, json};

use crate::check::{Report, World, statement};
use crate::log_days::{ACCOUNTS, sandbox};

/// A log group as the sandbox has it, but for what `change` says of it.
async fn check(sandbox: SandboxConfig, change: impl FnOnce(&mut Value)) -> Report {
    let world = World::configured(sandbox, |config| {
        config["archives"] = json!([]);
        let mut group = json!({
            "name": "trail-logs",
            "account": ACCOUNTS[0],
            "region": LOG_GROUP_REGION,
            "credentials": "hub",
            "log_group": LOG_GROUP_NAME,
            "holds": {"accounts": "all", "first_day": "2026-10-26"},
        });
        change(&mut group);
        config["log_groups"] = json!([group]);
    })
    .await;
    world.check().await
}

/// What is said of the log group, in the order of the probes.
fn told(report: &Report) -> String {
    let about = |it: &&CheckFinding| it.log_group.as_deref() == Some("trail-logs");
    let mut told: Vec<String> = (report.findings.iter().filter(about))
        .map(|it| {
            let probe = it.probe().as_str_name().trim_start_matches("CHECK_PROBE_");
            let fix = if it.fix.is_empty() { "" } else { " -> " };
            let state = it.state().as_str_name();
            let state = state.trim_start_matches("CHECK_STATE_");
            format!("{probe} {state}: {}{fix}{}", it.detail, it.fix)
        })
        .collect();
    told.sort();
    told.join("\n")
}

fn only_to_fix(report: &Report) -> &CheckFinding {
    match report.to_fix()[..] {
        [only] => only,
        _ => panic!("{}", told(report)),
    }
}

#[tokio::test]
async fn a_log_group_that_is_as_declared_is_fine() {
    let report = check(sandbox(&[]), |_| {}).await;
    assert!(report.to_fix().is_empty(), "{}", told(&report));
    insta::assert_snapshot!(told(&report), @"
    DECLARATION FINE: declares no more than its trail records; Data events only where resources.type is AWS::S3::Object; NetworkActivity events only where eventSource is s3.amazonaws.com
    LOG_GROUP FINE: arn:aws:logs:us-east-1:111111111111:log-group:cloudtrail/organization exists and keeps events for 365 days
    LOG_STREAMS FINE: log streams of 3 of 3 accounts, in 1 Regions
    QUERY FINE: FilterLogEvents answers; the newest event is of 2026-10-31T10:00:00Z, 20 hours ago
    QUERY FINE: Logs Insights answers
    TRAIL FINE: trail arn:aws:cloudtrail:eu-west-1:111111111111:trail/organization-trail is logging; it last delivered at 2026-10-31T10:10:00Z
    ");
    let newest = "2026-10-31T10:00:00Z".parse::<jiff::Timestamp>().unwrap();
    let seen = (report.of(CheckProbe::Query).into_iter())
        .find_map(|it| it.newest_event_time.as_ref())
        .unwrap();
    assert_eq!(seen.seconds, newest.as_second());

    // By its ARN it is the same; and only what searches use is asked.
    let report = check(sandbox(&[]), |group| {
        let name = format!(
            "arn:aws:logs:{LOG_GROUP_REGION}:{}:log-group:{LOG_GROUP_NAME}",
            ACCOUNTS[0]
        );
        group["log_group"] = name.into();
        group["read_with"] = "filter".into();
    })
    .await;
    assert!(report.to_fix().is_empty(), "{}", told(&report));
    assert_eq!(report.of(CheckProbe::Query).len(), 1);
}

#[tokio::test]
async fn a_log_group_that_reaches_less_far_back_than_declared_is_told() {
    let mut config = sandbox(&[]);
    config.logs.retention_days = 5;
    let report = check(config.clone(), |group| {
        group["holds"]["retention_days"] = 30.into();
    })
    .await;
    insta::assert_snapshot!(only_to_fix(&report).detail, @"it keeps events for 5 days, and is declared to hold them from 2026-10-26T00:00:00Z on");
    assert_eq!(only_to_fix(&report).probe(), CheckProbe::LogGroup);
    // Without a declared retention it is the first day that is too early.
    let report = check(config.clone(), |_| {}).await;
    insta::assert_snapshot!(only_to_fix(&report).fix, @"set holds.retention_days to 5, or let the log group keep them longer");
    // As it is, and also where less is declared.
    for declared in [5, 3] {
        let report = check(config.clone(), |group| {
            group["holds"]["retention_days"] = declared.into();
        })
        .await;
        assert!(report.to_fix().is_empty(), "{}", told(&report));
    }
    let report = check(sandbox(&[]), |group| {
        group["holds"] = json!({"accounts": "all", "retention_days": 365});
    })
    .await;
    let finding = only_to_fix(&report);
    assert!(
        finding
            .detail
            .starts_with("it was created at 2026-10-25T10:10:00Z"),
        "{finding:?}"
    );
}

#[tokio::test]
async fn a_log_group_that_is_not_there_is_told() {
    for (key, value) in [("log_group", "other"), ("region", "eu-west-1")] {
        let report = check(sandbox(&[]), |group| group[key] = value.into()).await;
        let finding = only_to_fix(&report);
        assert_eq!(finding.probe(), CheckProbe::LogGroup);
        assert!(finding.detail.contains("no such log group"), "{finding:?}");
    }
}

#[tokio::test]
async fn what_is_denied_on_a_log_group_comes_with_its_statement() {
    for (action, probe) in [
        ("logs:DescribeLogGroups", CheckProbe::LogGroup),
        ("logs:FilterLogEvents", CheckProbe::Query),
        ("logs:StartQuery", CheckProbe::Query),
        ("logs:DescribeLogStreams", CheckProbe::LogStreams),
        ("cloudtrail:GetTrailStatus", CheckProbe::Trail),
    ] {
        let mut config = sandbox(&[]);
        let denied = (action.to_owned(), Denial::NotAllowed);
        config.faults.denied_actions.extend([denied]);
        let report = check(config, |_| {}).await;
        let finding = only_to_fix(&report);
        assert_eq!(finding.probe(), probe);
        let reason = finding.reason.as_ref().unwrap();
        assert_eq!(reason.code(), ReasonCode::AccessDenied);
        let [policy] = &finding.policies[..] else {
            panic!("{finding:#?}");
        };
        let expected = json!({"Effect": "Allow", "Action": action, "Resource": "*"});
        assert_eq!(statement(&policy.statement_json), expected);
    }
    // The role itself, which another account's log group is read with.
    let mut config = sandbox(&[]);
    let denied = (ACCOUNTS[1].to_owned(), Denial::NotAllowed);
    config.faults.denied_accounts.extend([denied]);
    let report = check(config, |group| {
        group["account"] = ACCOUNTS[1].into();
        group.as_object_mut().unwrap().remove("credentials");
    })
    .await;
    let of_group: BTreeSet<i32> = (report.to_fix().iter())
        .filter(|it| it.log_group.is_some())
        .inspect(|it| assert_eq!(it.policies.len(), 2, "{it:#?}"))
        .map(|it| it.reason.as_ref().unwrap().code)
        .collect();
    assert_eq!(of_group, [ReasonCode::AssumeRoleDenied.into()].into());
}

#[tokio::test]
async fn a_log_group_that_has_stopped_growing_or_lacks_accounts_is_told() {
    let mut config = sandbox(&[]);
    config.now = Some("2026-11-03T06:00:00Z".parse().unwrap());
    let report = check(config, |_| {}).await;
    let stale: BTreeSet<&str> = (report.to_fix().iter())
        .map(|it| it.probe().as_str_name())
        .collect();
    assert_eq!(
        stale,
        ["CHECK_PROBE_LOG_STREAMS", "CHECK_PROBE_QUERY"].into()
    );

    let never: Vec<(&str, i8)> = (25..=31).map(|day| (ACCOUNTS[2], day)).collect();
    let report = check(sandbox(&never), |_| {}).await;
    let finding = only_to_fix(&report);
    assert_eq!(finding.probe(), CheckProbe::LogStreams);
    assert!(
        finding.detail.contains("none of 333333333333"),
        "{finding:?}"
    );
    // One that stopped days ago, while the others go on.
    let stopped: Vec<(&str, i8)> = (28..=31).map(|day| (ACCOUNTS[2], day)).collect();
    let report = check(sandbox(&stopped), |_| {}).await;
    let finding = only_to_fix(&report);
    assert!(
        finding
            .detail
            .contains("nothing was logged of 333333333333"),
        "{finding:?}"
    );
}

#[tokio::test]
async fn a_log_group_is_held_against_its_trail() {
    let mut config = sandbox(&[]);
    config.trail.delivers_to_log_group = false;
    let report = check(config.clone(), |_| {}).await;
    let finding = only_to_fix(&report);
    assert_eq!(finding.probe(), CheckProbe::Trail);
    assert!(finding.detail.contains("sees no trail"), "{finding:?}");
    // One that is named and delivers elsewhere.
    let report = check(config, |group| {
        group["trail"] = format!(
            "arn:aws:cloudtrail:eu-west-1:{}:trail/organization-trail",
            ACCOUNTS[0]
        )
        .into();
    })
    .await;
    let finding = only_to_fix(&report);
    assert!(finding.detail.contains("not here"), "{finding:?}");

    let mut config = sandbox(&[]);
    config.trail.latest_delivery_error = Some("AccessDenied".into());
    config.trail.selectors = Selectors::Basic(vec![json!({
        "ReadWriteType": "WriteOnly",
        "IncludeManagementEvents": true,
    })]);
    let report = check(config, |_| {}).await;
    let wrong: Vec<String> = (report.to_fix().iter())
        .map(|it| it.detail.clone())
        .collect();
    insta::assert_snapshot!(wrong.join("\n"), @"
    trail arn:aws:cloudtrail:eu-west-1:111111111111:trail/organization-trail cannot deliver: AccessDenied; it last delivered at 2026-10-31T10:10:00Z
    holds.reads is true, yet no read-only Management events are recorded
    ");
    assert!((report.findings.iter()).all(|it| it.state() != CheckState::NotChecked));
}

//! What is asked of AWS: patterns and queries, and that none loses a record.

use std::collections::BTreeSet;
use std::sync::Arc;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::insights_query::query;
use super::need::{Need, needs, not_in};
use super::pattern::patterns;
use crate::plan::facts::{Declared, LogGroupFacts, ReadLogsWith};
use crate::plan::{LogsMethod, Scan, ScanId, ScanTarget};
use crate::query::pattern::TextPattern;
use crate::query::{
    Access, AccountSelector, AskedRange, Case, EventCategory, EventFilter, EventQuery, EventTime,
    Identity, RecordView, Region, SearchOrder, TimeRange,
};

fn question(identities: Vec<Identity>) -> EventQuery {
    let time = |second| EventTime::from_second(second).unwrap();
    EventQuery {
        identities,
        case: Case::Kept,
        exact_roles: false,
        range: TimeRange::new(time(0), time(10)).unwrap(),
        asked_range: AskedRange::default(),
        account_ids: vec![],
        account_selector: AccountSelector::default(),
        regions: vec![],
        filter: EventFilter::default(),
        order: SearchOrder::NewestFirst,
        record_view: RecordView::Fields,
        max_events: None,
        backends: vec![],
        max_scan_bytes: None,
        progress_interval: None,
        resume: None,
    }
}

/// A scan of one of the accounts that a log group holds, in both of its Regions.
fn scan(query: &EventQuery) -> Scan {
    let regions: BTreeSet<Region> = ["eu-west-1", "us-east-1"]
        .map(|region| region.parse().unwrap())
        .into();
    Scan {
        id: ScanId(0),
        target: ScanTarget::Logs {
            log_group: Arc::new(LogGroupFacts {
                name: "organization".into(),
                holds: Declared {
                    accounts: None,
                    regions: Some(regions.clone()),
                    first_time: query.range.start(),
                    reads: true,
                    writes: true,
                    excluded_event_sources: BTreeSet::new(),
                    categories: BTreeSet::from([EventCategory::Management]),
                },
                read_with: ReadLogsWith::Auto,
            }),
            method: LogsMethod::FilterLogEvents,
            accounts: BTreeSet::from(["111122223333".parse().unwrap()]),
            regions,
        },
        range: query.range,
        categories: BTreeSet::from([EventCategory::Management]),
        shares: None,
    }
}

fn asked(query: &EventQuery) -> Vec<Need> {
    needs(&scan(query), query)
}

/// The patterns, one a line, and the Insights query.
fn told(question: &EventQuery) -> String {
    let needs = asked(question);
    let patterns = patterns(&needs)
        .into_iter()
        .map(|pattern| pattern.unwrap_or_else(|| "(none)".to_owned()));
    let patterns: Vec<String> = patterns.collect();
    let query = query(&needs, question.order, 10_000);
    let patterns = patterns.join("\n");
    let by_pattern = not_in(question, |need| super::pattern::says(&patterns, need));
    let by_query = not_in(question, |need| super::insights_query::says(&query, need));
    format!(
        "{patterns}\nchecked afterwards: {by_pattern:?}\n\n{query}\nchecked afterwards: {by_query:?}"
    )
}

fn user(name: &str) -> Identity {
    Identity::UserName(name.parse().unwrap())
}

#[test]
fn a_user() {
    assert_snapshot!(told(&question(vec![user("alice")])), @r#"
    { ((($.userIdentity.type = "IAMUser") && ($.userIdentity.userName = "alice")) || (($.userIdentity.type = "FederatedUser") && ($.userIdentity.sessionContext.sessionIssuer.type = "IAMUser") && ($.userIdentity.sessionContext.sessionIssuer.userName = "alice"))) && (($.recipientAccountId = "111122223333") || (($.recipientAccountId NOT EXISTS) || ($.recipientAccountId IS NULL))) }
    checked afterwards: []

    fields @timestamp, @message, @logStream
    | filter (((@message like /"type"\s*:\s*"IAMUser"/ and @message like /"userName"\s*:\s*"alice"/) or (@message like /"type"\s*:\s*"FederatedUser"/ and @message like /"type"\s*:\s*"IAMUser"/ and @message like /"userName"\s*:\s*"alice"/)) and (@message like /"recipientAccountId"\s*:\s*"111122223333"/ or (@message not like /"recipientAccountId"\s*:\s*/ or @message like /"recipientAccountId"\s*:\s*null/)))
    | sort @timestamp desc
    | limit 10000
    checked afterwards: []
    "#);
}

#[test]
fn a_role_with_a_path_by_its_arn() {
    let arn = "arn:aws:iam::111122223333:role/team/Deploy-1"
        .parse()
        .unwrap();
    assert_snapshot!(told(&question(vec![Identity::Arn(arn)])), @r#"
    { (($.userIdentity.sessionContext.sessionIssuer.arn = "arn:aws:iam::111122223333:role/team/Deploy-1") || (($.userIdentity.type = "AssumedRole") && (($.userIdentity.arn = "arn:aws:sts:*") && ($.userIdentity.arn = "*:111122223333:assumed-role/Deploy-1/*")))) && (($.recipientAccountId = "111122223333") || (($.recipientAccountId NOT EXISTS) || ($.recipientAccountId IS NULL))) }
    checked afterwards: []

    fields @timestamp, @message, @logStream
    | filter ((@message like /"arn"\s*:\s*"arn\:aws\:iam\:\:111122223333\:role\\?\/team\\?\/Deploy\-1"/ or (@message like /"type"\s*:\s*"AssumedRole"/ and @message like /"arn"\s*:\s*"arn\:aws\:sts\:[^"]*\:111122223333\:assumed\-role\\?\/Deploy\-1\\?\/[^"]*"/)) and (@message like /"recipientAccountId"\s*:\s*"111122223333"/ or (@message not like /"recipientAccountId"\s*:\s*/ or @message like /"recipientAccountId"\s*:\s*null/)))
    | sort @timestamp desc
    | limit 10000
    checked afterwards: []
    "#);
}

#[test]
fn a_session_by_a_wildcard_without_regard_to_case_and_a_permission_set() {
    let mut question = question(vec![
        Identity::SessionName("al*@example.com".parse().unwrap()),
        Identity::PermissionSet("Admin".parse().unwrap()),
    ]);
    assert_snapshot!(told(&question), @r#"
    { ((($.userIdentity.type = "AssumedRole") && (($.userIdentity.principalId = "*:al*") && ($.userIdentity.principalId = "*@example.com"))) || (($.userIdentity.sessionContext.sessionIssuer.userName = "AWSReservedSSO_Admin_*") || (($.userIdentity.type = "AssumedRole") && (($.userIdentity.arn = "arn:*") && ($.userIdentity.arn = "*:sts:*") && ($.userIdentity.arn = "*:assumed-role/AWSReservedSSO_Admin_*") && ($.userIdentity.arn = "*/*"))))) && (($.recipientAccountId = "111122223333") || (($.recipientAccountId NOT EXISTS) || ($.recipientAccountId IS NULL))) }
    checked afterwards: []

    fields @timestamp, @message, @logStream
    | filter (((@message like /"type"\s*:\s*"AssumedRole"/ and @message like /"principalId"\s*:\s*"[^"]*\:al[^"]*\@example\.com"/) or (@message like /"userName"\s*:\s*"AWSReservedSSO_Admin_[0-9A-Fa-f]{16}"/ or (@message like /"type"\s*:\s*"AssumedRole"/ and @message like /"arn"\s*:\s*"arn\:[^"]*\:sts\:[^"]*\:assumed\-role\\?\/AWSReservedSSO_Admin_[0-9A-Fa-f]{16}\\?\/[^"]*"/))) and (@message like /"recipientAccountId"\s*:\s*"111122223333"/ or (@message not like /"recipientAccountId"\s*:\s*/ or @message like /"recipientAccountId"\s*:\s*null/)))
    | sort @timestamp desc
    | limit 10000
    checked afterwards: []
    "#);
    question.identities.truncate(1);
    question.case = Case::Ignored;
    assert_snapshot!(told(&question), @r#"
    { (($.userIdentity.type = "AssumedRole") && (($.userIdentity.principalId = "*:*") && ($.userIdentity.principalId = "*@*") && ($.userIdentity.principalId = "*.*"))) && (($.recipientAccountId = "111122223333") || (($.recipientAccountId NOT EXISTS) || ($.recipientAccountId IS NULL))) }
    checked afterwards: []

    fields @timestamp, @message, @logStream
    | filter ((@message like /"type"\s*:\s*"AssumedRole"/ and @message like /(?i)"principalId"\s*:\s*"[^"]*\:al[^"]*\@example\.com"/) and (@message like /"recipientAccountId"\s*:\s*"111122223333"/ or (@message not like /"recipientAccountId"\s*:\s*/ or @message like /"recipientAccountId"\s*:\s*null/)))
    | sort @timestamp desc
    | limit 10000
    checked afterwards: []
    "#);
}

#[test]
fn anyone_by_filters() {
    let mut question = question(vec![]);
    question.filter = EventFilter {
        event_names: vec!["CreateAccessKey".into(), "odd\"name*".into()],
        access: vec![Access::Write],
        errors_only: true,
        source_ips: ["203.0.113.77", "198.51.100.0/22", "2001:db8::/32"]
            .map(|text| text.parse().unwrap())
            .into(),
        resources: vec!["arn:aws:s3:::logs/a b".parse().unwrap()],
        ..EventFilter::default()
    };
    question.order = SearchOrder::OldestFirst;
    assert_snapshot!(told(&question), @r#"
    { (($.eventName = "CreateAccessKey") || (($.eventName = "odd*") && ($.eventName = "*name*"))) && ($.errorCode = "*") && (($.sourceIPAddress = "203.0.113.77") || ($.sourceIPAddress = "198.51.*") || ($.sourceIPAddress = "2001:*")) && (($.recipientAccountId = "111122223333") || (($.recipientAccountId NOT EXISTS) || ($.recipientAccountId IS NULL))) }
    checked afterwards: ["filter.access", "filter.resources"]

    fields @timestamp, @message, @logStream
    | filter (@message like /"eventName"\s*:\s*(?:"CreateAccessKey"|"odd.*name\*")/ and @message like /"errorCode"\s*:\s*"[^"]*"/ and @message like /"sourceIPAddress"\s*:\s*(?:"203\.0\.113\.77"|"198\.51\.[^"]*"|"2001\:[^"]*")/ and @message like /arn\:aws\:s3\:\:\:logs.*a b/ and (@message like /"recipientAccountId"\s*:\s*"111122223333"/ or (@message not like /"recipientAccountId"\s*:\s*/ or @message like /"recipientAccountId"\s*:\s*null/)))
    | sort @timestamp asc
    | limit 10000
    checked afterwards: ["filter.access"]
    "#);
}

#[test]
fn what_is_too_long_for_one_pattern_is_several_and_for_several_is_none() {
    let names = |count: usize| (0..count).map(|n| user(&format!("a-user-of-some-length-{n:05}")));
    let several = patterns(&asked(&question(names(12).collect())));
    assert!((2..=8).contains(&several.len()), "{several:?}");
    for n in 0..12 {
        let name = format!("a-user-of-some-length-{n:05}");
        let holding = several.iter().flatten().filter(|it| it.contains(&name));
        assert_eq!(holding.count(), 1, "{name}");
    }
    let too_many = patterns(&asked(&question(names(500).collect())));
    assert_eq!(
        too_many,
        [Some(
            "{ ($.recipientAccountId = \"111122223333\") || (($.recipientAccountId NOT EXISTS) || \
             ($.recipientAccountId IS NULL)) }"
                .to_owned()
        )],
        "who it was is checked afterwards"
    );
    let long = query(
        &asked(&question(names(500).collect())),
        SearchOrder::NewestFirst,
        10_000,
    );
    assert!(
        long.len() < 10_000 && long.contains("recipientAccountId"),
        "{long}"
    );
}

#[test]
fn the_apis_that_issue_credentials_fit_into_a_query() {
    let mut question = question(Vec::new());
    question.filter.access = vec![Access::IssuesCredentials];
    let query = query(&asked(&question), SearchOrder::NewestFirst, 10_000);
    assert!(query.contains("\"AssumeRoleWithWebIdentity\""), "{query}");
    assert!(query.len() < 8_000, "{}", query.len());
}

/// A pattern's quoted terms, each with the member before it.
fn terms(pattern: &str) -> Vec<&str> {
    assert!(pattern.chars().count() <= 1024, "{pattern}");
    let pieces: Vec<&str> = pattern.split('"').collect();
    assert_eq!(pieces.len() % 2, 1, "a quote is open: {pattern}");
    let outside: String = pieces.iter().step_by(2).copied().collect();
    assert!(
        outside
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "{}()$.=|& ".contains(c)),
        "{pattern}"
    );
    pieces.into_iter().skip(1).step_by(2).collect()
}

/// Whether a term with a `*` at its ends fits, as AWS documents it.
fn fits(term: &str, text: &str) -> bool {
    if term == "*" {
        return true;
    }
    let (before, rest) = term
        .strip_prefix('*')
        .map_or((false, term), |it| (true, it));
    let (behind, rest) = rest
        .strip_suffix('*')
        .map_or((false, rest), |it| (true, it));
    assert!(!rest.contains(['*', '"', '\\', '%']), "{term}");
    match (before, behind) {
        (false, false) => text == rest,
        (true, false) => text.ends_with(rest),
        (false, true) => text.starts_with(rest),
        (true, true) => text.contains(rest),
    }
}

proptest! {
    /// Whatever is asked for: the pattern stays whole, and fits every text that was meant.
    #[test]
    fn no_text_breaks_out_of_its_quotes_and_none_that_is_meant_is_lost(
        asked in "[ -~äß*\"\\\\%\n]{0,12}",
        fillers in prop::collection::vec("[ -~ä]{0,3}", 12),
        ignored: bool,
    ) {
        let case = if ignored { Case::Ignored } else { Case::Kept };
        let pattern = TextPattern::wildcard(&asked, case);
        let mut fillers = fillers.into_iter();
        let meant: String = asked
            .chars()
            .map(|c| match c {
                '*' => fillers.next().unwrap_or_default(),
                c if ignored => c.to_ascii_uppercase().to_string(),
                c => c.to_string(),
            })
            .collect();
        prop_assert!(pattern.matches(&meant));
        let printed = patterns(&[Need::Text("eventName", pattern.clone())]);
        for printed in printed.iter().flatten() {
            for term in terms(printed) {
                prop_assert!(fits(term, &meant), "{printed} loses {meant:?}");
            }
        }
        let query = query(&[Need::Text("eventName", pattern)], SearchOrder::NewestFirst, 1);
        let filter = query.lines().nth(1).unwrap();
        let regex = filter.strip_prefix("| filter @message like /").unwrap();
        let regex = regex.strip_suffix('/').unwrap();
        prop_assert!(!regex.replace("\\/", "").contains('/'), "{filter}");
    }
}

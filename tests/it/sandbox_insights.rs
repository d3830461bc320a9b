//! The sandbox's Logs Insights behind its front door, as the real SDK sees it.

use std::time::Duration;

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::error::ProvideErrorMetadata;
use aws_sdk_cloudwatchlogs::operation::get_query_results::GetQueryResultsOutput;
use aws_sdk_cloudwatchlogs::operation::start_query::builders::StartQueryFluentBuilder;
use aws_sdk_cloudwatchlogs::types::{QueryStatus, ResultField};
use identity_trail::sandbox::logs::{InsightsFailure, LOG_GROUP_NAME, LOG_GROUP_REGION, LogsStats};
use identity_trail::sandbox::query_faults::Queries;
use identity_trail::sandbox::{Percent, Sandbox, SandboxConfig};
use serde_json::Value;

use crate::sandbox::{OTHER, REGION, config, hub, record, sdk, session};

const NOW: &str = "2026-03-01T12:00:00Z";

/// Forty events from ten o'clock on, one a second, each delivered four minutes later; every tenth
/// by ada, the others by grace.
fn morning() -> Vec<Value> {
    (0..40)
        .map(|number: u32| {
            let user = if number.is_multiple_of(10) {
                "ada"
            } else {
                "grace"
            };
            record(number, &format!("2026-03-01T10:00:{number:02}Z"), user)
        })
        .collect()
}

/// The delivery of the first of [`morning`], in epoch seconds.
fn first_delivery() -> i64 {
    "2026-03-01T10:04:00Z"
        .parse::<jiff::Timestamp>()
        .unwrap()
        .as_second()
}

async fn start(config: SandboxConfig) -> (Sandbox, Client) {
    let sandbox = Sandbox::start(config).await.unwrap();
    let client = Client::new(&sdk(&sandbox, hub(&sandbox), LOG_GROUP_REGION));
    (sandbox, client)
}

/// A query over all of [`morning`].
fn query(client: &Client, text: &str) -> StartQueryFluentBuilder {
    client
        .start_query()
        .log_group_names(LOG_GROUP_NAME)
        .start_time(first_delivery())
        .end_time(first_delivery() + 3_600)
        .query_string(text)
}

async fn started(query: StartQueryFluentBuilder) -> String {
    query.send().await.unwrap().query_id.unwrap()
}

/// The first page of results once the query is over.
async fn end(client: &Client, id: &str) -> GetQueryResultsOutput {
    loop {
        let page = client
            .get_query_results()
            .query_id(id)
            .send()
            .await
            .unwrap();
        match page.status.as_ref().unwrap() {
            QueryStatus::Scheduled | QueryStatus::Running => {
                tokio::task::yield_now().await;
            }
            _ => return page,
        }
    }
}

fn value<'a>(row: &'a [ResultField], name: &str) -> &'a str {
    let field = row.iter().find(|field| field.field() == Some(name));
    field.unwrap().value().unwrap()
}

/// The event ids of the records in the rows.
fn ids(rows: &[Vec<ResultField>]) -> Vec<String> {
    let id = |row: &Vec<ResultField>| {
        let record: Value = serde_json::from_str(value(row, "@message")).unwrap();
        record["eventID"].as_str().unwrap().to_owned()
    };
    rows.iter().map(id).collect()
}

fn expected<'a>(records: impl IntoIterator<Item = &'a Value>) -> Vec<&'a str> {
    let ids = records.into_iter().map(|record| record["eventID"].as_str());
    ids.map(Option::unwrap).collect()
}

#[tokio::test]
async fn a_query_runs_and_says_what_it_read() {
    let records = morning();
    let (sandbox, client) = start(config(&records, NOW)).await;
    let text = r#"fields @message, @timestamp, @logStream
        | filter userIdentity.userName = "ada" and eventSource like /^ec2/
        | sort @timestamp desc
        | limit 3"#;
    let page = end(&client, &started(query(&client, text)).await).await;
    assert_eq!(page.status, Some(QueryStatus::Complete));
    assert_eq!(page.next_token, None);
    let by_ada = records.iter().step_by(10).rev().take(3);
    assert_eq!(ids(page.results()), expected(by_ada));
    let row = &page.results()[0];
    let names: Vec<_> = row.iter().filter_map(ResultField::field).collect();
    assert_eq!(names, ["@message", "@timestamp", "@logStream", "@ptr"]);
    assert_eq!(value(row, "@timestamp"), "2026-03-01 10:04:30.000");
    assert_eq!(
        value(row, "@logStream"),
        format!("{OTHER}_CloudTrail_{REGION}")
    );
    let statistics = page.statistics.unwrap();
    let bytes: usize = records.iter().map(|record| record.to_string().len()).sum();
    assert!(
        (statistics.records_matched() - 4.0).abs() < 0.5,
        "{statistics:?}"
    );
    assert!(
        (statistics.records_scanned() - 40.0).abs() < 0.5,
        "{statistics:?}"
    );
    assert_eq!(
        sandbox.logs_stats(),
        LogsStats {
            started: 1,
            stopped: 0,
            active: 0,
            scanned_bytes: bytes as u64,
        }
    );
}

#[tokio::test]
async fn both_seconds_of_the_interval_are_in_it_and_order_is_as_asked() {
    let records = morning();
    let (_sandbox, client) = start(config(&records, NOW)).await;
    for (text, newest_first) in [
        ("fields @message", true),
        ("fields @message | sort @timestamp desc", true),
        ("fields @message | sort @timestamp asc", false),
    ] {
        let query = query(&client, text)
            .start_time(first_delivery() + 5)
            .end_time(first_delivery() + 7);
        let page = end(&client, &started(query).await).await;
        let mut wanted = expected(&records[5..=7]);
        if newest_first {
            wanted.reverse();
        }
        assert_eq!(ids(page.results()), wanted, "{text}");
    }
}

#[tokio::test]
async fn results_come_in_pages() {
    let records = morning();
    let (_sandbox, client) = start(config(&records, NOW)).await;
    let id = started(query(&client, "fields @message | sort @timestamp asc").limit(25)).await;
    end(&client, &id).await;
    let mut rows = Vec::new();
    let mut sizes = Vec::new();
    let mut token = None;
    loop {
        let page = client.get_query_results().query_id(&id).max_items(10);
        let page = page.set_next_token(token).send().await.unwrap();
        sizes.push(page.results().len());
        rows.extend(page.results.unwrap_or_default());
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [10, 10, 5]);
    assert_eq!(ids(&rows), expected(&records[..25]));
    for page in [
        client.get_query_results().query_id(&id).max_items(10_001),
        client
            .get_query_results()
            .query_id(&id)
            .next_token("made up"),
    ] {
        let error = page.send().await.unwrap_err().into_service_error();
        assert_eq!(error.code(), Some("InvalidParameterException"));
    }
}

#[tokio::test]
async fn a_query_can_be_stopped_once() {
    let (sandbox, client) = start(config(&morning(), NOW)).await;
    sandbox
        .logs_faults()
        .slow(Duration::from_hours(1), Queries::Next(1));
    let id = started(query(&client, "fields @message")).await;
    assert_eq!(sandbox.logs_stats().active, 1);
    assert!(
        client
            .stop_query()
            .query_id(&id)
            .send()
            .await
            .unwrap()
            .success
    );
    assert_eq!(end(&client, &id).await.status, Some(QueryStatus::Cancelled));
    let again = client.stop_query().query_id(&id).send().await.unwrap_err();
    assert_eq!(again.code(), Some("InvalidParameterException"));
    let stats = sandbox.logs_stats();
    assert_eq!((stats.started, stats.stopped, stats.active), (1, 1, 0));
}

#[tokio::test]
async fn a_running_query_shows_what_it_has_so_far() {
    let records = morning();
    let (sandbox, client) = start(config(&records, NOW)).await;
    sandbox
        .logs_faults()
        .slow(Duration::from_hours(1), Queries::ALL);
    let id = started(query(&client, "fields @message")).await;
    loop {
        let page = client
            .get_query_results()
            .query_id(&id)
            .send()
            .await
            .unwrap();
        let scanned = page.statistics.as_ref().unwrap().records_scanned();
        if scanned > 39.5 {
            assert_eq!(page.status, Some(QueryStatus::Running));
            assert_eq!(page.results().len(), records.len());
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn queries_fail_when_told_to() {
    let mut failing = config(&morning(), NOW);
    failing.insights_fail = Percent::ALWAYS;
    failing.insights_slow = Duration::from_millis(1);
    let (sandbox, client) = start(failing).await;
    let id = started(query(&client, "fields @message")).await;
    assert_eq!(end(&client, &id).await.status, Some(QueryStatus::Failed));
    sandbox
        .logs_faults()
        .fail(InsightsFailure::Timeout, Queries::ALL);
    let id = started(query(&client, "fields @message")).await;
    assert_eq!(end(&client, &id).await.status, Some(QueryStatus::Timeout));
}

#[tokio::test]
async fn only_so_many_queries_at_a_time() {
    let mut few = config(&morning(), NOW);
    few.logs.active_queries = 2;
    few.logs.running_queries = 1;
    let (sandbox, client) = start(few).await;
    sandbox
        .logs_faults()
        .slow(Duration::from_hours(1), Queries::ALL);
    let first = started(query(&client, "fields @message")).await;
    let second = started(query(&client, "fields @message")).await;
    let third = query(&client, "fields @message").send().await.unwrap_err();
    assert_eq!(third.code(), Some("LimitExceededException"));
    let waiting = client.get_query_results().query_id(&second).send();
    assert_eq!(waiting.await.unwrap().status, Some(QueryStatus::Scheduled));
    client.stop_query().query_id(&first).send().await.unwrap();
    loop {
        // The place is free once the stopped query's task has ended.
        match query(&client, "fields @message").send().await {
            Ok(_) => break,
            Err(error) => assert_eq!(error.code(), Some("LimitExceededException")),
        }
    }
}

#[tokio::test]
async fn what_aws_refuses_is_refused() {
    let (sandbox, client) = start(config(&morning(), NOW)).await;
    let good = || query(&client, "fields @message");
    let year_ago = first_delivery() - 366 * 86_400;
    let nameless = || good().set_log_group_names(None);
    for (query, code) in [
        (query(&client, "stats count(*)"), "MalformedQueryException"),
        (query(&client, ""), "MalformedQueryException"),
        // Nothing that old is kept.
        (
            good().start_time(year_ago - 10).end_time(year_ago),
            "MalformedQueryException",
        ),
        (
            good().start_time(10).end_time(9),
            "InvalidParameterException",
        ),
        (good().start_time(-1), "InvalidParameterException"),
        (good().limit(0), "InvalidParameterException"),
        (good().limit(100_001), "InvalidParameterException"),
        (
            query(&client, &"x".repeat(10_001)),
            "InvalidParameterException",
        ),
        (
            good().query_language("SQL".into()),
            "InvalidParameterException",
        ),
        (nameless(), "InvalidParameterException"),
        (
            good().log_group_name(LOG_GROUP_NAME),
            "InvalidParameterException",
        ),
        (
            nameless().set_log_group_names(Some(vec![LOG_GROUP_NAME.to_owned(); 51])),
            "InvalidParameterException",
        ),
        (good().log_group_names("other"), "ResourceNotFoundException"),
    ] {
        let shown = format!("{:?}", query.as_input());
        let error = query.send().await.unwrap_err();
        assert_eq!(error.code(), Some(code), "{shown}");
    }
    started(nameless().log_group_identifiers(sandbox.log_group_arn())).await;
    assert_eq!(sandbox.logs_stats().started, 1);
}

#[tokio::test]
async fn a_query_is_of_its_account_and_region() {
    let (sandbox, client) = start(config(&morning(), NOW)).await;
    let id = started(query(&client, "fields @message")).await;
    for (credentials, region) in [
        (session(&sandbox, OTHER).await, LOG_GROUP_REGION),
        (hub(&sandbox), REGION),
    ] {
        let elsewhere = Client::new(&sdk(&sandbox, credentials, region));
        let results = elsewhere.get_query_results().query_id(&id).send();
        let error = results.await.unwrap_err();
        assert_eq!(error.code(), Some("ResourceNotFoundException"));
        let stopped = elsewhere.stop_query().query_id(&id).send();
        let error = stopped.await.unwrap_err();
        assert_eq!(error.code(), Some("ResourceNotFoundException"));
    }
}

#[tokio::test]
async fn the_log_group_is_described() {
    let mut kept = config(&morning(), NOW);
    kept.logs.retention_days = 90;
    let (sandbox, client) = start(kept).await;
    let groups = async |prefix: Option<&str>| {
        let groups = client.describe_log_groups();
        let groups = groups.set_log_group_name_prefix(prefix.map(str::to_owned));
        groups.send().await.unwrap().log_groups.unwrap()
    };
    let all = groups(None).await;
    let [group] = &all[..] else { panic!("{all:?}") };
    assert_eq!(group.log_group_name(), Some(LOG_GROUP_NAME));
    assert_eq!(group.retention_in_days(), Some(90));
    assert_eq!(group.log_group_arn(), Some(sandbox.log_group_arn()));
    assert_eq!(group.creation_time(), Some(first_delivery() * 1_000));
    assert!(group.stored_bytes() > Some(0));
    assert_eq!(groups(Some("cloudtrail/")).await.len(), 1);
    assert_eq!(groups(Some("aws/")).await.len(), 0);
    let elsewhere = Client::new(&sdk(&sandbox, hub(&sandbox), REGION));
    let elsewhere = elsewhere.describe_log_groups().send().await.unwrap();
    assert_eq!(elsewhere.log_groups().len(), 0);
}

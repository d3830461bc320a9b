//! The sandbox's Athena behind its front door, as the real SDK sees it.

use std::time::Duration;

use aws_sdk_athena::error::ProvideErrorMetadata;
use aws_sdk_athena::types::{QueryExecutionContext, QueryExecutionState, ResultConfiguration};
use identity_trail::sandbox::{Percent, Sandbox};

use crate::sandbox::{OTHER, REGION, config, hub, record, sdk, session};

async fn start() -> Sandbox {
    let records = [
        record(1, "2026-03-01T11:00:00Z", "ada"),
        record(2, "2026-03-01T11:59:00Z", "grace"), // delivered at 12:03
    ];
    Sandbox::start(config(&records, "2026-03-01T12:00:00Z"))
        .await
        .unwrap()
}

#[tokio::test]
async fn the_hub_queries_what_was_delivered() {
    let sandbox = start().await;
    let athena = aws_sdk_athena::Client::new(&sdk(&sandbox, hub(&sandbox), REGION));
    let started = athena
        .start_query_execution()
        .query_string("SELECT useridentity.username AS name FROM cloudtrail_by_account")
        .query_execution_context(
            QueryExecutionContext::builder()
                .database("cloudtrail_logs")
                .build(),
        )
        .result_configuration(
            ResultConfiguration::builder()
                .output_location("s3://results/")
                .build(),
        );
    let id = started.send().await.unwrap().query_execution_id.unwrap();
    loop {
        let query = athena
            .get_query_execution()
            .query_execution_id(&id)
            .send()
            .await
            .unwrap();
        let status = query.query_execution.unwrap().status.unwrap();
        match status.state.unwrap() {
            QueryExecutionState::Queued | QueryExecutionState::Running => {
                tokio::task::yield_now().await;
            }
            QueryExecutionState::Succeeded => break,
            _ => panic!("{:?}", status.state_change_reason),
        }
    }
    let results = athena
        .get_query_results()
        .query_execution_id(&id)
        .send()
        .await
        .unwrap();
    let rows = results.result_set.unwrap().rows.unwrap();
    let cells: Vec<_> = rows
        .iter()
        .map(|row| row.data()[0].var_char_value())
        .collect();
    assert_eq!(cells, [Some("name"), Some("ada")]);
    assert_eq!(sandbox.athena_stats().started, 1);
    assert_eq!(sandbox.stats().of("StartQueryExecution").succeeded, 1);
}

#[tokio::test]
async fn only_the_hubs_account_has_athena_and_faults_reach_it() {
    let sandbox = start().await;
    let athena =
        aws_sdk_athena::Client::new(&sdk(&sandbox, session(&sandbox, OTHER).await, REGION));
    let error = athena
        .stop_query_execution()
        .query_execution_id("x")
        .send()
        .await
        .unwrap_err();
    assert_eq!(
        error.as_service_error().unwrap().code(),
        Some("AccessDeniedException")
    );

    sandbox
        .faults()
        .change(|faults| faults.throttle = Percent::ALWAYS);
    let athena = aws_sdk_athena::Client::new(&sdk(&sandbox, hub(&sandbox), REGION));
    let error = athena
        .stop_query_execution()
        .query_execution_id("x")
        .send()
        .await
        .unwrap_err();
    assert_eq!(
        error.as_service_error().unwrap().code(),
        Some("ThrottlingException")
    );
}

#[tokio::test]
async fn queries_fail_from_the_start_when_told_to() {
    let records = [record(1, "2026-03-01T11:00:00Z", "ada")];
    let mut config = config(&records, "2026-03-01T12:00:00Z");
    config.athena_fail = Percent::ALWAYS;
    config.athena_slow = Duration::from_millis(1);
    let sandbox = Sandbox::start(config).await.unwrap();
    let athena = aws_sdk_athena::Client::new(&sdk(&sandbox, hub(&sandbox), REGION));
    let started = athena
        .start_query_execution()
        .query_string("SELECT 1 AS one")
        .result_configuration(
            ResultConfiguration::builder()
                .output_location("s3://results/")
                .build(),
        );
    let id = started.send().await.unwrap().query_execution_id.unwrap();
    loop {
        let query = athena
            .get_query_execution()
            .query_execution_id(&id)
            .send()
            .await
            .unwrap();
        match query
            .query_execution
            .unwrap()
            .status
            .unwrap()
            .state
            .unwrap()
        {
            QueryExecutionState::Queued | QueryExecutionState::Running => {
                tokio::task::yield_now().await;
            }
            state => break assert_eq!(state, QueryExecutionState::Failed),
        }
    }
}

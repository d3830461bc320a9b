//! The API, over the in-process engine.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::sandbox::athena::{
    AthenaConfig, AthenaFaults, AthenaService, DataFusionEngine, Queries, QueryFailure, WorkGroup,
};
use crate::sandbox::error::AwsError;

use super::fixture;

const ACCOUNT: &str = "999999999999";
const REGION: &str = "us-east-1";
const SQL: &str =
    "SELECT eventid AS id, eventname AS name FROM cloudtrail_by_account ORDER BY eventid";

fn athena(config: AthenaConfig) -> AthenaService {
    let files = fixture::files();
    let engine = Arc::new(DataFusionEngine::new(&files));
    AthenaService::new(engine, files, config, AthenaFaults::default())
}

fn start(number: u32, sql: &str) -> Value {
    json!({
        "QueryString": sql,
        "ClientRequestToken": format!("token-{number:032}"),
        "QueryExecutionContext": {"Database": "cloudtrail_logs", "Catalog": "AwsDataCatalog"},
        "ResultConfiguration": {"OutputLocation": "s3://results/here"},
    })
}

async fn call(athena: &AthenaService, operation: &str, body: Value) -> Result<Value, AwsError> {
    athena.handle(ACCOUNT, REGION, operation, body).await
}

async fn started(athena: &AthenaService, number: u32, sql: &str) -> Value {
    let answer = call(athena, "StartQueryExecution", start(number, sql)).await;
    json!({"QueryExecutionId": answer.unwrap()["QueryExecutionId"]})
}

/// The execution once `ready`.
async fn execution(athena: &AthenaService, id: &Value, ready: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..10_000 {
        let answer = call(athena, "GetQueryExecution", id.clone()).await.unwrap();
        let execution = answer["QueryExecution"].clone();
        if ready(&execution) {
            return execution;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the query never got there");
}

fn is_over(execution: &Value) -> bool {
    !matches!(
        execution["Status"]["State"].as_str(),
        Some("QUEUED" | "RUNNING")
    )
}

#[tokio::test]
async fn a_query_runs_and_its_rows_come_in_pages_behind_one_header() {
    let athena = athena(AthenaConfig::default());
    let id = started(&athena, 1, SQL).await;
    let execution = execution(&athena, &id, is_over).await;
    assert_eq!(execution["Status"]["State"], "SUCCEEDED", "{execution}");
    let all = fixture::bytes(&["rich", "u1", "u2", "u3", "u4", "bare"]);
    assert_eq!(execution["Statistics"]["DataScannedInBytes"], all);
    let location = execution["ResultConfiguration"]["OutputLocation"]
        .as_str()
        .unwrap();
    let name = id["QueryExecutionId"].as_str().unwrap();
    assert_eq!(location, format!("s3://results/here/{name}.csv"));

    let mut request = id.clone();
    request["MaxResults"] = 4.into();
    let first = call(&athena, "GetQueryResults", request.clone())
        .await
        .unwrap();
    let value = |text: &str| json!({"VarCharValue": text});
    assert_eq!(
        first["ResultSet"]["Rows"],
        json!([
            {"Data": [value("id"), value("name")]},
            {"Data": [value("bare"), {}]},
            {"Data": [value("rich"), value("PutObject")]},
            {"Data": [value("u1"), {}]},
        ])
    );
    assert_eq!(
        first["ResultSet"]["ResultSetMetadata"]["ColumnInfo"][1]["Type"],
        "varchar"
    );
    request["NextToken"] = first["NextToken"].clone();
    let second = call(&athena, "GetQueryResults", request.clone())
        .await
        .unwrap();
    assert_eq!(second["ResultSet"]["Rows"].as_array().unwrap().len(), 3);
    assert_eq!(second.get("NextToken"), None);

    let other = started(&athena, 2, SQL).await;
    request["QueryExecutionId"] = other["QueryExecutionId"].clone();
    self::execution(&athena, &other, is_over).await;
    let error = call(&athena, "GetQueryResults", request).await.unwrap_err();
    assert_eq!(error.code, "InvalidRequestException");
    let elsewhere = athena.handle("1", REGION, "GetQueryExecution", id).await;
    assert_eq!(elsewhere.unwrap_err().code, "InvalidRequestException");
}

#[tokio::test]
async fn a_token_starts_one_query_only() {
    let athena = athena(AthenaConfig::default());
    let first = started(&athena, 1, SQL).await;
    assert_eq!(started(&athena, 1, SQL).await, first);
    assert_ne!(started(&athena, 2, SQL).await, first);
    let other = call(&athena, "StartQueryExecution", start(1, "SELECT 1")).await;
    assert_eq!(other.unwrap_err().code, "InvalidRequestException");
    assert_eq!(athena.stats().started, 2);
}

#[tokio::test]
async fn a_start_that_breaks_a_rule_is_refused() {
    let athena = athena(AthenaConfig::default());
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut body = start(1, SQL);
        change(&mut body);
        body
    };
    for body in [
        broken(&|body| body["QueryString"] = "x".repeat(262_145).into()),
        broken(&|body| body["ClientRequestToken"] = Value::Null),
        broken(&|body| body["ClientRequestToken"] = "short".into()),
        broken(&|body| body["ResultConfiguration"] = Value::Null),
        broken(&|body| body["ResultConfiguration"]["OutputLocation"] = "/tmp".into()),
        broken(&|body| body["WorkGroup"] = "nobodys".into()),
        broken(&|body| body["QueryExecutionContext"]["Catalog"] = "other".into()),
        broken(&|body| body["ExecutionParameters"] = json!(["'x'"])),
    ] {
        let error = call(&athena, "StartQueryExecution", body)
            .await
            .unwrap_err();
        assert_eq!(error.code, "InvalidRequestException", "{error}");
    }
    assert_eq!(athena.stats().started, 0);
}

#[tokio::test]
async fn a_wrong_statement_fails_for_good_and_a_failure_on_demand_as_told() {
    let athena = athena(AthenaConfig::default());
    let wrong = started(&athena, 1, "SELECT nowhere FROM cloudtrail_by_region").await;
    let failed = execution(&athena, &wrong, is_over).await;
    assert_eq!(failed["Status"]["State"], "FAILED");
    assert_eq!(failed["Status"]["AthenaError"]["Retryable"], false);
    assert_eq!(failed["Status"]["AthenaError"]["ErrorCategory"], 2);
    let reason = failed["Status"]["StateChangeReason"].as_str().unwrap();
    assert!(reason.starts_with("SYNTAX_ERROR: "), "{reason}");
    let error = call(&athena, "GetQueryResults", wrong).await.unwrap_err();
    assert_eq!(error.code, "InvalidRequestException");

    let failure = QueryFailure {
        retryable: true,
        message: "Query exhausted resources at this scale factor".to_owned(),
    };
    athena.faults().fail(failure, Queries::Next(1));
    for (number, state) in [(2, "FAILED"), (3, "SUCCEEDED")] {
        let id = started(&athena, number, SQL).await;
        let ended = execution(&athena, &id, is_over).await;
        assert_eq!(ended["Status"]["State"], state);
        if state == "FAILED" {
            assert_eq!(ended["Status"]["AthenaError"]["Retryable"], true);
        }
    }
}

#[tokio::test]
async fn a_slow_query_reports_growing_bytes_and_stops_when_told() {
    let athena = athena(AthenaConfig::default());
    athena.faults().slow(Duration::from_secs(100), Queries::ALL);
    let id = started(&athena, 1, SQL).await;
    let scanned = |execution: &Value| {
        execution["Statistics"]["DataScannedInBytes"]
            .as_u64()
            .unwrap()
    };
    let early = execution(&athena, &id, |execution| scanned(execution) > 0).await;
    let later = execution(&athena, &id, |execution| {
        scanned(execution) > scanned(&early)
    })
    .await;
    assert_eq!(later["Status"]["State"], "RUNNING");
    assert_eq!(athena.stats().active, 1);

    call(&athena, "StopQueryExecution", id.clone())
        .await
        .unwrap();
    let stopped = execution(&athena, &id, is_over).await;
    assert_eq!(stopped["Status"]["State"], "CANCELLED");
    assert!(scanned(&stopped) < fixture::bytes(&["rich", "u1", "u2", "u3", "u4", "bare"]));
    call(&athena, "StopQueryExecution", id).await.unwrap();
    let stats = athena.stats();
    assert_eq!((stats.started, stats.stopped, stats.active), (1, 1, 0));
}

#[tokio::test]
async fn queries_beyond_the_quota_are_refused_and_those_beyond_the_slots_wait() {
    let athena = athena(AthenaConfig {
        active_queries: 2,
        running_queries: 1,
        ..AthenaConfig::default()
    });
    athena
        .faults()
        .slow(Duration::from_secs(100), Queries::Next(1));
    let slow = started(&athena, 1, SQL).await;
    execution(&athena, &slow, |execution| {
        execution["Status"]["State"] == "RUNNING"
    })
    .await;
    let waiting = started(&athena, 2, SQL).await;
    let error = call(&athena, "StartQueryExecution", start(3, SQL))
        .await
        .unwrap_err();
    assert_eq!(error.code, "TooManyRequestsException");
    assert_eq!(
        error.members,
        [("Reason", "CONCURRENT_QUERY_LIMIT_EXCEEDED".to_owned())]
    );
    let elsewhere = athena
        .handle(ACCOUNT, "eu-west-1", "StartQueryExecution", start(3, SQL))
        .await;
    elsewhere.unwrap();

    let queued = execution(&athena, &waiting, |_| true).await;
    assert_eq!(queued["Status"]["State"], "QUEUED");
    call(&athena, "StopQueryExecution", slow).await.unwrap();
    let done = execution(&athena, &waiting, is_over).await;
    assert_eq!(done["Status"]["State"], "SUCCEEDED");
    started(&athena, 4, SQL).await;
}

#[tokio::test]
async fn a_start_in_flight_has_started_the_query() {
    let athena = athena(AthenaConfig::default());
    athena
        .faults()
        .delay_starts(Duration::from_hours(1), Queries::Next(1));
    let asked = call(&athena, "StartQueryExecution", start(1, SQL));
    let left = tokio::time::timeout(Duration::from_millis(50), asked).await;
    assert!(left.is_err(), "{left:?}");
    assert_eq!(athena.stats().started, 1);
    let id = started(&athena, 1, SQL).await;
    execution(&athena, &id, is_over).await;
    assert_eq!(athena.stats().started, 1);
}

#[tokio::test]
async fn a_workgroup_bounds_what_a_query_may_scan() {
    let athena = athena(AthenaConfig {
        work_groups: vec![WorkGroup {
            name: "bounded".to_owned(),
            output_location: Some("s3://enforced/".to_owned()),
            enforce: true,
            bytes_scanned_cutoff_per_query: Some(100),
        }],
        ..AthenaConfig::default()
    });
    let mut body = start(1, SQL);
    body["WorkGroup"] = "bounded".into();
    let id = call(&athena, "StartQueryExecution", body).await.unwrap();
    let ended = execution(&athena, &id, is_over).await;
    assert_eq!(ended["Status"]["State"], "CANCELLED", "{ended}");
    let reason = ended["Status"]["StateChangeReason"].as_str().unwrap();
    assert!(reason.contains("Bytes scanned limit"), "{reason}");
    let location = ended["ResultConfiguration"]["OutputLocation"]
        .as_str()
        .unwrap();
    assert!(location.starts_with("s3://enforced/"), "{location}");
    let group = call(&athena, "GetWorkGroup", json!({"WorkGroup": "bounded"}))
        .await
        .unwrap();
    assert_eq!(
        group["WorkGroup"]["Configuration"]["BytesScannedCutoffPerQuery"],
        100
    );
}

#[tokio::test]
async fn tables_describe_themselves() {
    let athena = athena(AthenaConfig::default());
    let ask = |database: &str, table: &str| json!({"CatalogName": "AwsDataCatalog", "DatabaseName": database, "TableName": table});
    let body = ask("cloudtrail_logs", "cloudtrail_projected");
    let projected = call(&athena, "GetTableMetadata", body).await.unwrap();
    let projected = &projected["TableMetadata"];
    let keys = projected["PartitionKeys"].as_array().unwrap();
    let keys: Vec<&str> = keys
        .iter()
        .map(|key| key["Name"].as_str().unwrap())
        .collect();
    assert_eq!(keys, ["account", "region", "timestamp"]);
    assert_eq!(
        projected["Parameters"]["projection.region.values"],
        "eu-west-1,us-east-1"
    );
    assert_eq!(projected["Columns"].as_array().unwrap().len(), 29);
    assert_eq!(
        projected["Columns"][16],
        json!({"Name": "resources", "Type": "array<struct<arn:string,accountid:string,type:string>>"})
    );
    assert_eq!(
        projected["Parameters"]["storage.location.template"],
        "s3://sandbox-cloudtrail-logs/AWSLogs/${account}/CloudTrail/${region}/${timestamp}"
    );
    for (database, table) in [
        ("cloudtrail_logs", "nowhere"),
        ("nowhere", "cloudtrail_projected"),
    ] {
        let error = call(&athena, "GetTableMetadata", ask(database, table))
            .await
            .unwrap_err();
        assert_eq!(error.code, "MetadataException");
    }
}

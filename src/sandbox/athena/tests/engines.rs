//! What statements mean, the same for every engine.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::clock::Clock;
use crate::sandbox::athena::engine::{Engine, EngineError, ResultSet, RunningQuery};
use crate::sandbox::athena::table::{DATABASE, Generation, TABLES};
use crate::sandbox::athena::{BUCKET, DataFusionEngine, TableFiles, TrinoConfig, TrinoEngine};

use crate::sandbox::load::load;

use super::fixture::{self, ALICE, BOB};

fn datafusion() -> Arc<dyn Engine> {
    Arc::new(DataFusionEngine::new(&fixture::files()))
}

/// A public set of records, where `IDENTITY_TRAIL_CORPUS` names the folder of them all.
fn corpus() -> Option<Arc<TableFiles>> {
    let folder = std::env::var_os("IDENTITY_TRAIL_CORPUS")?;
    let report = load(&[PathBuf::from(folder).join("invictus")]).unwrap();
    Some(Arc::new(TableFiles::new(
        report.files.into(),
        Clock::system(),
    )))
}

/// The server that `IDENTITY_TRAIL_TRINO` names, which reads `IDENTITY_TRAIL_TRINO_WAREHOUSE`.
async fn trino(files: Arc<TableFiles>) -> Option<Arc<dyn Engine>> {
    let Ok(url) = std::env::var("IDENTITY_TRAIL_TRINO") else {
        println!("IDENTITY_TRAIL_TRINO is not set: no statement was run on a real Trino");
        return None;
    };
    let warehouse = std::env::var_os("IDENTITY_TRAIL_TRINO_WAREHOUSE")
        .expect("IDENTITY_TRAIL_TRINO needs IDENTITY_TRAIL_TRINO_WAREHOUSE beside it");
    let config = TrinoConfig {
        url,
        catalog: "hive".to_owned(),
        warehouse: warehouse.into(),
    };
    Some(Arc::new(TrinoEngine::start(config, files).await.unwrap()))
}

async fn run(engine: &Arc<dyn Engine>, sql: &str) -> Result<(ResultSet, u64), EngineError> {
    let query = Arc::new(RunningQuery::default());
    let results = engine.run(sql, Some(DATABASE), &query).await?;
    Ok((results, query.scanned_bytes()))
}

/// The rows of a statement, and the bytes it scanned.
async fn rows(engine: &Arc<dyn Engine>, sql: &str) -> (Value, u64) {
    let (results, bytes) = run(engine, sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    (json!(results.rows), bytes)
}

/// The first column of a statement that ends in a FROM and selects ids.
async fn ids(engine: &Arc<dyn Engine>, rest: &str) -> Vec<String> {
    let sql = format!("SELECT eventid AS id FROM {rest}");
    let (results, _) = run(engine, &sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    let rows = results.rows.into_iter();
    rows.map(|mut row| row.remove(0).unwrap_or_default())
        .collect()
}

const T: &str = r#""cloudtrail_logs"."cloudtrail_by_account""#;

/// Statements, and the ids that they select in order.
fn selections() -> Vec<(String, Vec<&'static str>)> {
    let ordered = |predicate: &str| format!("{T} WHERE {predicate} ORDER BY eventid");
    vec![
        // LIKE knows no escape character unless told.
        (ordered("useridentity.username LIKE 'some_name'"), vec!["u1", "u2"]),
        (ordered(r"useridentity.username LIKE 'some\_name' ESCAPE '\'"), vec!["u1"]),
        (ordered(r"useridentity.username LIKE 'some\_name'"), vec![]),
        (ordered(r"useridentity.username LIKE 'back\slash'"), vec!["u3"]),
        (ordered(r"useridentity.username LIKE 'back\\slash' ESCAPE '\'"), vec!["u3"]),
        (ordered(r"useridentity.username LIKE 'back\\slash'"), vec![]),
        (ordered("useridentity.username LIKE 'per#%%' ESCAPE '#'"), vec!["u4"]),
        (ordered(r"useridentity.principalid LIKE '%:some\_name' ESCAPE '\'"), vec!["rich", "u1"]),
        (ordered("useridentity.username NOT LIKE 'some%'"), vec!["rich", "u3", "u4"]),
        // NULLs sort last in both directions, unless told.
        (format!("{T} ORDER BY useridentity.username, eventid LIMIT 1"), vec!["u3"]),
        (format!("{T} WHERE eventid IN ('u1', 'bare') ORDER BY useridentity.username DESC"), vec!["u1", "bare"]),
        (format!("{T} WHERE eventid IN ('u1', 'bare') ORDER BY useridentity.username ASC"), vec!["u1", "bare"]),
        (format!("{T} WHERE eventid IN ('u1', 'bare') ORDER BY useridentity.username DESC NULLS FIRST"), vec!["bare", "u1"]),
        (format!("{T} ORDER BY eventtime DESC NULLS LAST, eventid DESC NULLS LAST LIMIT 3"), vec!["bare", "u4", "u3"]),
        // Members of structs, with the table's alias and without, whatever their case.
        (format!("{T} t WHERE t.useridentity.type = 'AssumedRole'"), vec!["rich"]),
        (format!("{T} WHERE useridentity.sessioncontext.sessionissuer.arn = 'arn:aws:iam::111111111111:role/path/Reader'"), vec!["rich"]),
        (format!(r#"{T} WHERE "userIdentity"."sessionContext".sessionIssuer.userName = 'Reader'"#), vec!["rich"]),
        (ordered("useridentity IS NULL"), vec!["bare"]),
        (ordered("useridentity.sessioncontext.sessionissuer.arn IS NULL"), vec!["bare", "u1", "u2", "u3", "u4"]),
        // Three-valued logic.
        (ordered("NOT (useridentity.type = 'IAMUser')"), vec!["rich"]),
        (ordered("useridentity.type <> 'IAMUser' OR useridentity.type IS NULL"), vec!["bare", "rich"]),
        (ordered("coalesce(eventcategory, 'Management') = 'Management' AND readonly = 'true'"), vec!["u1", "u2", "u3", "u4"]),
        (ordered("readonly = 'false'"), vec!["rich"]),
        (ordered("concat(eventid, eventname) IS NULL"), vec!["bare", "u1", "u2", "u3", "u4"]),
        (ordered("eventtime >= '2026-09-03T23:59:59Z' AND eventtime < '2026-09-04T00:00:00Z'"), vec!["u1", "u2"]),
        (ordered("useragent = 'it''s \"quoted\" \\ and ünicode'"), vec!["rich"]),
        (ordered("strpos(useragent, 'quoted') > 0 AND starts_with(eventname, 'Put') AND lower(eventname) = 'putobject'"), vec!["rich"]),
        (ordered("eventid IN (SELECT eventid FROM cloudtrail_by_region WHERE region = 'eu-west-1')"), vec!["rich"]),
        // Partitions.
        (ordered(&format!(r#""account" = '{BOB}'"#)), vec!["bare", "u4"]),
        (ordered(r#"(("year" = '2026' AND "month" = '09' AND "day" = '03') OR ("year" = '2026' AND "month" = '09' AND "day" >= '05'))"#), vec!["bare", "rich"]),
        (ordered(r#"("year", "month", "day") IN (('2026', '09', '03'), ('2026', '09', '05'))"#), vec!["bare", "rich"]),
        (ordered(r#"concat("year", '/', "month", '/', "day") BETWEEN '2026/09/03' AND '2026/09/04'"#), vec!["rich", "u1", "u2", "u3", "u4"]),
        (format!(r#"cloudtrail_projected WHERE "account" IN ('{ALICE}', '{BOB}') AND "timestamp" >= '2026/09/05'"#), vec!["bare"]),
        (r#""awsdatacatalog"."cloudtrail_logs"."cloudtrail_legacy" WHERE useridentity.sessioncontext.webidfederationdata IS NOT NULL"#.to_owned(), vec!["rich"]),
    ]
}

async fn selections_hold(engine: &Arc<dyn Engine>) {
    for (rest, expected) in selections() {
        assert_eq!(ids(engine, &rest).await, expected, "{rest}");
    }
}

#[tokio::test]
async fn statements_select_what_trino_selects() {
    selections_hold(&datafusion()).await;
}

/// Every column of the rich record as text: scalars as they are, anything else as JSON.
async fn rich_record_is_whole(engine: &Arc<dyn Engine>) {
    let columns: Vec<String> = Generation::Documented
        .columns()
        .iter()
        .map(|column| match column.ddl_type {
            "string" => format!("{0} AS {0}", column.name),
            _ => format!("json_format(CAST({0} AS JSON)) AS {0}", column.name),
        })
        .collect();
    let sql = format!(
        r#"SELECT {}, "$path" AS log_file FROM {T} WHERE eventid = 'rich'"#,
        columns.join(", ")
    );
    let (results, _) = run(engine, &sql).await.unwrap();
    let names = results.columns.iter().map(|column| column.name.clone());
    let row: serde_json::Map<String, Value> = names
        .zip(results.rows[0].iter().map(|value| json!(value)))
        .collect();
    let parsed =
        |column: &str| -> Value { serde_json::from_str(row[column].as_str().unwrap()).unwrap() };

    let rich = fixture::rich();
    for (column, member) in [
        ("eventversion", "eventVersion"),
        ("eventtime", "eventTime"),
        ("eventname", "eventName"),
        ("sourceipaddress", "sourceIPAddress"),
        ("useragent", "userAgent"),
        ("requestid", "requestID"),
        ("sharedeventid", "sharedEventID"),
        ("vpcendpointaccountid", "vpcEndpointAccountId"),
        ("eventcategory", "eventCategory"),
        (
            "sessioncredentialfromconsole",
            "sessionCredentialFromConsole",
        ),
    ] {
        assert_eq!(row[column], rich[member], "{column}");
    }
    assert_eq!(row["readonly"], "false");
    assert_eq!(row["apiversion"], "2006");
    assert_eq!(row["responseelements"], Value::Null);
    for (column, member) in [
        ("requestparameters", "requestParameters"),
        ("additionaleventdata", "additionalEventData"),
        ("serviceeventdetails", "serviceEventDetails"),
        ("edgedevicedetails", "edgeDeviceDetails"),
    ] {
        assert_eq!(parsed(column), rich[member], "{column}");
    }
    assert_eq!(
        parsed("resources"),
        json!([
            {"arn": "arn:aws:s3:::b", "accountid": ALICE, "type": "AWS::S3::Bucket"},
            {"arn": "arn:aws:s3:::b/k", "accountid": null, "type": "AWS::S3::Object"},
        ])
    );
    assert_eq!(
        parsed("useridentity")["sessioncontext"]["webidfederationdata"],
        json!({"federatedprovider": "arn:aws:iam::1:oidc", "attributes": {"a:aud": "sts", "b:sub": "repo"}})
    );
    assert_eq!(parsed("useridentity")["onbehalfof"]["userid"], "u-1");
    assert_eq!(parsed("addendum")["originalrequestid"], "r-0");
    assert_eq!(
        parsed("tlsdetails"),
        json!({
            "tlsversion": "TLSv1.3",
            "ciphersuite": "TLS_AES_128_GCM_SHA256",
            "clientprovidedhostheader": "b.s3.amazonaws.com",
        })
    );
    let path = row["log_file"].as_str().unwrap();
    assert!(
        path.ends_with("_CloudTrail_eu-west-1_20260903T1005Z_x.json.gz"),
        "{path}"
    );
    assert!(path.contains("/2026/09/03/"), "{path}");

    let sql = "SELECT json_format(CAST(useridentity.sessioncontext.webidfederationdata AS JSON)) AS w, \
               json_format(CAST(useridentity.sessioncontext.webidfederationdata.attributes AS JSON)) AS a \
               FROM cloudtrail_by_region WHERE eventid = 'u1'";
    assert_eq!(rows(engine, sql).await.0, json!([[null, null]]));
    let sql = "SELECT json_format(CAST(useridentity.sessioncontext.webidfederationdata AS JSON)) AS w \
               FROM cloudtrail_legacy WHERE eventid = 'rich'";
    let (legacy, _) = rows(engine, sql).await;
    let legacy: Value = serde_json::from_str(legacy[0][0].as_str().unwrap()).unwrap();
    assert_eq!(legacy["federatedprovider"], "arn:aws:iam::1:oidc");
}

#[tokio::test]
async fn every_documented_column_of_a_record_is_there() {
    rich_record_is_whole(&datafusion()).await;
}

#[tokio::test]
async fn the_path_is_an_object_in_the_bucket_and_hidden() {
    let engine = datafusion();
    let (paths, _) = rows(
        &engine,
        &format!(r#"SELECT "$path" AS p FROM {T} WHERE eventid = 'u4'"#),
    )
    .await;
    let prefix = format!("s3://{BUCKET}/AWSLogs/{BOB}/CloudTrail/us-east-1/2026/09/04/");
    assert!(
        paths[0][0].as_str().unwrap().starts_with(&prefix),
        "{paths}"
    );
    for table in TABLES {
        let sql = format!(
            "SELECT * FROM {} WHERE account = '{ALICE}' LIMIT 1",
            table.name
        );
        let sql = if table.name.ends_with("region") || table.name.ends_with("legacy") {
            format!("SELECT * FROM {} LIMIT 1", table.name)
        } else {
            sql
        };
        let (results, _) = run(&engine, &sql).await.unwrap();
        let names: Vec<&str> = results.columns.iter().map(|column| &*column.name).collect();
        let columns = table.generation.columns().iter().map(|column| column.name);
        let keys = table.partition_keys.iter().map(|key| key.name());
        assert_eq!(names, columns.chain(keys).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn only_files_of_the_partitions_asked_for_are_read() {
    let engine = datafusion();
    let all = fixture::bytes(&["rich", "u1", "u2", "u3", "u4", "bare"]);
    let of_alice = fixture::bytes(&["rich", "u1", "u2", "u3"]);
    let of_bob = fixture::bytes(&["u4", "bare"]);
    for (table, predicate, expected) in [
        ("cloudtrail_by_account", "eventname IS NULL".to_owned(), all),
        ("cloudtrail_by_account", format!("account = '{ALICE}'"), of_alice),
        ("cloudtrail_by_account", format!("account IN ('{BOB}') AND eventid = 'u4'"), of_bob),
        (
            "cloudtrail_by_account",
            r#"(("year" = '2026' AND "month" = '09' AND "day" = '03') OR ("year" = '2026' AND "month" = '10'))"#.to_owned(),
            fixture::bytes(&["rich"]),
        ),
        (
            "cloudtrail_by_region",
            "concat(year, '/', month, '/', day) > '2026/09/04' AND eventtime > '2026'".to_owned(),
            fixture::bytes(&["bare"]),
        ),
        ("cloudtrail_legacy", "region = 'eu-west-1' AND errorcode LIKE 'x%'".to_owned(), fixture::bytes(&["rich"])),
        (
            "cloudtrail_projected",
            format!(r#""account" IN ('{BOB}', '{ALICE}', '1', '2', '3') AND "timestamp" = '2026/09/04'"#),
            fixture::bytes(&["u1", "u2", "u3", "u4"]),
        ),
        ("cloudtrail_by_account", "year = '1999'".to_owned(), 0),
    ] {
        let sql = format!("SELECT eventid, eventtime, errorcode FROM {table} WHERE {predicate}");
        assert_eq!(rows(&engine, &sql).await.1, expected, "{sql}");
    }
}

#[tokio::test]
async fn an_injected_partition_must_be_named() {
    let engine = datafusion();
    for predicate in [
        "timestamp = '2026/09/04'",
        "account > '1'",
        "account = '1' OR eventid = 'u1'",
    ] {
        let predicate = predicate.replace("timestamp", "\"timestamp\"");
        let sql = format!("SELECT eventid FROM cloudtrail_projected WHERE {predicate}");
        let error = run(&engine, &sql).await.unwrap_err();
        assert!(
            matches!(&error, EngineError::User(text) if text.starts_with("CONSTRAINT_VIOLATION: ")),
            "{sql}: {error:?}"
        );
    }
}

/// Statements that fail for the same reason everywhere.
async fn wrong_statements_are_refused(engine: &Arc<dyn Engine>) {
    for sql in [
        "SELEC 1",
        "SELECT eventid FROM cloudtrail_nowhere",
        "SELECT eventid FROM nowhere.cloudtrail_by_region",
        "SELECT nowhere FROM cloudtrail_by_region",
        "SELECT useridentity.nowhere FROM cloudtrail_by_region",
        "SELECT tlsdetails.tlsversion FROM cloudtrail_legacy",
        "SELECT eventid FROM cloudtrail_by_account WHERE year = 2026",
        "SELECT eventid FROM cloudtrail_by_account WHERE eventid IN (1, 2)",
        "SELECT eventid FROM cloudtrail_by_account WHERE useridentity = 'x'",
        "SELECT eventid FROM cloudtrail_by_account WHERE eventid ILIKE 'x'",
        "SELECT eventid FROM cloudtrail_by_account WHERE eventid ~ 'x'",
        r"SELECT eventid FROM cloudtrail_by_account WHERE eventid LIKE 'a\b' ESCAPE '\'",
        "SELECT `eventid` FROM cloudtrail_by_account",
        "SELECT no_such_function(eventid) FROM cloudtrail_by_account",
    ] {
        let result = run(engine, sql).await;
        assert!(
            matches!(result, Err(EngineError::User(_))),
            "{sql}: {result:?}"
        );
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused() {
    wrong_statements_are_refused(&datafusion()).await;
}

#[tokio::test]
async fn what_might_mean_something_else_is_refused() {
    let engine = datafusion();
    for sql in [
        "DROP TABLE cloudtrail_by_account",
        "SELECT 1; SELECT 2",
        "COPY cloudtrail_by_account TO 'x.json'",
        "SELECT array_agg(eventid) FROM cloudtrail_by_account",
        "SELECT DISTINCT ON (eventid) eventid FROM cloudtrail_by_account",
        "SELECT substr(eventid, -1) FROM cloudtrail_by_account",
        "SELECT CAST(eventtime AS timestamp) FROM cloudtrail_by_account",
        "SELECT row_number() OVER (ORDER BY eventid) FROM cloudtrail_by_account",
        "SELECT a.eventid FROM cloudtrail_by_account a, cloudtrail_by_account b JOIN cloudtrail_by_account c ON true",
    ] {
        let result = run(&engine, sql).await;
        assert!(
            matches!(result, Err(EngineError::User(_))),
            "{sql}: {result:?}"
        );
    }
}

/// Everything that is the same everywhere, on a real Trino; nothing without one.
#[tokio::test]
async fn trino_agrees() {
    let Some(engine) = trino(fixture::files()).await else {
        return;
    };
    selections_hold(&engine).await;
    rich_record_is_whole(&engine).await;
    wrong_statements_are_refused(&engine).await;
    for sql in [
        "DROP TABLE cloudtrail_by_account",
        "CALL system.flush_metadata_cache()",
    ] {
        let result = run(&engine, sql).await;
        assert!(
            matches!(result, Err(EngineError::User(_))),
            "{sql}: {result:?}"
        );
    }
    let query = Arc::new(RunningQuery::default());
    query.cancel();
    let sql = "SELECT count(*) AS n FROM cloudtrail_by_region";
    let result = engine.run(sql, Some(DATABASE), &query).await;
    assert_eq!(result, Err(EngineError::Cancelled));
    let (counted, _) = rows(&engine, sql).await;
    assert_eq!(counted, json!([["6"]]));
}

/// The corpus has a known answer, and the engines agree on every record of it.
#[tokio::test]
async fn a_public_set_of_records_has_its_known_answer() {
    let Some(files) = corpus() else {
        return;
    };
    let datafusion: Arc<dyn Engine> = Arc::new(DataFusionEngine::new(&files));
    let of_benjamin = "SELECT count(*) AS n FROM cloudtrail_by_region \
                       WHERE useridentity.username = 'benjamin'";
    assert_eq!(rows(&datafusion, of_benjamin).await.0, json!([["105"]]));
    let Some(trino) = trino(files).await else {
        return;
    };
    let columns = Generation::Documented.columns().iter();
    let columns: Vec<String> = columns
        .map(|column| match column.ddl_type {
            "string" => column.name.to_owned(),
            _ => format!("json_format(CAST({0} AS JSON)) AS {0}", column.name),
        })
        .collect();
    let sql = format!(
        r#"SELECT {}, "$path" AS p FROM {T} ORDER BY eventtime DESC, eventid, "$path""#,
        columns.join(", ")
    );
    let (here, _) = run(&datafusion, &sql).await.unwrap();
    let (there, _) = run(&trino, &sql).await.unwrap();
    assert_eq!(here.rows.len(), there.rows.len());
    // JSON text may differ in the order of members.
    let parsed = |value: Option<String>| {
        value.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)))
    };
    for (here, there) in here.rows.into_iter().zip(there.rows) {
        let here: Vec<Option<Value>> = here.into_iter().map(parsed).collect();
        let there: Vec<Option<Value>> = there.into_iter().map(parsed).collect();
        assert_eq!(here, there);
    }
}

//! The audit log over real sockets: a line for each request, however it ends.

use std::path::{Path, PathBuf};
use std::time::Duration;

use identity_trail::audit::AuditLog;
use identity_trail::config::AuditTarget;
use identity_trail::grpc::pb::search_events_response::Item;
use identity_trail::grpc::pb::{ListAccountsRequest, SearchEventsRequest};
use identity_trail::sandbox::Sandbox;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Code;

use crate::grpc_service::{NOW, Service, assembly, request, service_config_with};
use crate::sandbox::{HUB, OTHER, REGION, config, record};

/// A service whose requests are recorded.
struct Recorded {
    service: Service,
    log: AuditLog,
    file: PathBuf,
    _dir: TempDir,
}

impl Recorded {
    async fn start(records: &[Value]) -> Self {
        Self::start_with(records, "").await
    }

    /// With these sections in the configuration.
    async fn start_with(records: &[Value], sections: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("audit.jsonl");
        let log = AuditLog::open(&AuditTarget::File(file.clone())).unwrap();
        let sandbox = Sandbox::start(config(records, NOW)).await.unwrap();
        let list = format!("    - {{id: \"{HUB}\", credentials: hub}}\n    - {{id: \"{OTHER}\"}}");
        let config = service_config_with(&sandbox, &list, sections);
        let assembly = assembly(&sandbox, &config).await.with_audit(log.clone());
        Self {
            service: Service::of(sandbox, assembly).await,
            log,
            file,
            _dir: dir,
        }
    }

    /// Waits until so many requests are recorded.
    async fn recorded(&self, requests: u64) -> Vec<Value> {
        while self.log.counts().written < requests {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.log.finish(Duration::from_mins(1)).await;
        lines(&self.file)
    }
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn an_answered_search_is_recorded_with_who_what_which_accounts_and_how_it_ended() {
    let records = [
        record(1, "2026-10-31T10:00:00Z", "alice"),
        record(2, "2026-10-31T10:00:01Z", "alice"),
    ];
    let recorded = Recorded::start(&records).await;
    let asked = SearchEventsRequest {
        account_ids: vec![OTHER.into()],
        max_events: Some(1),
        ..request()
    };
    let items = recorded.service.search(asked.clone()).await;
    let Some(Item::Summary(summary)) = items.last() else {
        panic!("{items:?}")
    };
    let resumed = SearchEventsRequest {
        resume_token: summary.resume_token.clone(),
        ..asked
    };
    recorded.service.search(resumed).await;
    let lines = recorded.recorded(2).await;
    assert_eq!(lines[0]["rpc"], "SearchEvents");
    assert_eq!(
        lines[0]["caller"],
        json!({"name": "127.0.0.1", "authentication": "none"})
    );
    assert_eq!(
        lines[0]["asked"]["identities"],
        json!([{"user_name": "alice"}])
    );
    assert_eq!(lines[0]["accounts"], json!({"count": 1, "ids": [OTHER]}));
    let ended = json!({"status": "OK", "completeness": "COMPLETENESS_INCOMPLETE", "stop_reason": "STOP_REASON_MAX_EVENTS", "cancelled": false});
    assert_eq!(lines[0]["ended"], ended);
    assert_eq!(lines[0]["events"], 1);
    assert_eq!(lines[1]["asked"]["resumed"], true);
    assert_eq!(lines[1]["ended"]["completeness"], "COMPLETENESS_COMPLETE");
    assert_ne!(lines[0]["request_id"], lines[1]["request_id"]);
    assert!(
        !std::fs::read_to_string(&recorded.file)
            .unwrap()
            .contains(&summary.resume_token)
    );
}

#[tokio::test]
async fn refused_requests_are_recorded_with_the_reason() {
    let recorded = Recorded::start(&[]).await;
    let mut client = recorded.service.client();
    let invalid = client
        .search_events(SearchEventsRequest::default())
        .await
        .unwrap_err();
    assert_eq!(invalid.code(), Code::InvalidArgument);
    let id = invalid
        .metadata()
        .get("x-request-id")
        .unwrap()
        .to_str()
        .unwrap();
    let unknown = SearchEventsRequest {
        account_ids: vec!["999999999999".into()],
        ..request()
    };
    client.search_events(unknown).await.unwrap_err();
    let too_large = SearchEventsRequest {
        account_ids: vec![OTHER.into(); 200_000],
        ..request()
    };
    client.search_events(too_large).await.unwrap_err();
    client
        .list_accounts(ListAccountsRequest::default())
        .await
        .unwrap();
    let lines = recorded.recorded(4).await;
    assert_eq!(lines[0]["request_id"], id);
    assert_eq!(
        lines[0]["ended"],
        json!({"status": "INVALID_ARGUMENT", "reason": "INVALID_REQUEST", "cancelled": false})
    );
    assert_eq!(lines[1]["ended"]["reason"], "ACCOUNT_NOT_FOUND");
    assert_eq!(lines[1]["asked"]["account_ids"], json!(["999999999999"]));
    // It was never read: nobody knows what was asked, but that somebody did.
    assert_eq!(lines[2]["rpc"], "SearchEvents");
    assert_eq!(lines[2]["ended"]["reason"], "MESSAGE_TOO_LARGE");
    assert_eq!(lines[2]["caller"]["name"], "127.0.0.1");
    assert_eq!(
        (&lines[3]["rpc"], &lines[3]["accounts"]["count"]),
        (&json!("ListAccounts"), &json!(2))
    );
}

#[tokio::test]
async fn a_search_that_its_caller_leaves_is_recorded_as_cancelled() {
    let recorded = Recorded::start(&[]).await;
    // It cannot end before the caller leaves.
    recorded.service.sandbox.faults().change(|faults| {
        faults.dead_regions.insert(REGION.into());
    });
    let mut client = recorded.service.client();
    let mut stream = client.search_events(request()).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    drop(stream);
    let lines = recorded.recorded(1).await;
    assert_eq!(
        lines[0]["ended"],
        json!({"status": "CANCELLED", "cancelled": true})
    );
    assert_eq!(lines[0]["accounts"]["count"], 2);
}

#[tokio::test]
async fn what_queries_scanned_is_recorded_for_those_who_stay_and_those_who_leave() {
    let records = [
        record(1, "2026-07-01T10:00:00Z", "alice"),
        record(2, "2026-01-01T10:00:00Z", "alice"),
    ];
    let archive = crate::plan_search::archive("2025-11-01", false);
    let recorded = Recorded::start_with(&records, &archive).await;
    let asked = SearchEventsRequest {
        lookback: Some(prost_types::Duration {
            seconds: 360 * 86_400,
            nanos: 0,
        }),
        ..request()
    };
    let items = recorded.service.search(asked.clone()).await;
    let Some(Item::Summary(summary)) = items.last() else {
        panic!("{items:?}")
    };
    let mut client = recorded.service.client();
    let mut stream = client.search_events(asked).await.unwrap().into_inner();
    loop {
        let item = stream.message().await.unwrap().unwrap().item;
        if matches!(item, Some(Item::Event(_))) {
            break;
        }
    }
    drop(stream);
    let lines = recorded.recorded(2).await;
    let counts = summary.counts.as_ref().unwrap();
    assert_eq!(lines[0]["events"], 2);
    assert_eq!(lines[0]["bytes_scanned"], counts.bytes_scanned);
    assert_eq!(lines[1]["ended"]["cancelled"], true);
    assert!(lines[1]["bytes_scanned"].as_u64().unwrap() > 0, "{lines:?}");
}

//! The same work with the SDK alone: assume the role, drain every account and Region, parse each
//! record. No service, no merge, no gRPC.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::config::retry::RetryConfig;
use aws_smithy_http_client::Builder as HttpClientBuilder;
use aws_smithy_types::DateTime;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::Error;
use crate::fixture::Fixture;
use crate::process::Reach;

/// As many calls at once as there are accounts and Regions.
pub const UNBOUNDED: usize = Semaphore::MAX_PERMITS;

/// The SDK's configuration, with one pool of connections for all clients.
pub async fn sdk(reach: &Reach) -> SdkConfig {
    let keys = Credentials::new(
        &reach.access_key_id,
        &reach.secret_access_key,
        None,
        None,
        "bench",
    );
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(&reach.endpoint)
        .credentials_provider(keys)
        .http_client(HttpClientBuilder::new().build_http())
        .retry_config(RetryConfig::disabled())
        .load()
        .await
}

/// A session in `account`.
pub async fn assume(sdk: &SdkConfig, reach: &Reach, account: &str) -> Result<Credentials, Error> {
    let answer = aws_sdk_sts::Client::new(sdk)
        .assume_role()
        .role_arn(format!("arn:aws:iam::{account}:role/{}", reach.role_name))
        .role_session_name("bench")
        .send()
        .await?;
    let issued = answer.credentials.ok_or("no credentials")?;
    Ok(Credentials::new(
        issued.access_key_id,
        issued.secret_access_key,
        Some(issued.session_token),
        None,
        "bench",
    ))
}

/// A client in someone's session.
pub fn client(sdk: &SdkConfig, session: &Credentials, region: &'static str) -> Client {
    let config = sdk
        .to_builder()
        .region(Region::new(region))
        .credentials_provider(SharedCredentialsProvider::new(session.clone()))
        .build();
    Client::new(&config)
}

/// A client for every account and Region, each account's role assumed once, all at the same time.
pub async fn clients(fixture: &Fixture, reach: &Reach) -> Result<Vec<Client>, Error> {
    let sdk = sdk(reach).await;
    let mut assuming = JoinSet::new();
    for account in fixture.account_ids() {
        let (sdk, reach) = (sdk.clone(), reach.clone());
        assuming.spawn(async move {
            let session = assume(&sdk, &reach, &account).await?;
            Ok::<_, Error>((account, session))
        });
    }
    let mut sessions = HashMap::new();
    while let Some(assumed) = assuming.join_next().await {
        let (account, session) = assumed??;
        sessions.insert(account, session);
    }
    Ok(fixture
        .lanes()
        .into_iter()
        .map(|(account, region)| client(&sdk, &sessions[&account], region))
        .collect())
}

/// Reads everything in [from, to), one page after the other in each account and Region, all of them
/// at the same time but at most `at_once` calls; `interval` apart where there is a quota. Returns how
/// many events there were.
pub async fn drain(
    clients: &[Client],
    (from, to): (i64, i64),
    interval: Option<Duration>,
    at_once: usize,
) -> Result<u64, Error> {
    let calls = Arc::new(Semaphore::new(at_once));
    let mut lanes = JoinSet::new();
    for client in clients {
        let (client, calls) = (client.clone(), Arc::clone(&calls));
        lanes.spawn(async move {
            let mut turn = interval.map(|interval| {
                let mut turn = tokio::time::interval(interval);
                // What a slow answer cost is not caught up with a burst: the quota would refuse it.
                turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
                turn
            });
            let (mut token, mut events) = (None, 0);
            loop {
                if let Some(turn) = &mut turn {
                    turn.tick().await;
                }
                let call = calls.acquire().await?;
                let page = client
                    .lookup_events()
                    .start_time(DateTime::from_secs(from))
                    .end_time(DateTime::from_secs(to - 1))
                    .max_results(50)
                    .set_next_token(token)
                    .send()
                    .await?;
                drop(call);
                for event in page.events() {
                    let record = event.cloud_trail_event().unwrap_or_default();
                    let record: Value = serde_json::from_str(record)?;
                    events += u64::from(record["eventTime"].is_string());
                }
                token = page.next_token;
                if token.is_none() {
                    return Ok::<u64, Error>(events);
                }
            }
        });
    }
    let mut events = 0;
    while let Some(lane) = lanes.join_next().await {
        events += lane??;
    }
    Ok(events)
}

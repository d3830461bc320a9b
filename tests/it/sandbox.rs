//! What the tests of the sandbox share: a small data set, and the real SDK's clients.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_cloudtrail::config::retry::RetryConfig;
use identity_trail::sandbox::log_file::{LogFile, LogRecord};
use identity_trail::sandbox::{Account, Data, Sandbox, SandboxConfig};
use serde_json::{Value, json};

/// The hub of [`config`].
pub const HUB: &str = "111111111111";
/// An account beside the hub.
pub const OTHER: &str = "222222222222";
/// Where [`files`] puts records that name no Region.
pub const REGION: &str = "eu-west-1";

/// A sandbox of two accounts that holds `records` as delivered to [`OTHER`], its clock at `now`.
pub fn config(records: &[Value], now: &str) -> SandboxConfig {
    let account = |id: &str| Account {
        id: id.to_owned(),
        name: id.to_owned(),
    };
    let data = Data::Files {
        accounts: vec![account(HUB), account(OTHER)],
        files: files(records),
    };
    let mut config = SandboxConfig::new(data);
    config.now = Some(now.parse().unwrap());
    config.lookup_rate = None;
    config
}

/// One log file for each record, delivered four minutes after the event.
pub fn files(records: &[Value]) -> Vec<LogFile> {
    let file = |(number, record): (usize, &Value)| {
        let record = LogRecord::from_value(record);
        let time = record.event_time().unwrap_or_default();
        LogFile {
            key: format!("AWSLogs/{OTHER}/CloudTrail/{REGION}/1/1/1/{number}.json.gz"),
            account_id: OTHER.to_owned(),
            region: REGION.to_owned(),
            delivered_at: jiff::Timestamp::from_second(time + 240).unwrap(),
            records: vec![Arc::new(record)],
        }
    };
    records.iter().enumerate().map(file).collect()
}

/// A management event by a user.
pub fn record(number: u32, time: &str, user: &str) -> Value {
    json!({
        "eventID": format!("00000000-0000-4000-8000-{number:012}"),
        "eventTime": time,
        "awsRegion": REGION,
        "eventName": if number.is_multiple_of(2) { "DescribeInstances" } else { "RunInstances" },
        "eventSource": "ec2.amazonaws.com",
        "readOnly": number.is_multiple_of(2),
        "eventCategory": "Management",
        "recipientAccountId": OTHER,
        "userIdentity": {
            "type": "IAMUser",
            "userName": user,
            "accountId": OTHER,
            "accessKeyId": format!("AKIA{:0>16}", user.to_uppercase()),
        },
    })
}

/// The SDK's configuration for a caller of the sandbox, without retries of its own.
pub fn sdk(sandbox: &Sandbox, credentials: Credentials, region: &str) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(sandbox.endpoint())
        .region(Region::new(region.to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::disabled())
        .build()
}

/// Credentials from their parts.
pub fn keys(id: &str, secret: &str, token: Option<&str>) -> Credentials {
    Credentials::new(id, secret, token.map(str::to_owned), None, "tests")
}

/// The hub's own credentials.
pub fn hub(sandbox: &Sandbox) -> Credentials {
    let hub = sandbox.hub_credentials();
    keys(&hub.access_key_id, &hub.secret_access_key, None)
}

/// A session in `account_id`, as the hub gets it.
pub async fn session(sandbox: &Sandbox, account_id: &str) -> Credentials {
    let sts = aws_sdk_sts::Client::new(&sdk(sandbox, hub(sandbox), REGION));
    let assume = sts
        .assume_role()
        .role_arn(sandbox.role_arn(account_id))
        .role_session_name("tests")
        .set_external_id(sandbox.external_id().map(str::to_owned));
    let issued = assume.send().await.unwrap().credentials.unwrap();
    keys(
        &issued.access_key_id,
        &issued.secret_access_key,
        Some(&issued.session_token),
    )
}

/// A CloudTrail client in `account_id` and `region`.
pub async fn cloudtrail(
    sandbox: &Sandbox,
    account_id: &str,
    region: &str,
) -> aws_sdk_cloudtrail::Client {
    let session = session(sandbox, account_id).await;
    aws_sdk_cloudtrail::Client::new(&sdk(sandbox, session, region))
}

/// A set of the corpus, if the machine has it.
pub fn corpus(set: &str) -> Option<PathBuf> {
    let Some(root) = std::env::var_os("IDENTITY_TRAIL_CORPUS") else {
        println!("IDENTITY_TRAIL_CORPUS is not set: nothing was checked against real records");
        return None;
    };
    Some(PathBuf::from(root).join(set))
}

/// How often each thing comes.
pub fn counts<T: Ord>(things: impl IntoIterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for thing in things {
        *counts.entry(thing).or_default() += 1;
    }
    counts
}

//! What the sandbox holds: the same records in every run.

use std::sync::Arc;
use std::time::Duration;

use identity_trail::sandbox::log_file::{LogFile, LogRecord};
use identity_trail::sandbox::{Account, Data, SandboxConfig};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Error;

/// The role that everything was done by.
pub const ROLE: &str = "deployer";
/// One of its sessions, which every account and Region has seen.
pub const SESSION: &str = "deploy-07";
/// The account of the service and of Athena; it has no records.
pub const HUB: &str = "999999999999";

const SESSIONS: u64 = 20;
/// Those that every account has from its first day.
const REGIONS: [&str; 17] = [
    "us-east-1",
    "eu-central-1",
    "eu-west-1",
    "us-west-2",
    "us-east-2",
    "us-west-1",
    "ca-central-1",
    "sa-east-1",
    "eu-west-2",
    "eu-west-3",
    "eu-north-1",
    "ap-south-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-southeast-1",
    "ap-southeast-2",
];

/// Accounts and Regions with as many events each, at random times of one day.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fixture {
    pub accounts: u32,
    /// At most seventeen.
    pub regions: usize,
    /// In each account and Region.
    pub events: u32,
    /// The end of the day; everything was delivered by then.
    pub end: Timestamp,
    /// LookupEvents calls a second for each account and Region.
    pub lookup_rate: Option<f64>,
    /// Before each answer.
    pub latency: Duration,
    /// What each Athena query takes at least.
    pub athena_slow: Duration,
}

impl Fixture {
    /// Without quota or latency.
    pub fn new(accounts: u32, regions: usize, events: u32) -> Self {
        // Settled, so that nothing is provisional.
        let end = Timestamp::now() - SignedDuration::from_hours(2);
        Self {
            accounts,
            regions,
            events,
            end: Timestamp::from_second(end.as_second()).expect("the present is in range"),
            lookup_rate: None,
            latency: Duration::ZERO,
            athena_slow: Duration::ZERO,
        }
    }

    pub fn account_ids(&self) -> impl Iterator<Item = String> + use<> {
        (1..=self.accounts).map(|number| format!("{:012}", 100_000_000_000 + u64::from(number)))
    }

    pub fn regions(&self) -> &'static [&'static str] {
        &REGIONS[..self.regions]
    }

    /// Accounts times Regions.
    pub fn lanes(&self) -> Vec<(String, &'static str)> {
        self.account_ids()
            .flat_map(|account| {
                self.regions()
                    .iter()
                    .map(move |region| (account.clone(), *region))
            })
            .collect()
    }

    pub fn total_events(&self) -> u64 {
        u64::from(self.events) * self.lanes().len() as u64
    }

    /// The last `share` of the day, in seconds since the epoch: from, and up to without it.
    pub fn last(&self, share: f64) -> (i64, i64) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "a part of a day"
        )]
        let length = (DAY as f64 * share) as i64;
        (self.end.as_second() - length, self.end.as_second())
    }

    /// As an argument of another process.
    pub fn to_arg(&self) -> Result<String, Error> {
        Ok(serde_json::to_string(self)?)
    }

    pub fn from_arg(arg: &str) -> Result<Self, Error> {
        Ok(serde_json::from_str(arg)?)
    }

    /// The sandbox that holds it, which keeps each event's JSON once it is written.
    pub fn sandbox(&self) -> Result<SandboxConfig, Error> {
        let account = |id: String| Account {
            name: format!("account-{}", &id[9..]),
            id,
        };
        let ids = std::iter::once(HUB.to_owned()).chain(self.account_ids());
        let mut files = Vec::new();
        for (number, (account, region)) in (0u64..).zip(self.lanes()) {
            files.push(self.file(number, &account, region)?);
        }
        let mut config = SandboxConfig::new(Data::Files {
            accounts: ids.map(account).collect(),
            files,
        });
        config.prerender = true;
        config.lookup_rate = self.lookup_rate;
        config.athena_slow = self.athena_slow;
        config.faults.latency = self.latency;
        Ok(config)
    }

    fn file(&self, lane: u64, account: &str, region: &str) -> Result<LogFile, Error> {
        let start = self.end.as_second() - DAY;
        let mut records = Vec::with_capacity(self.events as usize);
        for number in 0..u64::from(self.events) {
            let dice = dice(lane, number);
            let second = start + i64::try_from(dice % DAY.unsigned_abs())?;
            let text = record(dice, account, region, Timestamp::from_second(second)?);
            records.push(Arc::new(LogRecord::parse(text)?));
        }
        let day = self.end.strftime("%Y/%m/%d");
        Ok(LogFile {
            key: format!("AWSLogs/{account}/CloudTrail/{region}/{day}/{lane}.json.gz"),
            account_id: account.to_owned(),
            region: region.to_owned(),
            delivered_at: self.end,
            records,
        })
    }
}

const DAY: i64 = 24 * 60 * 60;

/// One number for each event that all of it follows from (splitmix64).
fn dice(lane: u64, number: u64) -> u64 {
    let mut mixed = ((lane << 32) | number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A management event of a session of the role, about 1.2 KB, of four kinds.
fn record(dice: u64, account: &str, region: &str, time: Timestamp) -> String {
    let (service, name, read_only, request, response) = match (dice >> 20) % 4 {
        0 => (
            "ec2",
            "DescribeInstances",
            true,
            json!({"instancesSet": {"items": [{"instanceId": format!("i-{:017x}", dice >> 8)}]}, "filterSet": {}}),
            json!(null),
        ),
        1 => (
            "ec2",
            "RunInstances",
            false,
            json!({"instanceType": "m7g.large", "minCount": 1, "maxCount": 1, "imageId": "ami-0abcdef1234567890"}),
            json!({"instancesSet": {"items": [{"instanceId": format!("i-{:017x}", dice >> 8), "instanceState": {"code": 0, "name": "pending"}}]}}),
        ),
        2 => (
            "ssm",
            "GetParameter",
            true,
            json!({"name": format!("/deploy/{:08x}", dice >> 32), "withDecryption": true}),
            json!(null),
        ),
        _ => (
            "sts",
            "AssumeRole",
            true,
            json!({"roleArn": format!("arn:aws:iam::{account}:role/task"), "roleSessionName": "task", "durationSeconds": 3600}),
            json!({"credentials": {
                "accessKeyId": format!("ASIA{:016X}", dice),
                "sessionToken": format!("IQoJb3JpZ2luX2VjEKn{dice:016x}{:016x}", !dice),
                "expiration": "Nov 22, 2026, 1:00:00 PM"
            }, "assumedRoleUser": {
                "assumedRoleId": "AROAEXAMPLETASKROLE0:task",
                "arn": format!("arn:aws:sts::{account}:assumed-role/task/task")
            }}),
        ),
    };
    let session = format!("deploy-{:02}", (dice >> 40) % SESSIONS);
    json!({
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "AssumedRole",
            "principalId": format!("AROAEXAMPLEDEPLOYER0:{session}"),
            "arn": format!("arn:aws:sts::{account}:assumed-role/{ROLE}/{session}"),
            "accountId": account,
            "accessKeyId": format!("ASIA{:016X}", dice >> 4),
            "sessionContext": {
                "sessionIssuer": {
                    "type": "Role",
                    "principalId": "AROAEXAMPLEDEPLOYER0",
                    "arn": format!("arn:aws:iam::{account}:role/{ROLE}"),
                    "accountId": account,
                    "userName": ROLE
                },
                "attributes": {"creationDate": time.to_string(), "mfaAuthenticated": "false"}
            }
        },
        "eventTime": time.to_string(),
        "eventSource": format!("{service}.amazonaws.com"),
        "eventName": name,
        "awsRegion": region,
        "sourceIPAddress": format!("203.0.113.{}", dice % 200),
        "userAgent": "aws-sdk-go-v2/1.30.3 os/linux lang/go#1.22.5 md/GOOS#linux md/GOARCH#amd64 api/ec2#1.173.0",
        "requestParameters": request,
        "responseElements": response,
        "requestID": uuid::Uuid::from_u64_pair(dice, !dice).to_string(),
        "eventID": uuid::Uuid::from_u64_pair(dice.rotate_left(17), dice).to_string(),
        "readOnly": read_only,
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": account,
        "eventCategory": "Management",
        "tlsDetails": {
            "tlsVersion": "TLSv1.3",
            "cipherSuite": "TLS_AES_128_GCM_SHA256",
            "clientProvidedHostHeader": format!("{service}.{region}.amazonaws.com")
        }
    })
    .to_string()
}

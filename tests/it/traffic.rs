//! Made records of one account, for reading roles and users by sessions; the benchmark includes it too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use identity_trail::sandbox::log_file::{LogFile, LogRecord};
use identity_trail::sandbox::{Account, Data, SandboxConfig};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The account that everything happened in.
pub const ACCOUNT: &str = "222222222222";
/// The account of the service and of Athena; it has no records.
pub const HUB: &str = "111111111111";
/// The Regions that anything happened in.
pub const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "ap-southeast-2"];
pub const HOUR: i64 = 3600;
pub const DAY: i64 = 24 * HOUR;
const NOW: &str = "2026-11-01T00:00:00Z";

/// The sandbox's now, in seconds since the epoch.
pub fn now() -> i64 {
    NOW.parse::<Timestamp>().unwrap().as_second()
}

/// Records of [`ACCOUNT`], told apart by their number.
#[derive(Default)]
pub struct Traffic(pub Vec<Value>);

impl Traffic {
    pub fn add(&mut self, at: i64, region: &str, name: &str, who: &Value) -> &mut Value {
        let number = self.0.len();
        self.0.push(json!({
            "eventID": format!("00000000-0000-4000-8000-{number:012}"),
            "eventTime": time(at).to_string(),
            "awsRegion": region,
            "eventName": name,
            "eventSource": if name.starts_with("Describe") { "ec2.amazonaws.com" } else { "sts.amazonaws.com" },
            "readOnly": true,
            "eventCategory": "Management",
            "recipientAccountId": ACCOUNT,
            "userIdentity": who,
        }));
        self.0.last_mut().unwrap()
    }

    /// Seven users: one event every so many seconds, in each Region.
    pub fn noise(&mut self, from: i64, to: i64, every: usize) {
        for (number, at) in (from..to).step_by(every).enumerate() {
            let who = json!({"type": "IAMUser", "userName": format!("user-{}", number % 7), "accountId": ACCOUNT});
            self.add(
                at,
                REGIONS[number % REGIONS.len()],
                "DescribeInstances",
                &who,
            );
        }
    }

    pub fn assume(
        &mut self,
        at: i64,
        region: &str,
        api: &str,
        role: &str,
        session: &str,
        who: &Value,
    ) {
        let event = self.add(at, region, api, who);
        event["requestParameters"] = json!({"roleArn": role});
        // Identity providers' calls do not always carry the name.
        if api != "AssumeRoleWithSAML" {
            event["requestParameters"]["roleSessionName"] = json!(session);
        }
        event["responseElements"] = json!({
            "credentials": {"accessKeyId": "ASIAEXAMPLE000000001", "sessionToken": "token"},
            "assumedRoleUser": {"assumedRoleId": format!("AROAX:{session}"), "arn": session_arn(role, session)},
        });
    }

    pub fn act(&mut self, at: i64, region: &str, role: &str, session: &str, key: usize) {
        let mut who = acting(role, session);
        who["accessKeyId"] = json!(format!("ASIAEXAMPLE{key:0>9}"));
        self.add(at, region, "DescribeVpcs", &who);
    }

    /// A sandbox that holds it, each hour delivered at its end.
    pub fn sandbox(&self) -> SandboxConfig {
        let mut hours = BTreeMap::<(&str, i64), Vec<Arc<LogRecord>>>::new();
        for record in &self.0 {
            let region = record["awsRegion"].as_str().unwrap();
            let record = LogRecord::from_value(record);
            let hour = record.event_time().unwrap().div_euclid(HOUR);
            hours
                .entry((region, hour))
                .or_default()
                .push(Arc::new(record));
        }
        let files = hours.into_iter().map(|((region, hour), records)| LogFile {
            key: format!("AWSLogs/{ACCOUNT}/CloudTrail/{region}/1/1/1/{hour}.json.gz"),
            account_id: ACCOUNT.to_owned(),
            region: region.to_owned(),
            delivered_at: time((hour + 1) * HOUR),
            records,
        });
        let account = |id: &str| Account {
            id: id.to_owned(),
            name: id.to_owned(),
        };
        let mut config = SandboxConfig::new(Data::Files {
            accounts: vec![account(HUB), account(ACCOUNT)],
            files: files.collect(),
        });
        config.now = Some(time(now()));
        config.lookup_rate = None;
        config
    }

    /// What it takes to find a role's sessions and to read each in every Region.
    pub fn by_sessions(&self, role: &str) -> u64 {
        let pages = |events: usize| events.div_ceil(50).max(1) as u64;
        let issues = |record: &&Value| record["requestParameters"]["roleArn"] == role;
        let ids: BTreeSet<&str> = (self.0.iter().filter(issues))
            .filter_map(|record| {
                record["responseElements"]["assumedRoleUser"]["assumedRoleId"].as_str()
            })
            .collect();
        let mut acts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for record in &self.0 {
            let of = (&record["awsRegion"], &record["userIdentity"]["principalId"]);
            if let (Some(region), Some(id)) = (of.0.as_str(), of.1.as_str()) {
                *acts.entry((region, id)).or_default() += 1;
            }
        }
        let in_region = |region: &&str| {
            let of_region = |record: &&Value| record["awsRegion"] == *region;
            let issued = self.0.iter().filter(issues).filter(of_region).count();
            let acts = |id| acts.get(&(*region, id)).copied().unwrap_or_default();
            pages(issued) + ids.iter().map(|id| pages(acts(*id))).sum::<u64>()
        };
        REGIONS.iter().map(in_region).sum()
    }
}

/// Sessions of a role with a path, of every origin and wherever they act: assumed before the last 20
/// days, in another Region, through SAML, web identity, a service, another account and another role,
/// one of them of the same name as a session of that other role. And these two roles.
pub fn of_every_origin() -> (Traffic, [String; 2]) {
    let (deploy, other) = (role("/ci/team/deploy"), role("/reader"));
    let mut traffic = Traffic::default();
    traffic.noise(now() - 40 * DAY, now(), 300);
    let [europe, america, asia] = REGIONS;
    let account =
        json!({"type": "AWSAccount", "accountId": "999999999999", "principalId": "AIDAX"});
    let service = json!({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"});
    let provider = json!({"type": "SAMLUser", "principalId": "x:alice@example.com", "userName": "alice@example.com"});
    let web = json!({"type": "WebIdentityUser", "userName": "repo:main"});
    let chained = acting(&other, "root-of-chain");
    let start = now() - 20 * DAY;
    let saml = "AssumeRoleWithSAML";
    let by_web = "AssumeRoleWithWebIdentity";
    let alice = "alice@example.com";
    let on = |day: i64| start + day * DAY;
    for (at, region, api, session, who) in [
        // Before the interval, and still alive in it.
        (start - 11 * HOUR, america, "AssumeRole", "early", &account),
        (on(1), america, "AssumeRole", "elsewhere", &account),
        (on(2), europe, saml, alice, &provider),
        (on(3), asia, by_web, "run-1", &web),
        (on(4), europe, "AssumeRole", "i-0123456789abcdef0", &service),
        (on(5), europe, "AssumeRole", "chained", &chained),
    ] {
        traffic.assume(at, region, api, &deploy, session, who);
        for step in 1..6 {
            let number = usize::try_from(step).unwrap();
            let region = REGIONS[number % REGIONS.len()];
            // The console issues a key for almost every request.
            traffic.act(at + step * 2 * HOUR, region, &deploy, session, number);
        }
    }
    let chain = on(5) - HOUR;
    traffic.assume(chain, asia, "AssumeRole", &other, "root-of-chain", &account);
    // Another role's session of the same name, at the same time, and one that was refused.
    traffic.assume(on(2), europe, saml, &other, alice, &provider);
    for step in 0..60 {
        traffic.act(on(2) + step * 60, europe, &other, alice, 1);
    }
    let refused = traffic.add(on(6), europe, "AssumeRole", &account);
    refused["errorCode"] = json!("AccessDenied");
    refused["requestParameters"] = json!({"roleArn": deploy, "roleSessionName": "refused"});
    (traffic, [deploy, other])
}

/// So many sessions of the role `deploy` in 20 days, each with one act, among an event of others every
/// so many seconds.
pub fn many_sessions(every: usize, sessions: i64) -> Traffic {
    let deploy = role("/deploy");
    let account = json!({"type": "AWSAccount", "accountId": "999999999999"});
    let mut traffic = Traffic::default();
    let start = now() - 20 * DAY;
    traffic.noise(start, now(), every);
    for number in 0..sessions {
        let at = start + number * (20 * DAY - 2 * HOUR) / sessions;
        let session = format!("run-{number}");
        let region = REGIONS[usize::try_from(number).unwrap() % REGIONS.len()];
        traffic.assume(at, region, "AssumeRole", &deploy, &session, &account);
        traffic.act(at + HOUR, REGIONS[0], &deploy, &session, 1);
    }
    traffic
}

/// The ARN of a role.
pub fn role(path_and_name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role{path_and_name}")
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn session_arn(role: &str, session: &str) -> String {
    let name = role.rsplit('/').next().unwrap();
    format!("arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{session}")
}

fn acting(role: &str, session: &str) -> Value {
    json!({
        "type": "AssumedRole",
        "principalId": format!("AROAX:{session}"),
        "arn": session_arn(role, session),
        "accountId": ACCOUNT,
        "sessionContext": {"sessionIssuer": {
            "type": "Role",
            "userName": role.rsplit('/').next().unwrap(),
            "arn": role,
            "accountId": ACCOUNT,
        }},
    })
}

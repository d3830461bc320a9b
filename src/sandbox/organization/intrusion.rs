//! The intrusion: a leaked key in `dev`, and what its finder reaches with it in four accounts.

use jiff::Timestamp;
use serde_json::json;

use super::apis::Place;
use super::cast::Cast;
use super::days::DAY;
use super::identity::{Caller, From, Session, User, timestamp};
use super::record::{NOT_ALLOWED, REGIONS, Record};
use super::sign_in::saml_session;
use super::story::{Hop, Story};
use super::trail::{Ask, Trail};

/// Whose key leaks.
const LEAKED_USER: &str = "svc-artifact-sync";
/// Where the snapshot goes: no account of ours.
pub(super) const OUTSIDE_ACCOUNT: &str = "999988887777";

/// Where the intruder calls from, at first and after the quiet weeks.
pub(super) const FIRST_IP: &str = "203.0.113.77";
pub(super) const LATER_IP: &str = "198.51.100.23";

/// A scanner for leaked keys; a script; text meant for whoever opens the log in a spreadsheet or a
/// terminal.
const SCANNER: &str = "TruffleHog";
pub(super) const SCRIPT: &str =
    "Boto3/1.34.0 md/Botocore#1.34.0 ua/2.0 os/linux#6.6.9-amd64 md/arch#x86_64 lang/python#3.11.8";
const FORMULA: &str = "=HYPERLINK(\"http://203.0.113.77/x\",\"error\")";
const ESCAPES: &str = "aws-cli/2.9.1\u{1b}[2K\u{7}\r\n@SUM(1+1)";

/// The key's rightful weekly use, and the intrusion beside it. `days` reaches as far back as ordinary days.
pub(super) fn play(trail: &mut Trail, cast: &Cast, now: i64, days: i64) -> Story {
    let dev = cast.account("dev");
    let user = User::new(&mut trail.dice, &dev.id, LEAKED_USER);
    rightful_use(trail, cast, &user, now, days);

    let today = now.div_euclid(DAY) * DAY;
    let night = |days_ago: i64, hour: i64| today - days_ago * DAY + hour * 3600;
    let from = trail.records.len();
    let mut plot = Plot {
        trail,
        cast,
        user: &user,
        chain: Vec::new(),
    };
    plot.probe(night(97, 2));
    plot.look_again(night(61, 3));
    let backdoor = plot.persist(night(9, 1));
    plot.plunder(night(8, 2));
    plot.come_back(&backdoor, night(6, 5));
    plot.last_try(night(5, 1));
    let chain = plot.chain;

    let times = || trail.records[from..].iter().map(|record| record.time);
    let story = Story {
        leaked_access_key_id: user.access_key_id.clone(),
        user_name: user.name.clone(),
        user_arn: user.arn(),
        account_ids: ["dev", "shared-services", "prod-web", "prod-data"]
            .map(|name| cast.account(name).id.clone())
            .into(),
        chain,
        backdoor_user_name: backdoor.name.clone(),
        backdoor_access_key_id: backdoor.access_key_id.clone(),
        outside_account_id: OUTSIDE_ACCOUNT.into(),
        source_ips: vec![FIRST_IP.into(), LATER_IP.into()],
        first_time: bound(times().min()),
        last_time: bound(times().max()),
    };
    clean_up(trail, cast, &user, &backdoor, night(4, 9));
    story
}

fn bound(time: Option<i64>) -> Timestamp {
    timestamp(time.expect("the intrusion leaves records"))
}

/// Every week, the artifacts are synchronised: what the key is for.
fn rightful_use(trail: &mut Trail, cast: &Cast, user: &User, now: i64, days: i64) {
    let account = cast.account("dev");
    let place = Place {
        account,
        region: REGIONS[0],
    };
    let caller = Caller::user(
        user,
        From::new(
            "10.18.7.11",
            "aws-cli/1.27.60 Python/3.8.10 Linux/5.4.0-150-generic botocore/1.29.60",
        ),
    );
    for week in 1..=days / 7 {
        let time = now - week * 7 * DAY + trail.dice.between(0, 600);
        let record = trail.draft(time, &caller, "sts", "GetCallerIdentity", place.region);
        trail.write(record);
        let record = trail
            .draft(time + 2, &caller, "s3", "GetBucketLocation", place.region)
            .request(
                json!({"bucketName": place.bucket(), "Host": "s3.amazonaws.com", "location": ""}),
            )
            .resource(
                "AWS::S3::Bucket",
                &format!("arn:aws:s3:::{}", place.bucket()),
                &account.id,
            );
        trail.write(record);
    }
}

/// The intrusion in the making.
pub(super) struct Plot<'a> {
    pub trail: &'a mut Trail,
    pub cast: &'a Cast,
    user: &'a User,
    chain: Vec<Hop>,
}

impl Plot<'_> {
    pub(super) fn leaked(&self, ip: &str, agent: &str) -> Caller {
        Caller::user(self.user, From::new(ip, agent))
    }

    pub(super) fn does(&mut self, time: i64, caller: &Caller, service: &str, name: &str) -> Record {
        self.trail.draft(time, caller, service, name, REGIONS[0])
    }

    /// A call without parameters that succeeds.
    pub(super) fn reads(&mut self, time: i64, caller: &Caller, calls: &[(&str, &str)]) {
        for (step, (service, name)) in (0..).zip(calls) {
            let record = self.does(time + step * 2, caller, service, name);
            self.trail.write(record);
        }
    }

    /// What is this key good for? Not much, it seems.
    fn probe(&mut self, time: i64) {
        let caller = self.leaked(FIRST_IP, SCANNER);
        self.reads(time, &caller, &[("sts", "GetCallerIdentity")]);
        let caller = self.leaked(FIRST_IP, SCRIPT);
        let arn = self.user.arn();
        self.reads(
            time + 610,
            &caller,
            &[("sts", "GetCallerIdentity"), ("s3", "ListBuckets")],
        );
        for (step, (service, name)) in (0..).zip([
            ("iam", "ListUsers"),
            ("iam", "GetAccountAuthorizationDetails"),
            ("iam", "ListAttachedUserPolicies"),
            ("iam", "CreateAccessKey"),
            ("secretsmanager", "ListSecrets"),
            ("ses", "GetSendQuota"),
        ]) {
            let on = if service == "iam" { &arn } else { "*" };
            let record = self.does(time + 640 + step, &caller, service, name).denied(
                &caller,
                on,
                NOT_ALLOWED,
            );
            self.trail.write(record);
        }
        // In every Region within the same second.
        for region in REGIONS {
            let record = self
                .trail
                .draft(time + 700, &caller, "ec2", "DescribeInstances", region)
                .request(json!({"instancesSet": {}, "filterSet": {}}))
                .denied(&caller, "*", NOT_ALLOWED);
            self.trail.write(record);
        }
        let record = self
            .does(time + 755, &caller, "iam", "SimulatePrincipalPolicy")
            .request(json!({"policySourceArn": arn, "actionNames": ["sts:AssumeRole", "iam:PassRole", "s3:GetObject"]}));
        self.trail.write(record);
        let admin = self.cast.role(
            self.cast.account("management"),
            "OrganizationAccountAccessRole",
        );
        self.trail
            .assume_role_denied(time + 802, &caller, admin, REGIONS[0]);
        let odd = self.leaked(FIRST_IP, FORMULA);
        self.reads(
            time + DAY,
            &odd,
            &[("sts", "GetCallerIdentity"), ("iam", "GetUser")],
        );
    }

    /// Does the key still work?
    fn look_again(&mut self, time: i64) {
        let caller = self.leaked(LATER_IP, ESCAPES);
        self.reads(time, &caller, &[("sts", "GetCallerIdentity")]);
    }

    /// Takes a role, under a session name that goes unnoticed.
    pub(super) fn hop(
        &mut self,
        time: i64,
        caller: &Caller,
        account: &str,
        role: &str,
        name: &str,
    ) -> Session {
        let role = self.cast.role(self.cast.account(account), role);
        let session = self
            .trail
            .assume_role(time, caller, role, name, REGIONS[0], Ask::default());
        self.chain.push(Hop {
            time: timestamp(time),
            account_id: role.account_id.clone(),
            role_arn: role.arn(),
            session_name: name.into(),
            access_key_id: session.access_key_id.clone(),
        });
        session
    }

    /// One more round with the leaked key, before it is switched off.
    fn last_try(&mut self, time: i64) {
        let caller = self.leaked(LATER_IP, FORMULA);
        self.reads(time, &caller, &[("sts", "GetCallerIdentity")]);
        let admin = self.cast.role(self.cast.account("prod-data"), "BreakGlass");
        self.trail
            .assume_role_denied(time + 33, &caller, admin, REGIONS[0]);
    }
}

/// Somebody notices, and takes away what they can: the key, and the user that was made.
fn clean_up(trail: &mut Trail, cast: &Cast, user: &User, backdoor: &User, time: i64) {
    let person = &cast.people[7];
    for (user, at) in [(user, time), (backdoor, time + 700)] {
        let account = cast.account_by_id(&user.account_id);
        let role = cast.permission_set(account, "AdministratorAccess");
        let session = saml_session(trail, person, role, at - 90);
        let caller = Caller::session(&session, From::new(&*person.ip, person.browser)).in_console();
        let record = trail
            .draft(at, &caller, "iam", "UpdateAccessKey", REGIONS[0])
            .request(json!({"userName": user.name, "accessKeyId": user.access_key_id, "status": "Inactive"}));
        trail.write(record);
    }
}

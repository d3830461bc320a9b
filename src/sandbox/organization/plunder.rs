//! The second half of the intrusion: through three more accounts, and what is taken there.

use serde_json::json;

use super::apis::Place;
use super::identity::{Caller, From, User};
use super::intrusion::{FIRST_IP, LATER_IP, OUTSIDE_ACCOUNT, Plot, SCRIPT};
use super::machines::{object, read_secret};
use super::record::{FORBIDDEN, REGIONS};
use super::trail::spelled_out;

/// Who the intruder becomes, to stay.
const BACKDOOR_USER: &str = "svc-backup-agent";

impl Plot<'_> {
    /// The deployer's trust is wide: from `dev` into `shared-services`, and a user of one's own there.
    pub(super) fn persist(&mut self, time: i64) -> User {
        let caller = self.leaked(LATER_IP, SCRIPT);
        self.reads(
            time,
            &caller,
            &[("sts", "GetCallerIdentity"), ("iam", "ListRoles")],
        );
        let session = self.hop(
            time + 95,
            &caller,
            "shared-services",
            "artifact-deployer",
            "artifact-sync",
        );
        let caller = Caller::session(&session, From::new(LATER_IP, SCRIPT));
        self.reads(
            time + 110,
            &caller,
            &[
                ("sts", "GetCallerIdentity"),
                ("iam", "ListRoles"),
                ("iam", "ListUsers"),
                ("organizations", "ListAccounts"),
            ],
        );
        let place = Place {
            account: self.cast.account("shared-services"),
            region: REGIONS[0],
        };
        read_secret(self.trail, time + 300, &caller, &place, "ci/registry");

        let account_id = &place.account.id;
        let backdoor = User::new(&mut self.trail.dice, account_id, BACKDOOR_USER);
        let name = json!({"userName": backdoor.name});
        let at = time + 420;
        let record = self
            .does(at, &caller, "iam", "CreateUser")
            .request(name.clone())
            .response(json!({"user": {"path": "/", "userName": backdoor.name, "userId": backdoor.id, "arn": backdoor.arn(), "createDate": spelled_out(at)}}));
        self.trail.write(record);
        let record = self
            .does(at + 3, &caller, "iam", "AttachUserPolicy")
            .request(json!({"userName": backdoor.name, "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}));
        self.trail.write(record);
        let record = self
            .does(at + 3, &caller, "iam", "CreateAccessKey")
            .request(name)
            .response(json!({"accessKey": {"userName": backdoor.name, "accessKeyId": backdoor.access_key_id, "status": "Active", "createDate": spelled_out(at + 3)}}));
        self.trail.write(record);
        let record = self
            .does(at + 60, &caller, "cloudtrail", "StopLogging")
            .request(json!({"name": "organization-trail"}))
            .denied(&caller, &trail_arn(&place), FORBIDDEN);
        self.trail.write(record);
        backdoor
    }

    /// The next night, all the way: `dev`, `shared-services`, `prod-web`, `prod-data`.
    pub(super) fn plunder(&mut self, time: i64) {
        let caller = self.leaked(LATER_IP, SCRIPT);
        let from = From::new(LATER_IP, SCRIPT);
        let first = self.hop(
            time,
            &caller,
            "shared-services",
            "artifact-deployer",
            "artifact-sync",
        );
        let caller = Caller::session(&first, from.clone());
        self.reads(
            time + 4,
            &caller,
            &[("iam", "ListRoles"), ("ecr", "DescribeRepositories")],
        );

        let second = self.hop(time + 60, &caller, "prod-web", "deploy-target", "deploy");
        let caller = Caller::session(&second, from.clone());
        let web = Place {
            account: self.cast.account("prod-web"),
            region: REGIONS[0],
        };
        self.reads(
            time + 70,
            &caller,
            &[
                ("sts", "GetCallerIdentity"),
                ("ec2", "DescribeInstances"),
                ("lambda", "ListFunctions20150331"),
                ("secretsmanager", "ListSecrets"),
                ("cloudtrail", "DescribeTrails"),
            ],
        );
        for (step, secret) in (0..).zip([
            "prod-web/database",
            "prod-web/session-signing",
            "shared/warehouse",
        ]) {
            read_secret(self.trail, time + 200 + step, &caller, &web, secret);
        }
        let record = self
            .does(time + 330, &caller, "cloudtrail", "StopLogging")
            .request(json!({"name": "organization-trail"}))
            .denied(&caller, &trail_arn(&web), FORBIDDEN);
        self.trail.write(record);

        let third = self.hop(time + 600, &caller, "prod-data", "data-migration", "deploy");
        self.take_the_database(time + 640, &Caller::session(&third, from));
    }

    /// A snapshot, shared with an account of the intruder's, and the objects of a bucket.
    fn take_the_database(&mut self, time: i64, caller: &Caller) {
        let place = Place {
            account: self.cast.account("prod-data"),
            region: REGIONS[0],
        };
        let snapshot = "orders-maintenance";
        self.reads(
            time,
            caller,
            &[
                ("sts", "GetCallerIdentity"),
                ("rds", "DescribeDBInstances"),
                ("s3", "ListBuckets"),
                ("kms", "ListAliases"),
            ],
        );
        let record = self
            .does(time + 120, caller, "rds", "CreateDBSnapshot")
            .request(json!({"dBInstanceIdentifier": "orders", "dBSnapshotIdentifier": snapshot}))
            .response(json!({
                "dBSnapshotIdentifier": snapshot, "dBInstanceIdentifier": "orders", "engine": "postgres",
                "dBSnapshotArn": place.arn("rds", &format!("snapshot:{snapshot}")), "status": "creating",
                "snapshotType": "manual", "encrypted": false, "allocatedStorage": 400, "percentProgress": 0,
            }));
        self.trail.write(record);
        for step in [180, 300, 420] {
            let record = self
                .does(time + step, caller, "rds", "DescribeDBSnapshots")
                .request(json!({"dBSnapshotIdentifier": snapshot}));
            self.trail.write(record);
        }
        let record = self
            .does(time + 480, caller, "rds", "ModifyDBSnapshotAttribute")
            .request(json!({"dBSnapshotIdentifier": snapshot, "attributeName": "restore", "valuesToAdd": [OUTSIDE_ACCOUNT]}))
            .response(json!({"dBSnapshotIdentifier": snapshot, "dBSnapshotAttributes": [{"attributeName": "restore", "attributeValues": [OUTSIDE_ACCOUNT]}]}));
        self.trail.write(record);
        for part in 0..24 {
            let key = format!("exports/customers/part-{part:05}.csv.gz");
            object(
                self.trail,
                time + 600 + part / 4,
                caller,
                &place,
                "GetObject",
                &key,
            );
        }
        let record = self
            .does(time + 900, caller, "cloudtrail", "DeleteTrail")
            .request(json!({"name": "organization-trail"}))
            .denied(caller, &trail_arn(&place), FORBIDDEN);
        self.trail.write(record);
    }

    /// With the user of one's own: a federated session, which no deleted key ends.
    pub(super) fn come_back(&mut self, backdoor: &User, time: i64) {
        let from = From::new(FIRST_IP, SCRIPT);
        let caller = Caller::user(backdoor, from.clone());
        self.reads(time, &caller, &[("sts", "GetCallerIdentity")]);
        let key = self.trail.dice.unique_id("ASIA", &backdoor.account_id);
        let name = "backup";
        let credentials = self.trail.credentials(&key, time + 20 + 36 * 3600);
        let federated = format!("arn:aws:sts::{}:federated-user/{name}", backdoor.account_id);
        let record = self
            .does(time + 20, &caller, "sts", "GetFederationToken")
            .request(json!({"name": name, "durationSeconds": 129_600, "policyArns": [{"arn": "arn:aws:iam::aws:policy/AdministratorAccess"}]}))
            .response(json!({
                "credentials": credentials, "packedPolicySize": 4,
                "federatedUser": {"federatedUserId": format!("{}:{name}", backdoor.account_id), "arn": federated},
            }));
        self.trail.write(record);
        let caller = Caller::federated(backdoor, name, &key, time + 20, from);
        self.reads(
            time + 45,
            &caller,
            &[
                ("s3", "ListBuckets"),
                ("ecr", "DescribeRepositories"),
                ("codeartifact", "ListRepositories"),
                ("ec2", "DescribeInstances"),
            ],
        );
    }
}

fn trail_arn(place: &Place<'_>) -> String {
    place.arn("cloudtrail", "trail/organization-trail")
}

//! Where everything that happens is written down, and the calls that hand out credentials.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::apis::{Call, Place};
use super::dice::Dice;
use super::identity::{Caller, Issuer, Role, Session, User, timestamp};
use super::record::{NOT_ALLOWED, Record, Region};

/// All records so far, in the order in which they were thought of.
pub(super) struct Trail {
    pub dice: Dice,
    pub records: Vec<Record>,
}

/// What an `AssumeRole` asks for beyond the role.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ask<'a> {
    pub external_id: Option<&'a str>,
    pub source_identity: Option<&'a str>,
    pub duration_seconds: Option<i64>,
}

impl Trail {
    pub(super) fn new(dice: Dice) -> Self {
        Self {
            dice,
            records: Vec::new(),
        }
    }

    /// A new record, not yet written down.
    pub(super) fn draft(
        &mut self,
        time: i64,
        caller: &Caller,
        service: &str,
        name: &str,
        region: Region,
    ) -> Record {
        Record::call(&mut self.dice, time, caller, service, name, region)
    }

    pub(super) fn write(&mut self, record: Record) {
        self.records.push(record);
    }

    /// One of the everyday calls; once in a while it fails.
    pub(super) fn perform(&mut self, time: i64, caller: &Caller, call: &Call, place: &Place<'_>) {
        let request = (call.request)(&mut self.dice, place);
        let record = self
            .draft(time, caller, call.service, call.name, place.region)
            .request(request);
        let reads = record.value["readOnly"] == true;
        let record = match self.dice.between(0, 199) {
            0..=2 => record.denied(caller, &call.resource_arn(place), NOT_ALLOWED),
            3 => record.error("ThrottlingException", "Rate exceeded"),
            4 if call.service == "iam" => record.error(
                "NoSuchEntityException",
                "The requested entity cannot be found.",
            ),
            4 if reads && call.service == "ssm" => {
                record.error("ParameterNotFound", "The parameter was not found.")
            }
            4 if call.service == "s3" => {
                record.error("NoSuchBucketPolicy", "The bucket policy does not exist")
            }
            _ if reads => record,
            _ => record.response((call.response)(&mut self.dice, place)),
        };
        self.write(record);
    }

    /// `AssumeRole`, granted: recorded for the caller and, in another account, for the role.
    pub(super) fn assume_role(
        &mut self,
        time: i64,
        caller: &Caller,
        role: &Role,
        session_name: &str,
        region: Region,
        ask: Ask<'_>,
    ) -> Session {
        let mut session = self.session(time, role, session_name);
        session.source_identity = ask.source_identity.map(String::from).or_else(|| {
            // Once set, it is carried along every chain.
            caller.identity["sessionContext"]["sourceIdentity"]
                .as_str()
                .map(String::from)
        });
        let mut request = json!({"roleArn": role.arn(), "roleSessionName": session_name});
        for (member, value) in [
            ("externalId", ask.external_id.map(Value::from)),
            ("sourceIdentity", ask.source_identity.map(Value::from)),
            ("durationSeconds", ask.duration_seconds.map(Value::from)),
        ] {
            if let Some(value) = value {
                request[member] = value;
            }
        }
        let response = self.issued(&session, ask.duration_seconds.unwrap_or(3600));
        let mut record = self
            .draft(time, caller, "sts", "AssumeRole", region)
            .request(request)
            .response(response)
            .resource("AWS::IAM::Role", &role.arn(), &role.account_id);
        if caller.account_id != role.account_id {
            record = record.with("sharedEventID", self.dice.uuid());
            let mirrored = record.mirrored(&mut self.dice, caller, &role.account_id);
            self.write(mirrored);
        }
        self.write(record);
        session
    }

    /// A session that AWS itself takes for a function or an instance.
    pub(super) fn assume_role_for(
        &mut self,
        time: i64,
        service: &str,
        role: &Role,
        session_name: &str,
        region: Region,
    ) -> Session {
        let mut session = self.session(time, role, session_name);
        if service == "ec2.amazonaws.com" {
            session.origin = Issuer::Ec2;
        }
        let response = self.issued(&session, 6 * 3600);
        let caller = Caller::service(&role.account_id, service);
        let record = self
            .draft(time, &caller, "sts", "AssumeRole", region)
            .request(json!({"roleArn": role.arn(), "roleSessionName": session_name}))
            .response(response)
            .resource("AWS::IAM::Role", &role.arn(), &role.account_id)
            .with("sharedEventID", self.dice.uuid());
        self.write(record);
        session
    }

    /// An `AssumeRole` that is refused: only the caller's account hears of it.
    pub(super) fn assume_role_denied(
        &mut self,
        time: i64,
        caller: &Caller,
        role: &Role,
        region: Region,
    ) {
        let record = self
            .draft(time, caller, "sts", "AssumeRole", region)
            .denied(caller, &role.arn(), "");
        self.write(record);
    }

    /// A session of `role` issued at `time`, with a key of its own.
    pub(super) fn session(&mut self, time: i64, role: &Role, name: &str) -> Session {
        Session {
            role: role.clone(),
            name: name.into(),
            access_key_id: self.dice.unique_id("ASIA", &role.account_id),
            created: time,
            mfa: false,
            source_identity: None,
            origin: Issuer::Caller,
        }
    }

    /// The `responseElements` that issue a role's session.
    pub(super) fn issued(&mut self, session: &Session, seconds: i64) -> Value {
        let mut response = json!({
            "credentials": self.credentials(&session.access_key_id, session.created + seconds),
            "assumedRoleUser": {
                "assumedRoleId": format!("{}:{}", session.role.id, session.name),
                "arn": session.role.session_arn(&session.name),
            },
        });
        if let Some(source_identity) = &session.source_identity {
            response["sourceIdentity"] = source_identity.as_str().into();
        }
        response
    }

    /// Temporary credentials as responses show them.
    pub(super) fn credentials(&mut self, access_key_id: &str, expiration: i64) -> Value {
        json!({
            "accessKeyId": access_key_id,
            "sessionToken": self.dice.session_token(),
            "expiration": spelled_out(expiration),
        })
    }

    /// `GetSessionToken` by a user with a second factor; the temporary key.
    pub(super) fn get_session_token(
        &mut self,
        time: i64,
        caller: &Caller,
        user: &User,
        region: Region,
    ) -> String {
        let key = self.dice.unique_id("ASIA", &user.account_id);
        let credentials = self.credentials(&key, time + 12 * 3600);
        let record = self
            .draft(time, caller, "sts", "GetSessionToken", region)
            .request(json!({
                "durationSeconds": 43200,
                "serialNumber": format!("arn:aws:iam::{}:mfa/{}", user.account_id, user.name),
            }))
            .response(json!({"credentials": credentials}));
        self.write(record);
        key
    }
}

/// Epoch seconds as STS and IAM write them in responses: `Jul 18, 2023, 4:07:39 PM`.
pub(super) fn spelled_out(time: i64) -> String {
    timestamp(time)
        .to_zoned(TimeZone::UTC)
        .strftime("%b %-d, %Y, %-I:%M:%S %p")
        .to_string()
}

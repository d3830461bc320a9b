//! One builder for a record, so that every record has all the members of its version.

use serde_json::{Value, json};

use super::dice::Dice;
use super::identity::{Caller, iso};

/// A Region's name.
pub(super) type Region = &'static str;

/// The Regions in use. The first also has the global services.
pub(super) const REGIONS: [Region; 4] = ["us-east-1", "us-west-2", "eu-west-1", "eu-central-1"];

/// A record, and where it is delivered.
#[derive(Debug)]
pub(super) struct Record {
    /// `eventTime` in epoch seconds.
    pub time: i64,
    /// Whose trail it is: `recipientAccountId`.
    pub account_id: String,
    /// The Region folder: `awsRegion`, but for some global events.
    pub folder: Region,
    pub value: Value,
}

impl Record {
    /// A successful management call without parameters.
    pub(super) fn call(
        dice: &mut Dice,
        time: i64,
        caller: &Caller,
        service: &str,
        name: &str,
        region: Region,
    ) -> Self {
        let global = match service {
            "iam" | "organizations" | "signin" => true,
            // Some clients still call the global endpoint.
            "sts" => dice.chance(15),
            _ => false,
        };
        let aws_region = if global { REGIONS[0] } else { region };
        // Global events turn up in the files of the Region that served the caller, too.
        let folder = if global && dice.chance(60) {
            aws_region
        } else {
            region
        };
        let mut identity = caller.identity.clone();
        if caller.console && service != "signin" {
            identity["accessKeyId"] = dice.unique_id("ASIA", &caller.account_id).into();
        }
        let request_id = if service == "s3" {
            dice.letters(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ", 16)
        } else {
            dice.uuid()
        };
        let mut value = json!({});
        let mut set = |member: &str, to: Value| value[member] = to;
        set("eventVersion", version(service).into());
        set("userIdentity", identity);
        set("eventTime", iso(time).into());
        set("eventSource", format!("{service}.amazonaws.com").into());
        set("eventName", name.into());
        set("awsRegion", aws_region.into());
        set("sourceIPAddress", caller.from.ip.as_str().into());
        set("userAgent", caller.from.agent.as_str().into());
        set("requestParameters", Value::Null);
        set("responseElements", Value::Null);
        set("requestID", request_id.into());
        set("eventID", dice.uuid().into());
        set("readOnly", reads(name).into());
        set("eventType", "AwsApiCall".into());
        set("managementEvent", true.into());
        set("recipientAccountId", caller.account_id.as_str().into());
        set("eventCategory", "Management".into());
        if !caller.is_service() {
            let host = match service {
                "signin" => format!("{region}.signin.aws.amazon.com"),
                _ if global => format!("{service}.amazonaws.com"),
                _ => format!("{service}.{region}.amazonaws.com"),
            };
            set(
                "tlsDetails",
                json!({
                    "tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256",
                    "clientProvidedHostHeader": host,
                }),
            );
        }
        if caller.console && service != "signin" {
            set("sessionCredentialFromConsole", "true".into());
        }
        Self {
            time,
            account_id: caller.account_id.clone(),
            folder,
            value,
        }
    }

    /// With a member set or replaced.
    pub(super) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.value[member] = value.into();
        self
    }

    pub(super) fn request(self, parameters: Value) -> Self {
        self.with("requestParameters", parameters)
    }

    pub(super) fn response(self, elements: Value) -> Self {
        self.with("responseElements", elements)
    }

    /// With one thing acted upon; again for more.
    pub(super) fn resource(mut self, kind: &str, arn: &str, account_id: &str) -> Self {
        let resource = json!({"ARN": arn, "accountId": account_id, "type": kind});
        match &mut self.value["resources"] {
            Value::Array(resources) => resources.push(resource),
            none => *none = json!([resource]),
        }
        self
    }

    /// Refused, and so without a response.
    pub(super) fn error(self, code: &str, message: impl Into<String>) -> Self {
        self.response(Value::Null)
            .with("errorCode", code)
            .with("errorMessage", message.into())
    }

    /// Refused for want of a permission, for the reason that IAM gives.
    pub(super) fn denied(self, caller: &Caller, on: &str, because: &str) -> Self {
        let text = |member: &str| self.value[member].as_str().unwrap_or_default();
        let service = text("eventSource").trim_end_matches(".amazonaws.com");
        let action = format!("{service}:{}", text("eventName"));
        let said = format!(
            "User: {} is not authorized to perform: {action} on resource: {on} {}",
            caller.arn(),
            because.replace("ACTION", &action),
        );
        match service {
            "ec2" => self.error(
                "Client.UnauthorizedOperation",
                format!("You are not authorized to perform this operation. {said}"),
            ),
            // These keep what was asked for to themselves.
            "iam" | "sts" => self.request(Value::Null).error("AccessDenied", said),
            _ => self.error("AccessDenied", said),
        }
    }

    /// A data event instead of a management event.
    pub(super) fn data(self) -> Self {
        self.with("managementEvent", false)
            .with("eventCategory", "Data")
    }

    /// In another account's trail, as that account sees it: under an id of its own.
    pub(super) fn mirrored(&self, dice: &mut Dice, caller: &Caller, account_id: &str) -> Self {
        Self {
            time: self.time,
            account_id: account_id.into(),
            folder: self.folder,
            value: self.value.clone(),
        }
        .with("userIdentity", caller.seen_from_outside())
        .with("eventID", dice.uuid())
        .with("recipientAccountId", account_id)
    }
}

/// No policy grants it; `ACTION` stands for the action.
pub(super) const NOT_ALLOWED: &str = "because no identity-based policy allows the ACTION action";

/// The organization forbids it.
pub(super) const FORBIDDEN: &str = "with an explicit deny in a service control policy";

/// Services move to newer event versions one after the other.
fn version(service: &str) -> &'static str {
    match service {
        "sts" | "signin" | "ssm" | "rds" => "1.08",
        "lambda" | "secretsmanager" | "sso" | "cloudtrail" => "1.09",
        "ec2" | "ecs" | "ecr" | "iam" => "1.10",
        _ => "1.11",
    }
}

/// CloudTrail's idea of a read.
fn reads(name: &str) -> bool {
    const PREFIXES: [&str; 9] = [
        "Get",
        "List",
        "Describe",
        "AssumeRole",
        "Decrypt",
        "GenerateDataKey",
        "Simulate",
        "Head",
        "Lookup",
    ];
    name != "GetFederationToken" && PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

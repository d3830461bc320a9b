//! What event history shows of one record.

use serde_json::{Value, json};

/// The members that LookupEvents lists beside the record, and that its attributes compare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryEvent {
    /// `eventID`; records before version 1.01 have none.
    pub event_id: Option<String>,
    /// `eventName`.
    pub event_name: Option<String>,
    /// `true` or `false`, as text.
    pub read_only: Option<String>,
    /// The user's name, the session's name or `root`; nobody's for a service.
    pub username: Option<String>,
    /// `eventSource`.
    pub event_source: Option<String>,
    /// The key that the caller used.
    pub access_key_id: Option<String>,
    /// What the event is about: type and name, either of which may be missing.
    pub resources: Vec<Resource>,
}

/// One entry of an event's `Resources`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Such as `AWS::IAM::Role`.
    pub kind: Option<String>,
    /// An ARN, a key id or a name.
    pub name: Option<String>,
}

impl HistoryEvent {
    /// Reads a record of whatever shape; a member of an unexpected type counts as absent.
    pub fn of(record: &Value) -> Self {
        Self {
            event_id: text(&record["eventID"]),
            event_name: text(&record["eventName"]),
            read_only: match &record["readOnly"] {
                Value::Bool(flag) => Some(flag.to_string()),
                other => text(other),
            },
            username: username(&record["userIdentity"]),
            event_source: text(&record["eventSource"]),
            access_key_id: text(&record["userIdentity"]["accessKeyId"]),
            resources: resources(record),
        }
    }

    /// The event as LookupEvents writes it.
    pub fn to_json(&self, event_time: i64, record: &str) -> Value {
        let mut event = json!({"EventTime": event_time, "CloudTrailEvent": record});
        let members = [
            ("EventId", &self.event_id),
            ("EventName", &self.event_name),
            ("ReadOnly", &self.read_only),
            ("Username", &self.username),
            ("EventSource", &self.event_source),
            ("AccessKeyId", &self.access_key_id),
        ];
        for (name, value) in members {
            if let Some(value) = value {
                event[name] = json!(value);
            }
        }
        let resources = self.resources.iter().map(|resource| {
            let mut entry = json!({});
            if let Some(kind) = &resource.kind {
                entry["ResourceType"] = json!(kind);
            }
            if let Some(name) = &resource.name {
                entry["ResourceName"] = json!(name);
            }
            entry
        });
        event["Resources"] = resources.collect();
        event
    }
}

/// A text that is there and not empty: logs hold `"accessKeyId": ""` where there is none.
fn text(value: &Value) -> Option<String> {
    value
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

fn username(identity: &Value) -> Option<String> {
    match identity["type"].as_str() {
        Some("AssumedRole" | "FederatedUser") => {
            let principal = identity["principalId"].as_str();
            let session = principal.and_then(|principal| principal.split_once(':'));
            session.map(|(_, name)| name.to_owned())
        }
        Some("Root") => Some("root".to_owned()),
        Some("AWSService" | "AWSAccount") => None,
        _ => text(&identity["userName"]),
    }
}

fn resources(record: &Value) -> Vec<Resource> {
    let mut resources = Vec::new();
    let mut add = |kind: Option<String>, name: Option<String>| {
        let resource = Resource { kind, name };
        if (resource.kind.is_some() || resource.name.is_some()) && !resources.contains(&resource) {
            resources.push(resource);
        }
    };
    for entry in record["resources"].as_array().into_iter().flatten() {
        let name = text(&entry["ARN"]).or_else(|| text(&entry["arn"]));
        add(text(&entry["type"]), name);
    }
    let assumes_role = record["eventSource"] == "sts.amazonaws.com"
        && record["eventName"]
            .as_str()
            .is_some_and(|name| name.starts_with("AssumeRole"));
    if assumes_role {
        let response = &record["responseElements"];
        let user = &response["assumedRoleUser"];
        let kind = |name: &str| Some(name.to_owned());
        let role = text(&record["requestParameters"]["roleArn"]);
        add(role.as_ref().and_then(|_| kind("AWS::IAM::Role")), role);
        let names = [
            (
                "AWS::IAM::AccessKey",
                &response["credentials"]["accessKeyId"],
            ),
            ("AWS::STS::AssumedRole", &user["assumedRoleId"]),
            ("AWS::STS::AssumedRole", &user["arn"]),
            (
                "AWS::STS::AssumedRole",
                &record["requestParameters"]["roleSessionName"],
            ),
        ];
        for (name, value) in names {
            if let Some(value) = text(value) {
                add(kind(name), Some(value));
            }
        }
    }
    resources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_username_depends_on_the_type() {
        let cases = [
            (json!({"type": "IAMUser", "userName": "ada"}), Some("ada")),
            (
                json!({"type": "AssumedRole", "principalId": "AROA1:deploy-7", "userName": "x"}),
                Some("deploy-7"),
            ),
            (json!({"type": "Root", "userName": "alias"}), Some("root")),
            (
                json!({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}),
                None,
            ),
            (json!({"userName": "no-type"}), Some("no-type")),
            (json!(null), None),
            (json!("odd"), None),
        ];
        for (identity, expected) in cases {
            let event = HistoryEvent::of(&json!({"userIdentity": identity}));
            assert_eq!(event.username.as_deref(), expected, "{identity}");
        }
    }

    #[test]
    fn an_assume_role_lists_what_it_issued_and_the_role_once() {
        let role = "arn:aws:iam::111122223333:role/path/deployer";
        let event = HistoryEvent::of(&json!({
            "eventSource": "sts.amazonaws.com",
            "eventName": "AssumeRole",
            "readOnly": true,
            "requestParameters": {"roleArn": role, "roleSessionName": "s-1"},
            "responseElements": {
                "credentials": {"accessKeyId": "ASIAEXAMPLE000000001"},
                "assumedRoleUser": {
                    "assumedRoleId": "AROAX:s-1",
                    "arn": "arn:aws:sts::111122223333:assumed-role/deployer/s-1",
                },
            },
            "resources": [{"ARN": role, "accountId": "111122223333", "type": "AWS::IAM::Role"}, "odd"],
        }));
        let names: Vec<_> = event
            .resources
            .iter()
            .filter_map(|resource| resource.name.as_deref())
            .collect();
        assert_eq!(
            names,
            [
                role,
                "ASIAEXAMPLE000000001",
                "AROAX:s-1",
                "arn:aws:sts::111122223333:assumed-role/deployer/s-1",
                "s-1",
            ]
        );
        assert_eq!(event.read_only.as_deref(), Some("true"));
    }
}

//! The IAM statement that is missing, from what AWS says was denied.

use serde_json::{Value, json};

use crate::config::Access;
use crate::plan::{Reason, ReasonCode};

/// A statement to paste into a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Which policy it belongs into, in words.
    pub attach_to: String,
    /// The statement as JSON.
    pub statement_json: String,
}

/// Stands in a statement for what the service does not tell: its external ids.
const EXTERNAL_ID: &str = "THE-CONFIGURED-EXTERNAL-ID";

/// What AWS says was denied: who, what, and on what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Denied<'a> {
    principal: &'a str,
    action: &'a str,
    resource: Option<&'a str>,
}

/// The statements that `reason` asks for, of which at least one is missing; none where a permission
/// is not what is missing, or a service control policy forbids it. `action` is what was tried, where
/// AWS does not say.
#[must_use]
pub fn missing(reason: &Reason, action: &str, access: Option<&Access>) -> Vec<Policy> {
    let message = reason.aws_message.as_deref().unwrap_or_default();
    let denied = denied(message);
    match (reason.code, access) {
        (ReasonCode::AssumeRoleDenied, Some(Access::Role { arn, external_id })) => {
            let hub = denied.map_or("the service's own principal", |it| it.principal);
            to_assume(hub, arn, external_id.is_some())
        }
        (ReasonCode::AccessDenied, _) => {
            let who = denied.map_or_else(
                || match access {
                    Some(Access::Role { arn, .. }) => arn.clone(),
                    _ => "the service's own principal".to_owned(),
                },
                |it| of_session(it.principal),
            );
            let action = denied.map_or(action, |it| it.action);
            let resource = denied.and_then(|it| it.resource).unwrap_or("*");
            vec![allow(&who, action, resource)]
        }
        // A query that ran into a missing permission of its own: on files, keys or the catalog.
        (ReasonCode::QueryFailed, _) => (denied.into_iter())
            .map(|it| {
                let who = of_session(it.principal);
                allow(&who, it.action, it.resource.unwrap_or("*"))
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn allow(who: &str, action: &str, resource: &str) -> Policy {
    let statement = json!({"Effect": "Allow", "Action": action, "Resource": resource});
    Policy {
        attach_to: format!("a policy of {who}"),
        statement_json: statement.to_string(),
    }
}

/// Both sides: the hub must be allowed to assume the role, and the role must trust the hub.
fn to_assume(hub: &str, role: &str, external_id: bool) -> Vec<Policy> {
    let hub = of_session(hub);
    let mut trust = json!({
        "Effect": "Allow",
        "Principal": {"AWS": hub},
        "Action": "sts:AssumeRole",
    });
    if external_id {
        trust["Condition"] = json!({"StringEquals": {"sts:ExternalId": EXTERNAL_ID}});
    }
    vec![
        allow(&hub, "sts:AssumeRole", role),
        Policy {
            attach_to: format!("the trust policy of {role}"),
            statement_json: Value::to_string(&trust),
        },
    ]
}

/// A session's role, for policies; its path, which the session's ARN does not show, is to be added.
fn of_session(principal: &str) -> String {
    let parts: Vec<&str> = principal.splitn(6, ':').collect();
    let ["arn", partition, "sts", "", account, resource] = parts[..] else {
        return principal.to_owned();
    };
    let role = resource
        .strip_prefix("assumed-role/")
        .and_then(|rest| rest.split('/').next());
    match role {
        Some(role) => format!("arn:{partition}:iam::{account}:role/{role}"),
        None => principal.to_owned(),
    }
}

/// Reads "User: ARN is not authorized to perform: ACTION on resource: ARN …".
fn denied(message: &str) -> Option<Denied<'_>> {
    let (before, after) = message.split_once(" is not authorized to perform: ")?;
    let principal = before.rsplit_once("User: ")?.1;
    let mut words = after.split_whitespace();
    let action = words.next()?.trim_end_matches('.');
    let is_action = |action: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let (service, name) = action.split_once(':').unwrap_or_default();
        !service.is_empty()
            && !name.is_empty()
            && service.chars().all(allowed)
            && name.chars().all(allowed)
    };
    let resource = after
        .split_once(" on resource: ")
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .filter(|resource| resource.starts_with("arn:"));
    is_action(action).then_some(Denied {
        principal,
        action,
        resource,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(code: ReasonCode, message: &str) -> Reason {
        Reason {
            aws_message: Some(message.into()),
            ..Reason::new(code, "denied")
        }
    }

    fn role() -> Access {
        Access::Role {
            arn: "arn:aws:iam::444455556666:role/audit/reader".into(),
            external_id: Some("x-7f3a".parse().unwrap()),
        }
    }

    #[test]
    fn a_role_that_cannot_be_assumed_may_lack_either_side() {
        let message = "User: arn:aws:sts::111122223333:assumed-role/trail/pod-1 is not authorized to \
                       perform: sts:AssumeRole on resource: arn:aws:iam::444455556666:role/audit/reader";
        let reason = reason(ReasonCode::AssumeRoleDenied, message);
        let policies = missing(&reason, "sts:AssumeRole", Some(&role()));
        let told: Vec<String> = (policies.iter())
            .map(|it| format!("{}: {}", it.attach_to, it.statement_json))
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        a policy of arn:aws:iam::111122223333:role/trail: {"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::444455556666:role/audit/reader"}
        the trust policy of arn:aws:iam::444455556666:role/audit/reader: {"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:role/trail"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"THE-CONFIGURED-EXTERNAL-ID"}}}
        "#);
    }

    #[test]
    fn a_denied_action_is_the_one_that_aws_names() {
        let message = "User: arn:aws:sts::444455556666:assumed-role/reader/s is not authorized to \
                       perform: glue:GetTable on resource: arn:aws:glue:eu-west-1:444455556666:catalog \
                       because no identity-based policy allows the glue:GetTable action";
        let denied = missing(
            &reason(ReasonCode::AccessDenied, message),
            "athena:GetTableMetadata",
            Some(&role()),
        );
        insta::assert_snapshot!(denied[0].statement_json, @r#"{"Effect":"Allow","Action":"glue:GetTable","Resource":"arn:aws:glue:eu-west-1:444455556666:catalog"}"#);
        assert_eq!(
            denied[0].attach_to,
            "a policy of arn:aws:iam::444455556666:role/reader"
        );
        let silent = missing(
            &reason(ReasonCode::AccessDenied, "Access denied"),
            "cloudtrail:LookupEvents",
            Some(&role()),
        );
        insta::assert_snapshot!(silent[0].statement_json, @r#"{"Effect":"Allow","Action":"cloudtrail:LookupEvents","Resource":"*"}"#);
    }

    #[test]
    fn what_no_statement_can_mend_has_none() {
        let message = "User: arn:aws:iam::1:user/x is not authorized to perform: a:B with an explicit \
                       deny in a service control policy";
        let reason = reason(ReasonCode::DeniedByServiceControlPolicy, message);
        assert!(missing(&reason, "a:B", Some(&role())).is_empty());
        assert_eq!(denied("User: x is not authorized to perform: rm -rf"), None);
    }
}

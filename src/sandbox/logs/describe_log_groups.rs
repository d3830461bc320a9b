//! DescribeLogGroups.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::sandbox::error::AwsError;

use super::group::{LOG_GROUP_NAME, LogGroup};
use super::{invalid, validation};

/// The request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DescribeLogGroups {
    account_identifiers: Option<Vec<String>>,
    include_linked_accounts: Option<bool>,
    log_group_class: Option<String>,
    log_group_identifiers: Option<Vec<String>>,
    log_group_name_pattern: Option<String>,
    log_group_name_prefix: Option<String>,
    next_token: Option<String>,
    limit: Option<i64>,
}

impl DescribeLogGroups {
    /// The response of an account and Region that have `group`, or none, at `now`.
    pub fn answer(&self, group: Option<&LogGroup>, now: Timestamp) -> Result<Value, AwsError> {
        if let Some(limit) = self.limit.filter(|limit| !(1..=50).contains(limit)) {
            return Err(validation("limit", limit, "be between 1 and 50"));
        }
        if self.account_identifiers.is_some() || self.include_linked_accounts == Some(true) {
            return Err(invalid("The sandbox has no linked accounts."));
        }
        if self.next_token.is_some() {
            // There is one log group: no page has a token.
            return Err(invalid("The specified nextToken is invalid."));
        }
        if self.log_group_name_pattern.is_some() && self.log_group_name_prefix.is_some() {
            return Err(invalid(
                "logGroupNamePattern and logGroupNamePrefix are mutually exclusive.",
            ));
        }
        let groups = group
            .filter(|group| self.picks(group))
            .map(|group| describe(group, now));
        Ok(json!({"logGroups": groups.into_iter().collect::<Vec<_>>()}))
    }

    fn picks(&self, group: &LogGroup) -> bool {
        let class = self.log_group_class.as_deref();
        let (prefix, pattern) = (&self.log_group_name_prefix, &self.log_group_name_pattern);
        class.is_none_or(|class| class == "STANDARD")
            && (prefix.as_ref()).is_none_or(|prefix| LOG_GROUP_NAME.starts_with(&**prefix))
            && (pattern.as_ref()).is_none_or(|pattern| LOG_GROUP_NAME.contains(&**pattern))
            && (self.log_group_identifiers.as_ref()).is_none_or(|identifiers| {
                (identifiers.iter()).any(|name| name == LOG_GROUP_NAME || *name == group.arn)
            })
    }
}

fn describe(group: &LogGroup, now: Timestamp) -> Value {
    json!({
        "logGroupName": LOG_GROUP_NAME,
        "logGroupClass": "STANDARD",
        "creationTime": group.created_at(),
        "retentionInDays": group.retention_days,
        "metricFilterCount": 0,
        "arn": format!("{}:*", group.arn),
        "logGroupArn": group.arn,
        "storedBytes": group.stored_bytes(now),
    })
}

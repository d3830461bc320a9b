//! Section `hub`: the AWS principal that the service itself runs as.

use serde::Deserialize;

use super::value;
use crate::query::Region;

/// Who the service is, and how it reaches AWS. Its credentials come from the SDK's default chain
/// (environment, profile, SSO, container, instance) and never from this file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hub {
    /// The Region whose STS endpoint assumes the roles. Its partition is the federation's.
    #[serde(deserialize_with = "value::text")]
    pub region: Region,
    /// Where all AWS calls go instead of AWS: a sandbox. Without it `AWS_ENDPOINT_URL` counts.
    #[serde(default, deserialize_with = "endpoint_url")]
    pub endpoint_url: Option<String>,
    /// In whose name roles are assumed.
    #[serde(default)]
    pub attribution: Attribution,
    /// What sessions are called that are not in a caller's name (`RoleSessionName`). Default:
    /// `identity-trail-` and the host's name.
    #[serde(default, deserialize_with = "session_name")]
    pub session_name: Option<String>,
    /// The profile of the shared AWS configuration to take the hub's credentials from.
    #[serde(default)]
    pub profile: Option<String>,
}

/// In whose name the service assumes roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attribution {
    /// In its own, for all callers: one session for each role.
    #[default]
    Shared,
    /// In each caller's: `RoleSessionName` and `SourceIdentity` are the caller's name, which the roles'
    /// trust policies must allow (`sts:SetSourceIdentity`). One session for each role and caller.
    PerCaller,
}

impl Hub {
    /// The partition in which all ARNs of the federation lie: the hub Region's.
    #[must_use]
    pub fn partition(&self) -> &'static str {
        const BY_PREFIX: [(&str, &str); 8] = [
            ("cn-", "aws-cn"),
            ("us-gov-", "aws-us-gov"),
            ("eusc-", "aws-eusc"),
            ("us-isob-", "aws-iso-b"),
            ("us-isof-", "aws-iso-f"),
            ("eu-isoe-", "aws-iso-e"),
            ("us-iso-", "aws-iso"),
            ("eu-iso-", "aws-iso"),
        ];
        BY_PREFIX
            .iter()
            .find(|(prefix, _)| self.region.as_str().starts_with(prefix))
            .map_or("aws", |(_, partition)| partition)
    }
}

fn session_name<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    value::name(deserializer, 2..=64, "_+=,.@-").map(Some)
}

fn endpoint_url<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let url = String::deserialize(deserializer)?;
    check_endpoint_url(url)
        .map(Some)
        .map_err(serde::de::Error::custom)
}

/// Checks an endpoint URL, wherever it was written.
pub(super) fn check_endpoint_url(url: String) -> Result<String, String> {
    let host = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"));
    match host {
        Some(host) if !host.is_empty() && !url.contains(char::is_whitespace) => Ok(url),
        _ => Err(format!(
            "`{url}` is not an endpoint: it begins with http:// or https:// and names a host"
        )),
    }
}

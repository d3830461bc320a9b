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
    /// The profile of the shared AWS configuration to take the hub's credentials from.
    #[serde(default)]
    pub profile: Option<String>,
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

//! The Account API, as far as somebody who looks for Regions needs it.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::{Value, json};

use super::error::AwsError;
use super::log_file::LogFile;
use super::page_token::PageTokens;

/// The Regions that are enabled in every account from the start.
const BY_DEFAULT: [&str; 17] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];
/// Some that an account must ask for.
const OPT_IN: [&str; 4] = ["af-south-1", "ap-east-1", "eu-south-1", "me-south-1"];
const PAGE: u64 = 50;

/// `account:ListRegions`.
#[derive(Debug)]
pub struct AccountApi {
    /// Opt-in Regions in which something has happened.
    opted_in: BTreeSet<String>,
    tokens: PageTokens,
}

impl AccountApi {
    /// Every Region in which `files` have records is enabled.
    pub fn new(files: &[LogFile], tokens: PageTokens) -> Self {
        let happened = files.iter().flat_map(|file| {
            let records = file.records.iter().filter_map(|record| record.aws_region());
            records.chain([file.region.as_str()])
        });
        let opted_in = happened.filter(|name| !BY_DEFAULT.contains(name));
        Self {
            opted_in: opted_in.map(str::to_owned).collect(),
            tokens,
        }
    }

    /// Answers `ListRegions` for the caller's own account.
    pub fn list_regions(
        &self,
        body: &Value,
        disabled: &BTreeSet<String>,
    ) -> Result<Value, AwsError> {
        let invalid = |message: &str| AwsError::new("ValidationException", message);
        if !body["AccountId"].is_null() {
            // AWS asks for trusted access and the management account here; an account's own role
            // leaves it out.
            let message =
                "User is not authorized to perform: account:ListRegions on another account";
            return Err(AwsError::new("AccessDeniedException", message).with_status(403));
        }
        let size = match &body["MaxResults"] {
            Value::Null => PAGE,
            number => (number.as_u64())
                .filter(|size| (1..=PAGE).contains(size))
                .ok_or_else(|| invalid("maxResults must be between 1 and 50"))?,
        };
        let wanted = body["RegionOptStatusContains"].as_array();
        let names: BTreeSet<&str> = (BY_DEFAULT.into_iter().chain(OPT_IN))
            .chain(self.opted_in.iter().map(String::as_str))
            .collect();
        let regions: Vec<Value> = names
            .into_iter()
            .map(|name| (name, self.status(name, disabled)))
            .filter(|(_, status)| wanted.is_none_or(|list| list.iter().any(|one| one == status)))
            .map(|(name, status)| json!({"RegionName": name, "RegionOptStatus": status}))
            .collect();
        let request = format!("ListRegions {}", body["RegionOptStatusContains"]);
        let now = Instant::now();
        let from = match body["NextToken"].as_str() {
            None => 0,
            Some(token) => {
                let opened = self.tokens.open(token, &request, now);
                opened.map_err(|bad| invalid(&bad.to_string()))?.from
            }
        };
        let from = usize::try_from(from)
            .unwrap_or(usize::MAX)
            .min(regions.len());
        let to = from.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
        let mut answer = json!({"Regions": regions[from..to.min(regions.len())]});
        if to < regions.len() {
            let next = u32::try_from(to).unwrap_or(u32::MAX);
            answer["NextToken"] = json!(self.tokens.seal(&request, next, now));
        }
        Ok(answer)
    }

    fn status(&self, name: &str, disabled: &BTreeSet<String>) -> &'static str {
        if disabled.contains(name) {
            "DISABLED"
        } else if BY_DEFAULT.contains(&name) {
            "ENABLED_BY_DEFAULT"
        } else if self.opted_in.contains(name) {
            "ENABLED"
        } else {
            "DISABLED"
        }
    }
}

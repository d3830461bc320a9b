//! CloudTrail's trails: those that delivered the sandbox's log files.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::athena::BUCKET;
use super::error::AwsError;
use super::log_file::LogFile;

/// How the trail is set up: what it says of itself, whatever it has delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // As CloudTrail says it: each is independent of the others.
pub struct TrailSettings {
    /// Its name, in the hub's account.
    pub name: String,
    /// Whether it records every account, not only the hub's.
    pub is_organization_trail: bool,
    /// Other accounts that have a trail like it of their own, into the same bucket.
    pub also_of: BTreeSet<String>,
    /// Whether it records every Region, not only its own.
    pub is_multi_region_trail: bool,
    /// Whether it records at the moment.
    pub is_logging: bool,
    /// What went wrong with its latest delivery, to the bucket and to the log group.
    pub latest_delivery_error: Option<String>,
    /// Whether the hub's trail delivers to the log group as well.
    pub delivers_to_log_group: bool,
    /// What it records.
    pub selectors: Selectors,
}

/// What a trail records, as `GetEventSelectors` writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selectors {
    /// `EventSelectors`.
    Basic(Vec<Value>),
    /// `AdvancedEventSelectors`.
    Advanced(Vec<Value>),
}

impl Default for TrailSettings {
    /// Everything, everywhere.
    fn default() -> Self {
        let category = |category: &str| json!({"Field": "eventCategory", "Equals": [category]});
        let of = |name: &str, fields: Value| json!({"Name": name, "FieldSelectors": fields});
        let objects = json!({"Field": "resources.type", "Equals": ["AWS::S3::Object"]});
        let services = json!({"Field": "eventSource", "Equals": ["s3.amazonaws.com"]});
        Self {
            name: "organization-trail".to_owned(),
            is_organization_trail: true,
            also_of: BTreeSet::new(),
            is_multi_region_trail: true,
            is_logging: true,
            latest_delivery_error: None,
            delivers_to_log_group: true,
            selectors: Selectors::Advanced(vec![
                of("Management events", json!([category("Management")])),
                of("Objects", json!([category("Data"), objects])),
                of("Endpoints", json!([category("NetworkActivity"), services])),
            ]),
        }
    }
}

/// The trail, and what it has delivered.
#[derive(Debug)]
pub struct Trails {
    settings: TrailSettings,
    account_id: String,
    log_group_arn: String,
    home_region: String,
    /// In order of delivery.
    files: Arc<[LogFile]>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeTrails {
    trail_name_list: Option<Vec<String>>,
    include_shadow_trails: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct GetTrailStatus {
    #[serde(rename = "Name")]
    name: String,
}

#[derive(Debug, Deserialize)]
struct GetEventSelectors {
    #[serde(rename = "TrailName")]
    name: String,
}

impl Trails {
    /// The trail of `account_id` that delivered `files`, and sent them to the log group too; its home is us-east-1 if anything was
    /// delivered there, else the first Region of all.
    pub fn new(
        settings: TrailSettings,
        account_id: String,
        log_group_arn: String,
        files: Arc<[LogFile]>,
    ) -> Self {
        let regions: BTreeSet<&str> = files.iter().map(|file| file.region.as_str()).collect();
        let home = regions.get("us-east-1").or(regions.first());
        Self {
            home_region: home.unwrap_or(&"us-east-1").to_string(),
            settings,
            account_id,
            log_group_arn,
            files,
        }
    }

    /// Answers one call, with the JSON text of the response. `now` is the sandbox's clock.
    pub fn handle(
        &self,
        (account_id, region): (&str, &str),
        operation: &str,
        body: Value,
        now: Timestamp,
    ) -> Result<String, AwsError> {
        let answer = match operation {
            "DescribeTrails" => {
                let request: DescribeTrails = parse(body)?;
                let shadows = request.include_shadow_trails.unwrap_or(true);
                let named = request.trail_name_list.unwrap_or_default();
                let here = region == self.home_region;
                let shown = |owner: &&str| {
                    let called = |name: &String| self.is_called(name, owner, here);
                    (here || (shadows && self.settings.is_multi_region_trail))
                        && (named.is_empty() || named.iter().any(called))
                };
                let owner = self.owner(account_id).filter(shown);
                let trails: Vec<Value> = owner.map(|it| self.describe(it)).into_iter().collect();
                json!({"trailList": trails})
            }
            "GetTrailStatus" => {
                let GetTrailStatus { name } = parse(body)?;
                let owner = self.find(account_id, region, &name)?;
                self.status(owner, now)
            }
            "GetEventSelectors" => {
                let GetEventSelectors { name } = parse(body)?;
                let owner = self.find(account_id, region, &name)?;
                let (member, selectors) = match &self.settings.selectors {
                    Selectors::Basic(selectors) => ("EventSelectors", selectors),
                    Selectors::Advanced(selectors) => ("AdvancedEventSelectors", selectors),
                };
                json!({"TrailARN": self.arn(owner), member: selectors})
            }
            other => {
                let message = format!("The sandbox does not have the operation {other}.");
                return Err(AwsError::new("UnknownOperationException", message));
            }
        };
        Ok(answer.to_string())
    }

    /// Whose trail an account sees: its own, or the organization's.
    fn owner<'a>(&'a self, account_id: &'a str) -> Option<&'a str> {
        if account_id == self.account_id || self.settings.is_organization_trail {
            Some(&self.account_id)
        } else {
            (self.settings.also_of.contains(account_id)).then_some(account_id)
        }
    }

    /// By its name only at home; by its ARN everywhere.
    fn is_called(&self, name: &str, owner: &str, at_home: bool) -> bool {
        name == self.arn(owner) || (at_home && name == self.settings.name)
    }

    fn find<'a>(
        &'a self,
        account_id: &'a str,
        region: &str,
        name: &str,
    ) -> Result<&'a str, AwsError> {
        let called = |owner: &&str| self.is_called(name, owner, region == self.home_region);
        self.owner(account_id).filter(called).ok_or_else(|| {
            let message = format!("Unknown trail: {name} for the user: {account_id}");
            AwsError::new("TrailNotFoundException", message)
        })
    }

    fn arn(&self, owner: &str) -> String {
        format!(
            "arn:aws:cloudtrail:{}:{owner}:trail/{}",
            self.home_region, self.settings.name
        )
    }

    fn sends_logs(&self, owner: &str) -> bool {
        self.settings.delivers_to_log_group && owner == self.account_id
    }

    fn describe(&self, owner: &str) -> Value {
        let mut trail = json!({
            "Name": self.settings.name,
            "TrailARN": self.arn(owner),
            "S3BucketName": BUCKET,
            "HomeRegion": self.home_region,
            "IncludeGlobalServiceEvents": true,
            "IsMultiRegionTrail": self.settings.is_multi_region_trail,
            "IsOrganizationTrail": self.settings.is_organization_trail,
            "LogFileValidationEnabled": false,
            "HasCustomEventSelectors": true,
            "HasInsightSelectors": false,
        });
        if self.sends_logs(owner) {
            // As policies have it.
            trail["CloudWatchLogsLogGroupArn"] = format!("{}:*", self.log_group_arn).into();
        }
        trail
    }

    fn status(&self, owner: &str, now: Timestamp) -> Value {
        let delivered = self.files.partition_point(|file| file.delivered_at <= now);
        let delivered = &self.files[..delivered];
        let mut status = json!({"IsLogging": self.settings.is_logging});
        if let (Some(first), Some(last)) = (delivered.first(), delivered.last()) {
            status["StartLoggingTime"] = first.delivered_at.as_second().into();
            status["LatestDeliveryTime"] = last.delivered_at.as_second().into();
            if self.sends_logs(owner) {
                status["LatestCloudWatchLogsDeliveryTime"] = last.delivered_at.as_second().into();
            }
            if !self.settings.is_logging {
                status["StopLoggingTime"] = last.delivered_at.as_second().into();
            }
        }
        if let Some(error) = &self.settings.latest_delivery_error {
            status["LatestDeliveryError"] = error.as_str().into();
            if self.sends_logs(owner) {
                status["LatestCloudWatchLogsDeliveryError"] = error.as_str().into();
            }
        }
        status
    }
}

fn parse<T: serde::de::DeserializeOwned>(body: Value) -> Result<T, AwsError> {
    serde_json::from_value(body)
        .map_err(|error| AwsError::new("SerializationException", error.to_string()))
}

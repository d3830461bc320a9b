//! What CloudTrail says of trails: what they record, and whether they do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::types::{
    AdvancedEventSelector, AdvancedFieldSelector, EventSelector, ReadWriteType, Trail,
};
use aws_smithy_types::DateTime;

use crate::config::Access;
use crate::config::archives::TrailArn;
use crate::federation::Federation;
use crate::federation::aws_error::failure;
use crate::plan::trail::{Selected, TrailFacts};
use crate::plan::{Reason, ReasonCode};
use crate::query::{EventCategory, EventTime, Region};

/// Reads trails in the sessions of a federation.
#[derive(Debug, Clone)]
pub struct Trails {
    federation: Arc<Federation>,
}

/// Which trails are meant.
#[derive(Debug, Clone, Copy)]
pub enum WhichTrails<'a> {
    /// This one.
    Named(&'a TrailArn),
    /// Those that write to this bucket.
    WritingTo(&'a str),
}

impl Trails {
    /// Reads in the sessions of `federation`.
    #[must_use]
    pub fn new(federation: Arc<Federation>) -> Self {
        Self { federation }
    }

    /// The trails, as seen with `access` in `region`; none if there is no such trail. A trail that is
    /// named is asked for in its own account, if that is in the federation.
    pub async fn read(
        &self,
        which: WhichTrails<'_>,
        access: &Access,
        region: &Region,
    ) -> Result<Vec<TrailFacts>, Reason> {
        let region = match which {
            WhichTrails::Named(arn) => &arn.region,
            WhichTrails::WritingTo(_) => region,
        };
        let client = self.client(which, access, region).await?;
        let names = match which {
            WhichTrails::Named(arn) => Some(vec![arn.as_str().to_owned()]),
            WhichTrails::WritingTo(_) => None,
        };
        let request = client
            .describe_trails()
            .include_shadow_trails(true)
            .set_trail_name_list(names);
        let permit = self.federation.call_permit().await?;
        let answer = request.send().await;
        drop(permit);
        let answer = answer.map_err(|error| failure("describe trails", &error).reason)?;
        let is_meant = |trail: &&Trail| match which {
            WhichTrails::Named(arn) => trail.trail_arn() == Some(arn.as_str()),
            WhichTrails::WritingTo(bucket) => trail.s3_bucket_name() == Some(bucket),
        };
        let mut trails = Vec::new();
        for trail in answer.trail_list().iter().filter(is_meant) {
            let Some(arn) = trail.trail_arn() else {
                return Err(Reason::new(
                    ReasonCode::AwsError,
                    "CloudTrail described a trail without an ARN",
                ));
            };
            trails.push(self.facts(&client, trail, arn).await?);
        }
        Ok(trails)
    }

    async fn client(
        &self,
        which: WhichTrails<'_>,
        access: &Access,
        region: &Region,
    ) -> Result<Client, Reason> {
        let sdk = match which {
            WhichTrails::Named(arn) if self.federation.access(arn.account).is_some() => {
                self.federation.sdk_config(arn.account, region).await?
            }
            _ => {
                let session = self.federation.config_for(access, region, Duration::ZERO);
                session.await?.sdk
            }
        };
        Ok(Client::new(&sdk))
    }

    async fn facts(&self, client: &Client, trail: &Trail, arn: &str) -> Result<TrailFacts, Reason> {
        let permit = self.federation.call_permit().await?;
        let status = client.get_trail_status().name(arn).send().await;
        drop(permit);
        let status = status
            .map_err(|error| failure(&format!("read the status of trail {arn}"), &error).reason)?;
        let permit = self.federation.call_permit().await?;
        let selectors = client.get_event_selectors().trail_name(arn).send().await;
        drop(permit);
        let selectors = selectors.map_err(|error| {
            failure(&format!("read the event selectors of trail {arn}"), &error).reason
        })?;
        let basic = selectors.event_selectors().iter().flat_map(of_basic);
        let advanced = selectors.advanced_event_selectors().iter();
        Ok(TrailFacts {
            arn: arn.to_owned(),
            account: arn.split(':').nth(4).and_then(|id| id.parse().ok()),
            home_region: trail.home_region().and_then(|name| name.parse().ok()),
            is_multi_region: trail.is_multi_region_trail().unwrap_or(false),
            is_organization_trail: trail.is_organization_trail().unwrap_or(false),
            is_logging: status.is_logging().unwrap_or(false),
            latest_delivery: status.latest_delivery_time().and_then(time),
            delivery_error: (status.latest_delivery_error())
                .filter(|error| !error.is_empty())
                .map(str::to_owned),
            records: basic.chain(advanced.flat_map(of_advanced)).collect(),
        })
    }
}

fn time(time: &DateTime) -> Option<EventTime> {
    EventTime::from_second(time.secs())
}

/// What a basic selector records: management events, and data events of the resources that it names.
fn of_basic(selector: &EventSelector) -> Vec<Selected> {
    let read_only = match selector.read_write_type() {
        Some(ReadWriteType::ReadOnly) => Some(true),
        Some(ReadWriteType::WriteOnly) => Some(false),
        _ => None,
    };
    let mut selected = Vec::new();
    if selector.include_management_events().unwrap_or(true) {
        selected.push(Selected {
            category: EventCategory::Management,
            read_only,
            excluded_event_sources: (selector.exclude_management_event_sources().iter())
                .cloned()
                .collect(),
            conditions: Vec::new(),
        });
    }
    for resource in selector.data_resources() {
        let kind = resource.r#type().unwrap_or("unknown");
        let mut conditions = vec![format!("resources.type is {kind}")];
        if !resource.values().is_empty() {
            let values = resource.values().join(" or ");
            conditions.push(format!("resources.ARN starts with {values}"));
        }
        selected.push(Selected {
            category: EventCategory::Data,
            read_only,
            excluded_event_sources: BTreeSet::new(),
            conditions,
        });
    }
    selected
}

/// What an advanced selector records: all of its conditions hold at once.
fn of_advanced(selector: &AdvancedEventSelector) -> Vec<Selected> {
    let mut categories = Vec::new();
    let mut read_only = None;
    let mut excluded = BTreeSet::new();
    let mut conditions = Vec::new();
    for field in selector.field_selectors() {
        match (field.field(), field.equals(), field.not_equals()) {
            ("eventCategory", names, []) => {
                categories.extend(names.iter().filter_map(|name| EventCategory::named(name)));
            }
            ("readOnly", [flag], []) if flag == "true" || flag == "false" => {
                read_only = Some(flag == "true");
            }
            ("eventSource", [], services) if !services.is_empty() && only_not_equals(field) => {
                excluded.extend(services.iter().cloned());
            }
            _ => conditions.push(in_words(field)),
        }
    }
    let of = |category| Selected {
        category,
        read_only,
        excluded_event_sources: excluded.clone(),
        conditions: conditions.clone(),
    };
    categories.into_iter().map(of).collect()
}

fn only_not_equals(field: &AdvancedFieldSelector) -> bool {
    field.starts_with().is_empty()
        && field.ends_with().is_empty()
        && field.not_starts_with().is_empty()
        && field.not_ends_with().is_empty()
}

fn in_words(field: &AdvancedFieldSelector) -> String {
    let operators = [
        ("is", field.equals()),
        ("starts with", field.starts_with()),
        ("ends with", field.ends_with()),
        ("is not", field.not_equals()),
        ("does not start with", field.not_starts_with()),
        ("does not end with", field.not_ends_with()),
    ];
    let words: Vec<String> = operators
        .iter()
        .filter(|(_, values)| !values.is_empty())
        .map(|(operator, values)| format!("{} {operator} {}", field.field(), values.join(" or ")))
        .collect();
    words.join(" and ")
}

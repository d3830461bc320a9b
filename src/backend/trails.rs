//! What CloudTrail says of trails: what they record, and whether they do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::types::{
    AdvancedEventSelector, AdvancedFieldSelector, EventSelector, ReadWriteType, Trail,
};
use aws_smithy_types::DateTime;
use aws_types::SdkConfig;

use crate::config::Access;
use crate::config::stores::TrailArn;
use crate::federation::aws_error::failure;
use crate::federation::{Behalf, Federation};
use crate::plan::trail::{Selected, TrailFacts};
use crate::plan::{Reason, ReasonCode};
use crate::query::{AccountId, EventCategory, EventTime, Region};

/// Reads trails in the sessions of a federation.
#[derive(Debug, Clone)]
pub struct Trails {
    federation: Arc<Federation>,
}

/// Which trails are meant.
#[derive(Debug, Clone, Copy)]
pub struct WhichTrails<'a> {
    /// This one alone, where the configuration names it.
    pub named: Option<&'a TrailArn>,
    /// Those that deliver here.
    pub into: Destination<'a>,
}

/// Where trails deliver to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination<'a> {
    /// Log files into this bucket, where it is known.
    Bucket(Option<&'a str>),
    /// Log events into the log group of this ARN.
    LogGroup(&'a str),
}

impl Destination<'_> {
    /// Where `trail` delivers to, of this kind.
    fn of(self, trail: &Trail) -> Option<&str> {
        match self {
            Destination::Bucket(_) => trail.s3_bucket_name(),
            // As policies have it, or not.
            Destination::LogGroup(_) => (trail.cloud_watch_logs_log_group_arn())
                .map(|arn| arn.strip_suffix(":*").unwrap_or(arn)),
        }
    }

    /// Its name, where it is known.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Destination::Bucket(bucket) => *bucket,
            Destination::LogGroup(arn) => Some(arn),
        }
    }
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
        behalf: Behalf<'_>,
    ) -> Result<Vec<TrailFacts>, Reason> {
        let region = which.named.map_or(region, |arn| &arn.region);
        let sdk = match which.named {
            Some(arn) if self.federation.access(arn.account).is_some() => {
                (self.federation.sdk_config(arn.account, region, behalf)).await?
            }
            _ => {
                let session = (self.federation).config_for(access, region, Duration::ZERO, behalf);
                session.await?.sdk
            }
        };
        self.seen(&self.client(&sdk), which, |_| true).await
    }

    /// An account's own trails that deliver `into`, as seen in `region`.
    pub async fn read_own(
        &self,
        into: Destination<'_>,
        account: AccountId,
        region: &Region,
        behalf: Behalf<'_>,
    ) -> Result<Vec<TrailFacts>, Reason> {
        let sdk = self.federation.sdk_config(account, region, behalf).await?;
        let which = WhichTrails { named: None, into };
        let own = |trail: &Trail| trail.trail_arn().and_then(owner) == Some(account);
        self.seen(&self.client(&sdk), which, own).await
    }

    fn client(&self, sdk: &SdkConfig) -> Client {
        let config = aws_sdk_cloudtrail::config::Builder::from(sdk)
            .interceptor(self.federation.call_watch())
            .build();
        Client::from_conf(config)
    }

    async fn seen(
        &self,
        client: &Client,
        which: WhichTrails<'_>,
        is_wanted: impl Fn(&Trail) -> bool,
    ) -> Result<Vec<TrailFacts>, Reason> {
        let named = which.named.map(TrailArn::as_str);
        let request = client
            .describe_trails()
            .include_shadow_trails(true)
            .set_trail_name_list(named.map(|arn| vec![arn.to_owned()]));
        let permit = self.federation.call_permit().await?;
        let answer = request.send().await;
        drop(permit);
        let answer = answer.map_err(|error| failure("describe trails", &error).reason)?;
        let is_meant = |trail: &&Trail| match named {
            Some(arn) => trail.trail_arn() == Some(arn),
            None => which.into.of(trail).is_some() && which.into.of(trail) == which.into.name(),
        };
        let mut trails = Vec::new();
        for trail in answer.trail_list().iter().filter(is_meant) {
            let Some(arn) = trail.trail_arn() else {
                return Err(Reason::new(
                    ReasonCode::AwsError,
                    "CloudTrail described a trail without an ARN",
                ));
            };
            if is_wanted(trail) {
                trails.push(self.facts(client, trail, arn, which.into).await?);
            }
        }
        Ok(trails)
    }

    async fn facts(
        &self,
        client: &Client,
        trail: &Trail,
        arn: &str,
        into: Destination<'_>,
    ) -> Result<TrailFacts, Reason> {
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
        let (delivered, error) = match into {
            Destination::Bucket(_) => (
                status.latest_delivery_time(),
                status.latest_delivery_error(),
            ),
            Destination::LogGroup(_) => (
                status.latest_cloud_watch_logs_delivery_time(),
                status.latest_cloud_watch_logs_delivery_error(),
            ),
        };
        Ok(TrailFacts {
            arn: arn.to_owned(),
            account: owner(arn),
            home_region: trail.home_region().and_then(|name| name.parse().ok()),
            is_multi_region: trail.is_multi_region_trail().unwrap_or(false),
            is_organization_trail: trail.is_organization_trail().unwrap_or(false),
            is_logging: status.is_logging().unwrap_or(false),
            delivers_to: into.of(trail).map(str::to_owned),
            latest_delivery: delivered.and_then(time),
            delivery_error: error.filter(|error| !error.is_empty()).map(str::to_owned),
            records: basic.chain(advanced.flat_map(of_advanced)).collect(),
        })
    }
}

/// The account in a trail's ARN.
fn owner(arn: &str) -> Option<AccountId> {
    arn.split(':').nth(4)?.parse().ok()
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

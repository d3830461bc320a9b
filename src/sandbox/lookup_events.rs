//! CloudTrail's LookupEvents.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::call_rate::CallRate;
use super::error::AwsError;
use super::event_history::{Attribute, EventHistories, EventHistory, Lookup, Shelf, scatter};
use super::faults::Faults;
use super::page_token::{BadToken, PageTokens};

const MAX_RESULTS: i64 = 50;

/// The part of CloudTrail that the sandbox has.
#[derive(Debug)]
pub struct CloudTrail {
    pub(super) histories: EventHistories,
    pub(super) rate: CallRate,
    pub(super) tokens: PageTokens,
    pub(super) faults: Arc<Faults>,
    pub(super) seed: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    lookup_attributes: Option<Vec<LookupAttribute>>,
    start_time: Option<f64>,
    end_time: Option<f64>,
    event_category: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LookupAttribute {
    attribute_key: String,
    attribute_value: String,
}

impl CloudTrail {
    /// Answers one call, with the JSON text of the response. `now` is the sandbox's clock.
    pub async fn lookup_events(
        self: &Arc<Self>,
        account_id: &str,
        region: &str,
        body: Value,
        now: Timestamp,
    ) -> Result<String, AwsError> {
        if !self.rate.take(account_id, region, Instant::now()) {
            return Err(AwsError::new("ThrottlingException", "Rate exceeded"));
        }
        let request: Request = serde_json::from_value(body)
            .map_err(|error| AwsError::new("SerializationException", error.to_string()))?;
        let limit = request.limit()?;
        let lookup = request.lookup(now)?;
        // Whatever is asked, apart from the page: the token is good for nothing else.
        let asked = format!(
            "{account_id} {region} {:?} {:?} {:?} {:?} {:?}",
            lookup.attribute,
            request.start_time,
            request.end_time,
            lookup.shelf,
            request.max_results
        );
        let from = match &request.next_token {
            Some(token) => self.open(token, &asked)?,
            None => 0,
        };
        let Some(history) = self.history(account_id, region).await else {
            return Ok(r#"{"Events":[]}"#.to_owned());
        };
        let mut page = history.page(&lookup, from, limit);
        if let [first, .., last] = page.places[..]
            && history.time(first) != history.time(last)
            && self.faults.hits(|faults| faults.out_of_order)
        {
            page.places.rotate_left(1);
        }

        let mut response = String::from(r#"{"Events":["#);
        for (number, place) in page.places.iter().enumerate() {
            if number > 0 {
                response.push(',');
            }
            history.render(*place, &mut response);
        }
        response.push(']');
        if let Some(next) = page.next {
            // Base 64 needs no escaping.
            let token = self.tokens.seal(&asked, next, Instant::now());
            response.push_str(r#","NextToken":""#);
            response.push_str(&token);
            response.push('"');
        }
        response.push('}');
        Ok(response)
    }

    fn open(&self, token: &str, asked: &str) -> Result<u32, AwsError> {
        let refused =
            |error: BadToken| AwsError::new("InvalidNextTokenException", error.to_string());
        let opened = self.tokens.open(token, asked, Instant::now());
        let opened = opened.map_err(refused)?;
        let share = self.faults.read(|faults| faults.stale_token);
        // A token that is stale stays so.
        if share.hits_hash(scatter(self.seed, opened.number)) {
            return Err(refused(BadToken::Expired));
        }
        Ok(opened.from)
    }

    async fn history(
        self: &Arc<Self>,
        account_id: &str,
        region: &str,
    ) -> Option<Arc<EventHistory>> {
        if self.histories.is_indexed(account_id, region) {
            return self.histories.get(account_id, region);
        }
        let (this, account_id, region) =
            (Arc::clone(self), account_id.to_owned(), region.to_owned());
        let indexing =
            tokio::task::spawn_blocking(move || this.histories.get(&account_id, &region));
        match indexing.await {
            Ok(history) => history,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

impl Request {
    fn limit(&self) -> Result<usize, AwsError> {
        let limit = self.max_results.unwrap_or(MAX_RESULTS);
        usize::try_from(limit)
            .ok()
            .filter(|_| (1..=MAX_RESULTS).contains(&limit))
            .ok_or_else(|| {
                let message = format!(
                    "Invalid value for MaxResults: {limit}. Valid values are between 1 and 50."
                );
                AwsError::new("InvalidMaxResultsException", message)
            })
    }

    fn lookup(&self, now: Timestamp) -> Result<Lookup, AwsError> {
        let shelf = match self.event_category.as_deref() {
            None => Shelf::Management,
            Some("insight") => Shelf::Insight,
            Some(other) => {
                let message = format!("Invalid event category: {other}. Valid value: insight.");
                return Err(AwsError::new("InvalidEventCategoryException", message));
            }
        };
        let attribute = match self.lookup_attributes.as_deref() {
            None | Some([]) => None,
            Some([attribute]) => Some(attribute.read()?),
            Some(_) => {
                return Err(AwsError::new(
                    "InvalidLookupAttributesException",
                    "You can specify only one lookup attribute.",
                ));
            }
        };
        let times = seconds(self.start_time, f64::ceil)?.unwrap_or(i64::MIN)
            ..=seconds(self.end_time, f64::floor)?.unwrap_or(i64::MAX);
        if let (Some(start), Some(end)) = (self.start_time, self.end_time)
            && start > end
        {
            return Err(AwsError::new(
                "InvalidTimeRangeException",
                "The start time must not be after the end time.",
            ));
        }
        Ok(Lookup {
            shelf,
            attribute,
            times,
            now: now.as_second(),
        })
    }
}

impl LookupAttribute {
    fn read(&self) -> Result<(Attribute, String), AwsError> {
        let attribute = match self.attribute_key.as_str() {
            "EventId" => Attribute::EventId,
            "EventName" => Attribute::EventName,
            "ReadOnly" => Attribute::ReadOnly,
            "Username" => Attribute::Username,
            "ResourceType" => Attribute::ResourceType,
            "ResourceName" => Attribute::ResourceName,
            "EventSource" => Attribute::EventSource,
            "AccessKeyId" => Attribute::AccessKeyId,
            other => {
                let message = format!(
                    "1 validation error detected: Value '{other}' at \
                     'lookupAttributes.1.member.attributeKey' failed to satisfy constraint: Member \
                     must satisfy enum value set: [EventId, EventName, ReadOnly, Username, \
                     ResourceType, ResourceName, EventSource, AccessKeyId]"
                );
                return Err(AwsError::new("ValidationException", message));
            }
        };
        // The length in the service's published model.
        if !(1..=2000).contains(&self.attribute_value.chars().count()) {
            return Err(AwsError::new(
                "InvalidLookupAttributesException",
                "A lookup attribute's value must have 1 to 2000 characters.",
            ));
        }
        Ok((attribute, self.attribute_value.clone()))
    }
}

/// A wire time in whole seconds, rounded into the interval.
fn seconds(time: Option<f64>, round: fn(f64) -> f64) -> Result<Option<i64>, AwsError> {
    /// The last second of year 9999: beyond it no timestamp can be written.
    const LAST: f64 = 253_402_300_799.0;
    let Some(time) = time else { return Ok(None) };
    if !(-LAST..=LAST).contains(&time) {
        let message = format!("{time} is outside the range of possible values.");
        return Err(AwsError::new("InvalidTimeRangeException", message));
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked above")]
    Ok(Some(round(time) as i64))
}

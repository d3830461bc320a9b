//! StartQuery: what is checked before a query runs.

use std::ops::Range;

use jiff::Timestamp;
use serde::Deserialize;

use crate::sandbox::error::AwsError;

use super::group::LogGroup;
use super::insights::{MAX_ROWS, Query};
use super::{invalid, malformed, validation};

const MAX_QUERY_CHARACTERS: usize = 10_000;
const MAX_LOG_GROUPS: usize = 50;

/// The rows of a query that says nothing about them.
const DEFAULT_ROWS: usize = 10_000;

/// The request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StartQuery {
    log_group_name: Option<String>,
    log_group_names: Option<Vec<String>>,
    log_group_identifiers: Option<Vec<String>>,
    start_time: i64,
    end_time: i64,
    query_string: String,
    query_language: Option<String>,
    limit: Option<i64>,
}

/// The log groups that are asked, and whether they may be named by ARN.
#[derive(Debug)]
pub(super) struct Asked {
    pub identifiers: Vec<String>,
    pub arns_allowed: bool,
}

impl StartQuery {
    /// Which log groups the request names.
    pub fn log_groups(&self) -> Result<Asked, AwsError> {
        let (identifiers, arns_allowed) = match (
            &self.log_group_name,
            &self.log_group_names,
            &self.log_group_identifiers,
        ) {
            (Some(name), None, None) => (vec![name.clone()], false),
            (None, Some(names), None) => (names.clone(), false),
            (None, None, Some(identifiers)) => (identifiers.clone(), true),
            _ => {
                return Err(invalid(
                    "Exactly one of logGroupName, logGroupNames and logGroupIdentifiers must be \
                     given.",
                ));
            }
        };
        if !(1..=MAX_LOG_GROUPS).contains(&identifiers.len()) {
            return Err(invalid(format!(
                "1 to {MAX_LOG_GROUPS} log groups can be queried."
            )));
        }
        Ok(Asked {
            identifiers,
            arns_allowed,
        })
    }

    /// What is to be run.
    pub fn statement(&self) -> &str {
        &self.query_string
    }

    /// The query, how many rows it has at most, and what of `group` it reads.
    pub fn check(
        &self,
        group: &LogGroup,
        now: Timestamp,
    ) -> Result<(Query, usize, Range<usize>), AwsError> {
        if let Some(language) = self
            .query_language
            .as_deref()
            .filter(|name| *name != "CWLI")
        {
            return Err(invalid(format!(
                "The sandbox has the query language CWLI only, not {language}."
            )));
        }
        let limit = match self.limit {
            None => DEFAULT_ROWS,
            Some(limit) => usize::try_from(limit)
                .ok()
                .filter(|limit| (1..=MAX_ROWS).contains(limit))
                .ok_or_else(|| validation("limit", limit, "be between 1 and 100000"))?,
        };
        if self.query_string.chars().count() > MAX_QUERY_CHARACTERS {
            return Err(validation(
                "queryString",
                &self.query_string,
                "have length less than or equal to 10000",
            ));
        }
        for (name, time) in [("startTime", self.start_time), ("endTime", self.end_time)] {
            if time < 0 {
                return Err(validation(
                    name,
                    time,
                    "have value greater than or equal to 0",
                ));
            }
        }
        if self.start_time > self.end_time {
            return Err(invalid("endTime must not be before startTime."));
        }
        let query: Query = self.query_string.parse().map_err(malformed)?;
        let (start, end) = (millis(self.start_time), millis(self.end_time));
        if end < group.oldest(now) {
            return Err(malformed(
                "end date and time is either before the log groups creation time or exceeds the \
                 log groups log retention settings",
            ));
        }
        let limit = query.limit.unwrap_or(limit);
        Ok((query, limit, group.places(start, end, now)))
    }
}

fn millis(seconds: i64) -> i64 {
    seconds.saturating_mul(1_000)
}

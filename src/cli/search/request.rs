//! The request that the flags of `search` make.

use jiff::{SignedDuration, Timestamp};

use super::args::{AccessArg, BackendArg, CategoryArg, Output, SearchArgs};
use super::window::When;
use crate::grpc::pb;
use crate::grpc::pb::identity::Kind;

/// The values of one flag, and the kind of identity that each is.
type Named<'a> = (&'a [String], fn(String) -> Kind);

/// The flags make no question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

impl SearchArgs {
    /// The request that the flags make. What it says is checked by the service.
    pub fn request(&self) -> Result<pb::SearchEventsRequest, UsageError> {
        let (start_time, lookback) = match self.since {
            Some(When::At(instant)) => (Some(proto_time(instant)), None),
            Some(When::Before(length)) => (None, Some(proto_duration(length))),
            None => (None, None),
        };
        let filter = pb::EventFilter {
            event_names: self.event_names.clone(),
            event_sources: self.event_sources.clone(),
            access: (self.access.iter())
                .map(|access| access.proto().into())
                .collect(),
            error_codes: self.error_codes.clone(),
            errors_only: self.errors_only,
            source_ips: self.source_ips.clone(),
            resources: self.resources.clone(),
            event_ids: self.event_ids.clone(),
            categories: self
                .categories
                .iter()
                .map(|category| category.proto().into())
                .collect(),
        };
        let for_records = self.output == Some(Output::Cloudtrail);
        if for_records && self.summary_only {
            return Err(UsageError(
                "--output cloudtrail is made of records: leave --summary-only out".to_owned(),
            ));
        }
        if self.explain && !matches!(self.output(), Output::Table | Output::Jsonl) {
            return Err(UsageError("--explain prints a table or jsonl".to_owned()));
        }
        let full = self.full || for_records || self.save.is_some();
        let record_view = match (full, self.summary_only) {
            (true, _) => pb::RecordView::Full,
            (_, true) => pb::RecordView::None,
            _ => pb::RecordView::Fields,
        };
        Ok(pb::SearchEventsRequest {
            identities: self.identities()?,
            ignore_case: self.ignore_case,
            start_time,
            end_time: self.until.map(proto_time),
            lookback,
            account_ids: self.accounts.clone(),
            account_selector: self.account_selector(),
            regions: self.regions.clone(),
            filter: Some(filter),
            order: self.order().into(),
            max_events: self.max_events,
            resume_token: self.resume_token.clone().unwrap_or_default(),
            record_view: record_view.into(),
            backends: self
                .backends
                .iter()
                .map(|backend| backend.proto().into())
                .collect(),
            max_scan_bytes: self.max_scan_bytes,
            exact_roles: self.exact,
            progress_interval: Some(prost_types::Duration {
                seconds: 1,
                nanos: 0,
            }),
        })
    }

    fn account_selector(&self) -> Option<pb::AccountSelector> {
        let tag = |text: &String| match text.split_once('=') {
            Some((key, value)) => pb::AccountTag {
                key: key.to_owned(),
                value: Some(value.to_owned()),
            },
            None => pb::AccountTag {
                key: text.clone(),
                value: None,
            },
        };
        let selector = pb::AccountSelector {
            names: self.account_names.clone(),
            organizational_units: self.organizational_units.clone(),
            tags: self.account_tags.iter().map(tag).collect(),
        };
        (selector != pb::AccountSelector::default()).then_some(selector)
    }

    fn order(&self) -> pb::SearchOrder {
        if self.oldest_first {
            pb::SearchOrder::OldestFirst
        } else {
            pb::SearchOrder::NewestFirst
        }
    }

    fn identities(&self) -> Result<Vec<pb::Identity>, UsageError> {
        let mut kinds = Vec::new();
        for (values, kind) in self.named() {
            kinds.extend(values.iter().cloned().map(kind));
        }
        match (&self.roles[..], &self.sessions[..]) {
            (roles, []) => kinds.extend(roles.iter().cloned().map(Kind::RoleName)),
            ([], sessions) => kinds.extend(sessions.iter().cloned().map(Kind::SessionName)),
            (roles, sessions) => {
                for role_name in roles {
                    kinds.extend(sessions.iter().map(|session_name| {
                        Kind::RoleSession(pb::RoleSession {
                            role_name: role_name.clone(),
                            session_name: session_name.clone(),
                        })
                    }));
                }
            }
        }
        kinds.extend(self.root.then_some(Kind::Root(pb::RootUser {})));
        let filtered = [
            &self.source_ips,
            &self.event_names,
            &self.resources,
            &self.event_ids,
        ];
        if kinds.is_empty() && filtered.iter().all(|values| values.is_empty()) {
            return Err(UsageError(
                "name an identity: --user, --session, --role, --access-key, --root, --arn or another (see \
                 --help), or a --source-ip, --event-name, --resource or --event-id"
                    .to_owned(),
            ));
        }
        let kinds = kinds.into_iter();
        Ok(kinds
            .map(|kind| pb::Identity { kind: Some(kind) })
            .collect())
    }

    /// The identities that one flag names, each kind with its values.
    fn named(&self) -> [Named<'_>; 7] {
        [
            (&self.users, Kind::UserName),
            (&self.permission_sets, Kind::PermissionSet),
            (&self.access_keys, Kind::AccessKeyId),
            (&self.principal_ids, Kind::PrincipalId),
            (&self.source_identities, Kind::SourceIdentity),
            (&self.identity_center_users, Kind::IdentityCenterUserId),
            (&self.arns, Kind::Arn),
        ]
    }
}

impl BackendArg {
    fn proto(self) -> pb::Backend {
        match self {
            Self::EventHistory => pb::Backend::EventHistory,
            Self::Logs => pb::Backend::Logs,
            Self::Athena => pb::Backend::Athena,
        }
    }
}

impl AccessArg {
    fn proto(self) -> pb::Access {
        match self {
            Self::Read => pb::Access::Read,
            Self::Write => pb::Access::Write,
            Self::IssuesCredentials => pb::Access::IssuesCredentials,
        }
    }
}

impl CategoryArg {
    fn proto(self) -> pb::EventCategory {
        match self {
            Self::Management => pb::EventCategory::Management,
            Self::Data => pb::EventCategory::Data,
            Self::NetworkActivity => pb::EventCategory::NetworkActivity,
            Self::Insight => pb::EventCategory::Insight,
        }
    }
}

fn proto_time(instant: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: instant.as_second(),
        nanos: instant.subsec_nanosecond(),
    }
}

fn proto_duration(length: SignedDuration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: length.as_secs(),
        nanos: length.subsec_nanos(),
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;

//! `sts:AssumeRole`, once: the request, and what its refusal means.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_sts::Client;
use tokio::sync::Semaphore;

use super::attribution::SessionNames;
use super::aws_error::{FailureKind, failure};
use crate::config::ExternalId;
use crate::plan::{Reason, ReasonCode};
use crate::telemetry::metrics::{Metrics, SessionResult};

/// A session that one role assumes from another lasts an hour at most, and the hub is often a role.
const SESSION_SECONDS: i32 = 3600;

/// What all calls share.
#[derive(Debug, Clone)]
pub(super) struct Assumer {
    pub client: Client,
    pub metrics: Metrics,
    /// Bounds the calls in flight; held for one call.
    pub in_flight: Arc<Semaphore>,
}

impl Assumer {
    /// Assumes the role once, with the SDK's own retries for throttles and broken connections.
    pub async fn assume(
        self,
        role_arn: String,
        external_id: Option<ExternalId>,
        names: SessionNames,
    ) -> Result<(Credentials, Duration), Reason> {
        let answer = self.ask(role_arn, external_id, names).await;
        self.metrics.session_refreshed(match &answer {
            Ok(_) => SessionResult::Issued,
            Err(reason) => match reason.code {
                ReasonCode::AssumeRoleDenied
                | ReasonCode::AccessDenied
                | ReasonCode::DeniedByServiceControlPolicy => SessionResult::Denied,
                _ => SessionResult::Failed,
            },
        });
        answer
    }

    async fn ask(
        &self,
        role_arn: String,
        external_id: Option<ExternalId>,
        names: SessionNames,
    ) -> Result<(Credentials, Duration), Reason> {
        let closed = |_| Reason::new(ReasonCode::Drain, "the service is shutting down");
        let _permit = self.in_flight.acquire().await.map_err(closed)?;
        let answer = self
            .client
            .assume_role()
            .role_arn(&role_arn)
            .role_session_name(&*names.session_name)
            .set_source_identity(names.source_identity.as_deref().map(str::to_owned))
            .set_external_id(external_id.map(|id| id.as_str().to_owned()))
            .duration_seconds(SESSION_SECONDS)
            .send()
            .await
            .map_err(|error| {
                let action = format!("assume {role_arn}");
                let failed = failure(&action, &error);
                refusal(&role_arn, failed.kind, failed.reason)
            })?;
        let unusable = || {
            let message = format!("AWS answered without credentials when assuming {role_arn}");
            Reason::new(ReasonCode::AwsError, message)
        };
        let issued = answer.credentials().ok_or_else(unusable)?;
        let expiry = SystemTime::try_from(*issued.expiration()).map_err(|_| unusable())?;
        let lifetime = expiry
            .duration_since(SystemTime::now())
            .unwrap_or(Duration::ZERO);
        if lifetime.is_zero() {
            return Err(Reason::new(
                ReasonCode::CredentialsExpired,
                format!("the session of {role_arn} ended before it began: check this host's clock"),
            ));
        }
        let credentials = Credentials::new(
            issued.access_key_id(),
            issued.secret_access_key(),
            Some(issued.session_token().to_owned()),
            Some(expiry),
            "identity-trail",
        );
        Ok((credentials, lifetime))
    }
}

fn refusal(role_arn: &str, kind: FailureKind, mut reason: Reason) -> Reason {
    let told = reason.aws_message.as_deref().unwrap_or_default();
    if reason.aws_code.as_deref() == Some("RegionDisabledException") {
        reason.message = format!(
            "STS is not active in the hub's Region for the account of {role_arn}: activate it there or set hub.region to another: {told}"
        );
    } else if told.contains("sts:SetSourceIdentity") {
        reason.code = ReasonCode::AssumeRoleDenied;
        reason.message = format!(
            "AWS refused to let the hub say for whom it assumes {role_arn}: {told}; with \
             `hub.attribution: per_caller` the role's trust policy and the hub's own policy must \
             allow sts:SetSourceIdentity"
        );
    } else if kind == FailureKind::Denied && reason.code == ReasonCode::AccessDenied {
        reason.code = ReasonCode::AssumeRoleDenied;
        reason.message = format!(
            "AWS refused to let the hub assume {role_arn}: {told}; check that the role exists, that its trust policy names the hub, its external id, and that the hub may sts:AssumeRole"
        );
    }
    reason
}

//! The services behind the front door: authentication, faults, then the call itself.

use std::sync::Arc;

use hyper::http::request::Parts;
use jiff::Timestamp;

use crate::clock::Clock;

use super::account_api::AccountApi;
use super::athena::AthenaService;
use super::credentials::{Keyring, Principal};
use super::error::AwsError;
use super::faults::{Denial, Faults};
use super::logs::LogsService;
use super::lookup_events::CloudTrail;
use super::organizations::Organizations;
use super::protocol::{Operation, Protocol};
use super::sigv4::{self, Caller};
use super::stats::{Call, Counters};
use super::sts::Sts;
use super::trail::Trails;

/// Everything that answers calls.
#[derive(Debug)]
pub struct Services {
    pub(super) keyring: Arc<Keyring>,
    pub(super) faults: Arc<Faults>,
    pub(super) counters: Counters,
    pub(super) clock: Clock,
    pub(super) sts: Sts,
    pub(super) cloudtrail: Arc<CloudTrail>,
    pub(super) trails: Trails,
    pub(super) athena: AthenaService,
    pub(super) organizations: Organizations,
    pub(super) account_api: AccountApi,
    pub(super) logs: LogsService,
}

/// How a call ends.
#[derive(Debug)]
pub enum Answer {
    /// With a body, or with an error.
    Response(Protocol, Result<String, AwsError>),
    /// With the connection reset.
    Reset,
}

impl Services {
    /// Answers one request; waits forever where a fault says that nobody answers.
    pub async fn answer(&self, head: &Parts, body: &[u8]) -> Answer {
        let operation = match Operation::of(head, body) {
            Ok(operation) => operation,
            Err((protocol, error)) => {
                self.counters.unauthenticated();
                return Answer::Response(protocol, Err(error));
            }
        };
        let protocol = operation.protocol();
        let service = operation.service();
        let caller = match sigv4::verify(head, body, &self.keyring, service, Timestamp::now()) {
            Ok(caller) => caller,
            Err(refusal) => {
                self.counters.unauthenticated();
                return Answer::Response(protocol, Err(protocol.refusal(&refusal)));
            }
        };
        let call = Call {
            service,
            operation: operation.name().to_owned(),
            account_id: caller.key.principal.account_id.clone(),
            region: caller.region.clone(),
        };
        self.counters.count(&call, |counts| counts.received += 1);
        if self
            .faults
            .read(|faults| faults.dead_regions.contains(&caller.region))
        {
            std::future::pending::<()>().await;
        }
        let latency = self.faults.read(|faults| faults.latency);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        if self.faults.hits(|faults| faults.reset) {
            return Answer::Reset;
        }
        let result = if self.faults.hits(|faults| faults.throttle) {
            Err(protocol.throttle())
        } else {
            self.dispatch(&caller, operation).await
        };
        self.counters.count(&call, |counts| match &result {
            Ok(_) => counts.succeeded += 1,
            Err(error) if is_throttle(error) => counts.throttled += 1,
            Err(_) => counts.refused += 1,
        });
        Answer::Response(protocol, result)
    }

    async fn dispatch(&self, caller: &Caller, operation: Operation) -> Result<String, AwsError> {
        let principal = &caller.key.principal;
        if self
            .faults
            .read(|faults| faults.disabled_regions.contains(&caller.region))
        {
            return Err(disabled_region(&operation, principal));
        }
        match operation {
            Operation::Sts { action, form } => self.sts.handle(caller, &action, &form).await,
            Operation::CloudTrail { name, body } if name == "LookupEvents" => {
                self.authorize(principal, "cloudtrail:LookupEvents")?;
                let now = self.clock.now();
                self.cloudtrail
                    .lookup_events(&principal.account_id, &caller.region, body, now)
                    .await
            }
            Operation::Athena { name, body } => {
                let action = format!("athena:{name}");
                self.authorize(principal, &action)?;
                // The reader roles of other accounts may not query: only the hub's account may.
                if principal.account_id != self.sts.hub_account_id {
                    return Err(denied(principal, &action, Denial::NotAllowed));
                }
                let account = &principal.account_id;
                let answer = self.athena.handle(account, &caller.region, &name, body);
                answer.await.map(|answer| answer.to_string())
            }
            Operation::Logs { name, body } => {
                self.authorize(principal, &format!("logs:{name}"))?;
                let (account, now) = (&principal.account_id, self.clock.now());
                let answer = self.logs.handle(account, &caller.region, &name, body, now);
                answer.await
            }
            Operation::Organizations { name, body } => {
                self.authorize(principal, &format!("organizations:{name}"))?;
                let answer = self.organizations.handle(principal, &name, &body);
                answer.map(|answer| answer.to_string())
            }
            Operation::ListRegions { body } => {
                self.authorize(principal, "account:ListRegions")
                    .map_err(|error| error.with_status(403))?;
                let disabled = self.faults.read(|faults| faults.disabled_regions.clone());
                let answer = self.account_api.list_regions(&body, &disabled);
                answer.map(|answer| answer.to_string())
            }
            Operation::CloudTrail { name, body } => {
                self.authorize(principal, &format!("cloudtrail:{name}"))?;
                let place = (&*principal.account_id, &*caller.region);
                self.trails.handle(place, &name, body, self.clock.now())
            }
        }
    }

    /// Whether the caller's account still lets it read, and anyone may do this.
    fn authorize(&self, principal: &Principal, action: &str) -> Result<(), AwsError> {
        let denial = self.faults.read(|faults| {
            let account = faults.denied_accounts.get(&principal.account_id).copied();
            account.or_else(|| faults.denied_actions.get(action).copied())
        });
        denial.map_or(Ok(()), |denial| Err(denied(principal, action, denial)))
    }
}

fn denied(principal: &Principal, action: &str, denial: Denial) -> AwsError {
    let why = match denial {
        Denial::NotAllowed => {
            format!("because no identity-based policy allows the {action} action")
        }
        Denial::ServiceControlPolicy => {
            "with an explicit deny in a service control policy".to_owned()
        }
    };
    let arn = &principal.arn;
    let message = format!("User: {arn} is not authorized to perform: {action} {why}");
    AwsError::new("AccessDeniedException", message)
}

fn is_throttle(error: &AwsError) -> bool {
    matches!(
        error.code,
        "ThrottlingException" | "Throttling" | "TooManyRequestsException"
    )
}

fn disabled_region(operation: &Operation, principal: &Principal) -> AwsError {
    match operation.protocol() {
        Protocol::Json | Protocol::RestJson => AwsError::new(
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        Protocol::Query => {
            let message = format!(
                "STS is not activated in this region for account:{}. Your account administrator can \
                 activate STS in this region using the IAM Console.",
                principal.account_id
            );
            AwsError::new("RegionDisabledException", message).with_status(403)
        }
    }
}

//! Who calls: users, roles and their sessions, and the `userIdentity` that a record shows of them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::dice::Dice;

/// An IAM user with a long-lived key.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub account_id: String,
    pub name: String,
    pub id: String,
    pub access_key_id: String,
}

impl User {
    pub(super) fn new(dice: &mut Dice, account_id: &str, name: &str) -> Self {
        Self {
            account_id: account_id.into(),
            name: name.into(),
            id: dice.unique_id("AIDA", account_id),
            access_key_id: dice.unique_id("AKIA", account_id),
        }
    }

    pub(super) fn arn(&self) -> String {
        format!("arn:aws:iam::{}:user/{}", self.account_id, self.name)
    }
}

/// An IAM role.
#[derive(Debug, Clone)]
pub(super) struct Role {
    pub account_id: String,
    /// `/`, or with further parts such as `/ci/`.
    pub path: String,
    pub name: String,
    pub id: String,
}

impl Role {
    pub(super) fn new(dice: &mut Dice, account_id: &str, path: &str, name: &str) -> Self {
        Self {
            account_id: account_id.into(),
            path: path.into(),
            name: name.into(),
            id: dice.unique_id("AROA", account_id),
        }
    }

    pub(super) fn arn(&self) -> String {
        format!(
            "arn:aws:iam::{}:role{}{}",
            self.account_id, self.path, self.name
        )
    }

    /// The ARN of a session, in which the role's path is dropped.
    pub(super) fn session_arn(&self, session_name: &str) -> String {
        format!(
            "arn:aws:sts::{}:assumed-role/{}/{session_name}",
            self.account_id, self.name
        )
    }
}

/// A session of a role.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub role: Role,
    pub name: String,
    pub access_key_id: String,
    /// When it was issued, in epoch seconds.
    pub created: i64,
    pub mfa: bool,
    pub source_identity: Option<String>,
    pub origin: Issuer,
}

/// What a session was issued for.
#[derive(Debug, Clone)]
pub(super) enum Issuer {
    /// Somebody called STS.
    Caller,
    /// An EC2 instance, through its metadata service.
    Ec2,
    /// An OpenID Connect provider, with the subject of its token.
    OpenId {
        provider_arn: String,
        subject: String,
    },
}

/// Whence a call is made.
#[derive(Debug, Clone)]
pub(super) struct From {
    pub ip: String,
    pub agent: String,
}

impl From {
    pub(super) fn new(ip: impl Into<String>, agent: impl Into<String>) -> Self {
        Self {
            ip: ip.into(),
            agent: agent.into(),
        }
    }
}

/// Somebody who is about to call an API.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// The `userIdentity` of the records.
    pub identity: Value,
    pub account_id: String,
    pub from: From,
    /// In the console every request comes with a key of its own.
    pub console: bool,
}

impl Caller {
    /// A user with the long-lived key.
    pub(super) fn user(user: &User, from: From) -> Self {
        Self::of(
            &user.account_id,
            from,
            json!({
                "type": "IAMUser", "principalId": user.id, "arn": user.arn(),
                "accountId": user.account_id, "accessKeyId": user.access_key_id,
                "userName": user.name,
            }),
        )
    }

    /// A user with the credentials of a session (`GetSessionToken`, or the console).
    pub(super) fn user_session(
        user: &User,
        access_key_id: &str,
        created: i64,
        mfa: bool,
        from: From,
    ) -> Self {
        let mut caller = Self::user(user, from);
        caller.identity["accessKeyId"] = access_key_id.into();
        caller.identity["sessionContext"] = json!({"attributes": attributes(created, mfa)});
        caller
    }

    /// A session of a role.
    pub(super) fn session(session: &Session, from: From) -> Self {
        let role = &session.role;
        let mut context = json!({
            "sessionIssuer": {
                "type": "Role", "principalId": role.id, "arn": role.arn(),
                "accountId": role.account_id, "userName": role.name,
            },
            "attributes": attributes(session.created, session.mfa),
        });
        match &session.origin {
            Issuer::Caller => {}
            Issuer::Ec2 => context["ec2RoleDelivery"] = "2.0".into(),
            Issuer::OpenId {
                provider_arn,
                subject,
            } => {
                context["webIdFederationData"] = json!({
                    "federatedProvider": provider_arn,
                    "attributes": {"sub": subject, "aud": "sts.amazonaws.com"},
                });
            }
        }
        if let Some(source_identity) = &session.source_identity {
            context["sourceIdentity"] = source_identity.as_str().into();
        }
        Self::of(
            &role.account_id,
            from,
            json!({
                "type": "AssumedRole", "principalId": format!("{}:{}", role.id, session.name),
                "arn": role.session_arn(&session.name), "accountId": role.account_id,
                "accessKeyId": session.access_key_id, "sessionContext": context,
            }),
        )
    }

    /// An AWS service acting for itself in an account.
    pub(super) fn service(account_id: &str, service: &str) -> Self {
        Self::of(
            account_id,
            From::new(service, service),
            json!({"type": "AWSService", "invokedBy": service}),
        )
    }

    /// The root user in the console.
    pub(super) fn root(account_id: &str, created: i64, from: From) -> Self {
        Self {
            console: true,
            ..Self::of(
                account_id,
                from,
                json!({
                    "type": "Root", "principalId": account_id,
                    "arn": format!("arn:aws:iam::{account_id}:root"), "accountId": account_id,
                    "accessKeyId": "", "sessionContext": {"attributes": attributes(created, true)},
                }),
            )
        }
    }

    /// What `GetFederationToken` makes of a user.
    pub(super) fn federated(
        user: &User,
        name: &str,
        access_key_id: &str,
        created: i64,
        from: From,
    ) -> Self {
        let account_id = &user.account_id;
        Self::of(
            account_id,
            from,
            json!({
                "type": "FederatedUser", "principalId": format!("{account_id}:{name}"),
                "arn": format!("arn:aws:sts::{account_id}:federated-user/{name}"),
                "accountId": account_id, "accessKeyId": access_key_id,
                "sessionContext": {
                    "sessionIssuer": {
                        "type": "IAMUser", "principalId": user.id, "arn": user.arn(),
                        "accountId": account_id, "userName": user.name,
                    },
                    "attributes": attributes(created, false),
                },
            }),
        )
    }

    /// A caller with an identity of another kind.
    pub(super) fn of(account_id: &str, from: From, identity: Value) -> Self {
        Self {
            identity,
            account_id: account_id.into(),
            from,
            console: false,
        }
    }

    /// The same identity in the console: a fresh key for every request.
    pub(super) fn in_console(mut self) -> Self {
        self.console = true;
        self
    }

    /// A service that goes on with the caller's rights, as Secrets Manager does to decrypt.
    pub(super) fn through(&self, service: &str) -> Self {
        let mut caller = self.clone();
        caller.identity["invokedBy"] = service.into();
        caller.from = From::new(service, service);
        caller
    }

    /// This caller as another account's records show it.
    pub(super) fn seen_from_outside(&self) -> Value {
        json!({
            "type": "AWSAccount", "principalId": self.identity["principalId"],
            "accountId": self.account_id,
        })
    }

    /// Whether an AWS service makes the calls, over no client's connection.
    pub(super) fn is_service(&self) -> bool {
        self.identity.get("invokedBy").is_some()
    }

    /// What error messages call it.
    pub(super) fn arn(&self) -> &str {
        let member = |name: &str| self.identity.get(name).and_then(Value::as_str);
        member("arn").or(member("invokedBy")).unwrap_or("anonymous")
    }
}

fn attributes(created: i64, mfa: bool) -> Value {
    json!({"creationDate": iso(created), "mfaAuthenticated": mfa.to_string()})
}

/// Epoch seconds as CloudTrail writes them.
pub(super) fn iso(time: i64) -> String {
    timestamp(time).to_string()
}

/// Epoch seconds as a time.
pub(super) fn timestamp(time: i64) -> Timestamp {
    Timestamp::from_second(time).expect("within a few years of the spec's now")
}

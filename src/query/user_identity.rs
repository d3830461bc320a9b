//! Who made a call, as CloudTrail recorded it: every member of `userIdentity`.

use serde::{Deserialize, Serialize};

use std::collections::BTreeMap;

/// `userIdentity`. Members are absent (`None`) where the record lacks them; CloudTrail also writes
/// some as `""`, which stays `Some("")`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UserIdentity {
    /// `Root`, `IAMUser`, `AssumedRole`, `Role`, `FederatedUser`, `AWSAccount`, `AWSService`, …;
    /// absent in some service events.
    pub kind: Option<String>,
    /// The friendly name of a user; absent for role sessions.
    pub user_name: Option<String>,
    /// The unique id, for a role session `AROA…:session`.
    pub principal_id: Option<String>,
    /// The ARN of the user or of the session (which drops the role's path).
    pub arn: Option<String>,
    /// The account that owns the identity.
    pub account_id: Option<String>,
    /// The key that signed the call.
    pub access_key_id: Option<String>,
    /// The AWS service that made the call for the identity.
    pub invoked_by: Option<String>,
    /// `invokedByDelegate.accountId`.
    pub invoked_by_delegate_account_id: Option<String>,
    /// The credential, for identities that have no access key id.
    pub credential_id: Option<String>,
    /// The provider, for SAML and web identity users.
    pub identity_provider: Option<String>,
    /// `onBehalfOf`: the Identity Center user.
    pub on_behalf_of: Option<OnBehalfOf>,
    /// `inScopeOf`: the AWS resource on whose behalf a service used the credentials.
    pub in_scope_of: Option<InScopeOf>,
    /// `sessionContext`: present where temporary credentials were used.
    pub session_context: Option<SessionContext>,
}

/// `onBehalfOf`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OnBehalfOf {
    /// The Identity Center user's id.
    pub user_id: Option<String>,
    /// The identity store's ARN.
    pub identity_store_arn: Option<String>,
}

/// `inScopeOf`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InScopeOf {
    /// The invoking resource.
    pub source_arn: Option<String>,
    /// Its account.
    pub source_account: Option<String>,
    /// The kind of issuer.
    pub issuer_type: Option<String>,
    /// To what the credentials were issued.
    pub credentials_issued_to: Option<String>,
}

/// `sessionContext`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SessionContext {
    /// The role (or user) whose credentials the session uses.
    pub session_issuer: Option<SessionIssuer>,
    /// Web identity federation, if that is where the session came from.
    pub web_id_federation_data: Option<WebIdFederationData>,
    /// When the session's credentials were issued, as text.
    pub creation_date: Option<String>,
    /// Whether multi-factor authentication was used.
    pub mfa_authenticated: Option<bool>,
    /// The source identity set when the role was assumed.
    pub source_identity: Option<String>,
    /// The version of the instance metadata service that delivered the credentials.
    pub ec2_role_delivery: Option<String>,
    /// `assumedRoot`: whether the session is a privileged one from `AssumeRoot`.
    pub assumed_root: Option<bool>,
    /// The console sign-in session.
    pub sign_in_session_arn: Option<String>,
}

/// `sessionContext.sessionIssuer`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SessionIssuer {
    /// `Role`, `IAMUser` or `Root`.
    pub kind: Option<String>,
    /// The friendly name of the role or user.
    pub user_name: Option<String>,
    /// Its unique id.
    pub principal_id: Option<String>,
    /// Its ARN, with its path.
    pub arn: Option<String>,
    /// The account that owns it.
    pub account_id: Option<String>,
}

/// `sessionContext.webIdFederationData`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WebIdFederationData {
    /// The identity provider.
    pub federated_provider: Option<String>,
    /// The provider's attributes.
    pub attributes: BTreeMap<String, String>,
}

impl UserIdentity {
    /// The issuer of the session, if there is one.
    #[must_use]
    pub fn session_issuer(&self) -> Option<&SessionIssuer> {
        self.session_context.as_ref()?.session_issuer.as_ref()
    }
}

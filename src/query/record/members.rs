//! The record's members as they are on the wire, and their way into the domain's types.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::{Flag, List, Object, Text, Texts};
use crate::query::event;
use crate::query::user_identity as domain;

/// The top level of a record. JSON members stay the text that they are.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Record<'a> {
    pub(super) event_version: Text,
    #[serde(rename = "eventID")]
    pub(super) event_id: Text,
    pub(super) event_time: Text,
    pub(super) event_source: Text,
    pub(super) event_name: Text,
    pub(super) event_type: Text,
    pub(super) event_category: Text,
    pub(super) aws_region: Text,
    pub(super) recipient_account_id: Text,
    #[serde(rename = "sourceIPAddress")]
    pub(super) source_ip_address: Text,
    pub(super) user_agent: Text,
    pub(super) error_code: Text,
    pub(super) error_message: Text,
    #[serde(rename = "requestID")]
    pub(super) request_id: Text,
    pub(super) api_version: Text,
    pub(super) read_only: Flag,
    pub(super) management_event: Flag,
    #[serde(rename = "sharedEventID")]
    pub(super) shared_event_id: Text,
    pub(super) vpc_endpoint_id: Text,
    pub(super) vpc_endpoint_account_id: Text,
    pub(super) session_credential_from_console: Flag,
    pub(super) tls_details: Object<TlsDetails>,
    pub(super) addendum: Object<Addendum>,
    pub(super) user_identity: Object<UserIdentity>,
    pub(super) resources: List<Resource>,
    #[serde(borrow)]
    pub(super) request_parameters: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) response_elements: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) additional_event_data: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) service_event_details: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) edge_device_details: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) event_context: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TlsDetails {
    tls_version: Text,
    cipher_suite: Text,
    client_provided_host_header: Text,
    key_exchange: Text,
}

impl From<TlsDetails> for event::TlsDetails {
    fn from(it: TlsDetails) -> Self {
        Self {
            tls_version: it.tls_version.0,
            cipher_suite: it.cipher_suite.0,
            client_provided_host_header: it.client_provided_host_header.0,
            key_exchange: it.key_exchange.0,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Addendum {
    reason: Text,
    updated_fields: Text,
    #[serde(rename = "originalRequestID")]
    original_request_id: Text,
    #[serde(rename = "originalEventID")]
    original_event_id: Text,
}

impl From<Addendum> for event::Addendum {
    fn from(it: Addendum) -> Self {
        Self {
            reason: it.reason.0,
            updated_fields: it.updated_fields.0,
            original_request_id: it.original_request_id.0,
            original_event_id: it.original_event_id.0,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Resource {
    #[serde(rename = "ARN")]
    arn: Text,
    // Some services write it so.
    #[serde(rename = "arn")]
    small_arn: Text,
    #[serde(rename = "ARNPrefix")]
    pub(super) arn_prefix: Text,
    account_id: Text,
    #[serde(rename = "type")]
    kind: Text,
}

impl From<Resource> for event::Resource {
    fn from(it: Resource) -> Self {
        Self {
            arn: it.arn.0.or(it.small_arn.0),
            account_id: it.account_id.0,
            resource_type: it.kind.0,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct UserIdentity {
    #[serde(rename = "type")]
    kind: Text,
    user_name: Text,
    principal_id: Text,
    arn: Text,
    account_id: Text,
    access_key_id: Text,
    invoked_by: Text,
    invoked_by_delegate: Object<Delegate>,
    credential_id: Text,
    identity_provider: Text,
    on_behalf_of: Object<OnBehalfOf>,
    in_scope_of: Object<InScopeOf>,
    session_context: Object<SessionContext>,
}

impl From<UserIdentity> for domain::UserIdentity {
    fn from(it: UserIdentity) -> Self {
        Self {
            kind: it.kind.0,
            user_name: it.user_name.0,
            principal_id: it.principal_id.0,
            arn: it.arn.0,
            account_id: it.account_id.0,
            access_key_id: it.access_key_id.0,
            invoked_by: it.invoked_by.0,
            invoked_by_delegate_account_id: it.invoked_by_delegate.0.and_then(|d| d.account_id.0),
            credential_id: it.credential_id.0,
            identity_provider: it.identity_provider.0,
            on_behalf_of: it.on_behalf_of.into_domain(),
            in_scope_of: it.in_scope_of.into_domain(),
            session_context: it.session_context.into_domain(),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Delegate {
    account_id: Text,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OnBehalfOf {
    user_id: Text,
    identity_store_arn: Text,
}

impl From<OnBehalfOf> for domain::OnBehalfOf {
    fn from(it: OnBehalfOf) -> Self {
        Self {
            user_id: it.user_id.0,
            identity_store_arn: it.identity_store_arn.0,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct InScopeOf {
    source_arn: Text,
    source_account: Text,
    issuer_type: Text,
    credentials_issued_to: Text,
}

impl From<InScopeOf> for domain::InScopeOf {
    fn from(it: InScopeOf) -> Self {
        Self {
            source_arn: it.source_arn.0,
            source_account: it.source_account.0,
            issuer_type: it.issuer_type.0,
            credentials_issued_to: it.credentials_issued_to.0,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SessionContext {
    session_issuer: Object<SessionIssuer>,
    web_id_federation_data: Object<WebIdFederationData>,
    attributes: Object<SessionAttributes>,
    source_identity: Text,
    ec2_role_delivery: Text,
    assumed_root: Flag,
    sign_in_session_arn: Text,
}

impl From<SessionContext> for domain::SessionContext {
    fn from(it: SessionContext) -> Self {
        let attributes = it.attributes.0.unwrap_or_default();
        Self {
            session_issuer: it.session_issuer.into_domain(),
            web_id_federation_data: it.web_id_federation_data.into_domain(),
            creation_date: attributes.creation_date.0,
            mfa_authenticated: attributes.mfa_authenticated.0,
            source_identity: it.source_identity.0,
            ec2_role_delivery: it.ec2_role_delivery.0,
            assumed_root: it.assumed_root.0,
            sign_in_session_arn: it.sign_in_session_arn.0,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SessionAttributes {
    creation_date: Text,
    mfa_authenticated: Flag,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SessionIssuer {
    #[serde(rename = "type")]
    kind: Text,
    user_name: Text,
    principal_id: Text,
    arn: Text,
    account_id: Text,
}

impl From<SessionIssuer> for domain::SessionIssuer {
    fn from(it: SessionIssuer) -> Self {
        Self {
            kind: it.kind.0,
            user_name: it.user_name.0,
            principal_id: it.principal_id.0,
            arn: it.arn.0,
            account_id: it.account_id.0,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WebIdFederationData {
    federated_provider: Text,
    attributes: Texts,
}

impl From<WebIdFederationData> for domain::WebIdFederationData {
    fn from(it: WebIdFederationData) -> Self {
        Self {
            federated_provider: it.federated_provider.0,
            attributes: it.attributes.into(),
        }
    }
}

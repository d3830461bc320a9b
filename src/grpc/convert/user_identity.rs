//! `userIdentity`, domain → proto, member by member.

use crate::grpc::pb;
use crate::query::user_identity::{
    InScopeOf, OnBehalfOf, SessionContext, SessionIssuer, UserIdentity, WebIdFederationData,
};

/// Writes who made a call.
#[must_use]
pub fn to_wire(who: UserIdentity) -> pb::UserIdentity {
    // Taken apart by name, here and below, so that a new member cannot be forgotten.
    let UserIdentity {
        kind,
        user_name,
        principal_id,
        arn,
        account_id,
        access_key_id,
        invoked_by,
        invoked_by_delegate_account_id,
        credential_id,
        identity_provider,
        on_behalf_of,
        in_scope_of,
        session_context,
    } = who;
    pb::UserIdentity {
        r#type: kind,
        user_name,
        principal_id,
        arn,
        account_id,
        access_key_id,
        invoked_by,
        invoked_by_delegate_account_id,
        credential_id,
        identity_provider,
        on_behalf_of: on_behalf_of.map(
            |OnBehalfOf {
                 user_id,
                 identity_store_arn,
             }| pb::OnBehalfOf {
                user_id,
                identity_store_arn,
            },
        ),
        in_scope_of: in_scope_of.map(
            |InScopeOf {
                 source_arn,
                 source_account,
                 issuer_type,
                 credentials_issued_to,
             }| pb::InScopeOf {
                source_arn,
                source_account,
                issuer_type,
                credentials_issued_to,
            },
        ),
        session_context: session_context.map(session),
    }
}

fn session(context: SessionContext) -> pb::SessionContext {
    let SessionContext {
        session_issuer,
        web_id_federation_data,
        creation_date,
        mfa_authenticated,
        source_identity,
        ec2_role_delivery,
        assumed_root,
        sign_in_session_arn,
    } = context;
    pb::SessionContext {
        session_issuer: session_issuer.map(
            |SessionIssuer {
                 kind,
                 user_name,
                 principal_id,
                 arn,
                 account_id,
             }| pb::SessionIssuer {
                r#type: kind,
                user_name,
                principal_id,
                arn,
                account_id,
            },
        ),
        web_id_federation_data: web_id_federation_data.map(
            |WebIdFederationData {
                 federated_provider,
                 attributes,
             }| pb::WebIdFederationData {
                federated_provider,
                attributes,
            },
        ),
        creation_date,
        mfa_authenticated,
        source_identity,
        ec2_role_delivery,
        assumed_root,
        sign_in_session_arn,
    }
}

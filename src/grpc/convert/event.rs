//! One event, domain → proto.

use super::{backend, category, count, event_time, identity, timestamp, user_identity};
use crate::grpc::pb;
use crate::query::event::{
    Addendum, Event, EventId, IssuedSession, Provenance, RecordOrigin, Resource, Target, TlsDetails,
};

/// Writes an event with the token that continues the search after it.
#[must_use]
pub fn to_wire(event: Event, resume_token: &str) -> pb::Event {
    // Taken apart by name, so that a new field cannot be forgotten.
    let Event {
        key,
        event_version,
        event_source,
        event_name,
        event_type,
        category: event_category,
        aws_region,
        recipient_account_id,
        source_ip_address,
        user_agent,
        error_code,
        error_message,
        request_id,
        api_version,
        read_only,
        management_event,
        shared_event_id,
        vpc_endpoint_id,
        vpc_endpoint_account_id,
        session_credential_from_console,
        tls_details,
        addendum,
        user_identity: who,
        request_parameters_json,
        response_elements_json,
        additional_event_data_json,
        service_event_details_json,
        edge_device_details_json,
        event_context_json,
        resources,
        targets,
        targets_omitted,
        issued_session,
        credentials_masked,
        matched_identities,
        provenance,
        record,
        late,
    } = event;
    let event_category = event_category.map_or(pb::EventCategory::Unspecified, category);
    let (record_json, origin) = match record {
        Some(record) => (Some(record.json), Some(record.origin)),
        None => (None, None),
    };
    let (record_origin, record_sha256, unseen_fields) = match origin {
        None => (pb::RecordOrigin::Unspecified, None, Vec::new()),
        Some(RecordOrigin::Delivered { sha256 }) => {
            (pb::RecordOrigin::Delivered, Some(sha256), Vec::new())
        }
        Some(RecordOrigin::Rebuilt { unseen_fields }) => {
            (pb::RecordOrigin::Rebuilt, None, unseen_fields)
        }
    };
    pb::Event {
        event_id: event_id(&key.id),
        event_time: Some(event_time(key.time)),
        event_version,
        event_source,
        event_name,
        event_type,
        event_category: event_category.into(),
        aws_region,
        recipient_account_id: recipient_account_id.map(|id| id.to_string()),
        source_ip_address,
        user_agent,
        error_code,
        error_message,
        request_id,
        api_version,
        read_only,
        management_event,
        shared_event_id,
        vpc_endpoint_id,
        vpc_endpoint_account_id,
        session_credential_from_console,
        tls_details: tls_details.map(tls),
        addendum: addendum.map(completes),
        user_identity: who.map(user_identity::to_wire),
        request_parameters_json,
        response_elements_json,
        additional_event_data_json,
        service_event_details_json,
        edge_device_details_json,
        event_context_json,
        resources: resources.into_iter().map(resource).collect(),
        targets: targets.into_iter().map(target).collect(),
        targets_omitted: count(targets_omitted),
        issued_session: issued_session.map(issued),
        credentials_masked,
        matched_identities: matched_identities.iter().map(identity::to_wire).collect(),
        provenance: Some(read_from(provenance)),
        resume_token: resume_token.to_owned(),
        record_json,
        record_origin: record_origin.into(),
        record_sha256,
        unseen_fields,
        late,
    }
}

fn event_id(id: &EventId) -> String {
    match id {
        EventId::Recorded(id) => id.to_string(),
        EventId::Made { digest, ordinal } => format!("sha256:{digest}-{ordinal}"),
    }
}

fn tls(details: TlsDetails) -> pb::TlsDetails {
    let TlsDetails {
        tls_version,
        cipher_suite,
        client_provided_host_header,
        key_exchange,
    } = details;
    pb::TlsDetails {
        tls_version,
        cipher_suite,
        client_provided_host_header,
        key_exchange,
    }
}

fn completes(addendum: Addendum) -> pb::Addendum {
    let Addendum {
        reason,
        updated_fields,
        original_request_id,
        original_event_id,
    } = addendum;
    pb::Addendum {
        reason,
        updated_fields,
        original_request_id,
        original_event_id,
    }
}

fn resource(resource: Resource) -> pb::Resource {
    let Resource {
        arn,
        account_id,
        resource_type,
    } = resource;
    pb::Resource {
        arn,
        account_id,
        r#type: resource_type,
    }
}

fn target(target: Target) -> pb::Target {
    let Target { origin, value } = target;
    pb::Target { origin, value }
}

fn issued(session: IssuedSession) -> pb::IssuedSession {
    let IssuedSession {
        access_key_id,
        principal_id,
        role_arn,
        session_name,
        expire_time,
    } = session;
    pb::IssuedSession {
        access_key_id,
        principal_id,
        role_arn,
        session_name,
        expire_time: expire_time.map(timestamp),
    }
}

fn read_from(provenance: Provenance) -> pb::Provenance {
    let Provenance {
        backend: kind,
        account_id,
        account_name,
        region,
        archive,
        log_group,
        aws_request_id,
        log_file,
    } = provenance;
    pb::Provenance {
        backend: backend(kind).into(),
        account_id: account_id.to_string(),
        account_name: account_name.as_deref().map(str::to_owned),
        region: region.map(|region| region.to_string()),
        archive: archive.as_deref().map(str::to_owned),
        log_group: log_group.as_deref().map(str::to_owned),
        aws_request_id: aws_request_id.as_deref().map(str::to_owned),
        log_file,
    }
}

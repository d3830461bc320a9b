//! Requests, as the audit log repeats them.

use prost_reflect::SerializeOptions;
use serde_json::Value;

use super::discretion::Named;
use super::json;
use crate::audit::Asked;

/// What a request asks, in the API's own JSON and with its fields' own names. Of a resume token it is
/// said only that there was one: it repeats what the request says beside it.
pub fn asked<M: Named>(request: &M) -> Asked {
    let options = SerializeOptions::new().use_proto_field_name(true);
    let mut value = match json::serialize(M::NAME, request, &options, serde_json::value::Serializer)
    {
        Ok(value) => value,
        Err(error) => Value::String(format!("cannot be shown: {error}")),
    };
    hide_token(&mut value);
    if let Some(search) = value.get_mut("search") {
        hide_token(search);
    }
    Asked::of(value)
}

fn hide_token(request: &mut Value) {
    if let Some(members) = request.as_object_mut()
        && members.remove("resume_token").is_some()
    {
        members.insert("resumed".to_owned(), Value::Bool(true));
    }
}

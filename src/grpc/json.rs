//! Messages of the API as their descriptors show them, and as JSON.

use std::io;
use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde::Serializer;

use super::pb::FILE_DESCRIPTOR_SET;

static DESCRIPTORS: LazyLock<Option<DescriptorPool>> =
    LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).ok());

/// Writes a message of the API, named without its package, in proto3's JSON.
pub fn serialize<M: Message, S: Serializer>(
    name: &str,
    message: &M,
    options: &SerializeOptions,
    serializer: S,
) -> io::Result<S::Ok> {
    let written = dynamic(name, message)?.serialize_with_options(serializer, options);
    written.map_err(|error| io::Error::other(error.to_string()))
}

/// A message of the API, named without its package, with its fields as its descriptor names them.
pub fn dynamic<M: Message>(name: &str, message: &M) -> io::Result<DynamicMessage> {
    let descriptor = DESCRIPTORS
        .as_ref()
        .and_then(|pool| pool.get_message_by_name(&format!("identitytrail.v1.{name}")))
        .ok_or_else(|| {
            io::Error::other("the API's own descriptors cannot be read: a defect of this build")
        })?;
    DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).map_err(io::Error::other)
}

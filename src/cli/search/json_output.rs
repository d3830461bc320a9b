//! JSON: messages as the API's own JSON.

use std::io::{self, Write};
use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};

use super::Writer;
use crate::grpc::pb::{FILE_DESCRIPTOR_SET, SearchEventsResponse};

static DESCRIPTORS: LazyLock<Option<DescriptorPool>> =
    LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).ok());

/// A message of the API, named without its package, in proto3's JSON: what grpcurl prints, without
/// its line breaks.
pub fn to_json<M: Message>(name: &str, message: &M) -> io::Result<String> {
    let descriptor = DESCRIPTORS
        .as_ref()
        .and_then(|pool| pool.get_message_by_name(&format!("identitytrail.v1.{name}")))
        .ok_or_else(|| {
            io::Error::other("the API's own descriptors cannot be read: a defect of this build")
        })?;
    let message = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
        .map_err(io::Error::other)?;
    let mut json = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut json);
    message
        .serialize_with_options(&mut serializer, &SerializeOptions::new())
        .map_err(io::Error::other)?;
    String::from_utf8(json).map_err(io::Error::other)
}

/// Writes every message of the stream, one a line.
pub struct JsonLines {
    out: io::BufWriter<io::Stdout>,
}

impl JsonLines {
    /// To standard output.
    pub fn new() -> Self {
        Self {
            out: io::BufWriter::new(io::stdout()),
        }
    }
}

impl Writer for JsonLines {
    fn write(&mut self, response: &SearchEventsResponse) -> io::Result<()> {
        let json = to_json("SearchEventsResponse", response)?;
        writeln!(self.out, "{json}")
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn takes_words(&self) -> bool {
        false
    }
}

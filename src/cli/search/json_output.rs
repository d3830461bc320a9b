//! JSON Lines: every message of the stream, as the API's own JSON.

use std::io::{self, Write};

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};

use super::Writer;
use crate::grpc::pb::{FILE_DESCRIPTOR_SET, SearchEventsResponse};

/// Writes one message a line, in proto3's JSON: what grpcurl prints, without its line breaks.
pub struct JsonLines {
    descriptor: Option<MessageDescriptor>,
    out: io::BufWriter<io::Stdout>,
}

impl JsonLines {
    /// To standard output.
    pub fn new() -> Self {
        let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).ok();
        Self {
            descriptor: pool
                .and_then(|pool| pool.get_message_by_name("identitytrail.v1.SearchEventsResponse")),
            out: io::BufWriter::new(io::stdout()),
        }
    }

    /// A message as JSON.
    pub fn to_json(&self, response: &SearchEventsResponse) -> io::Result<String> {
        let descriptor = self.descriptor.clone().ok_or_else(|| {
            io::Error::other("the API's own descriptors cannot be read: a defect of this build")
        })?;
        let message = DynamicMessage::decode(descriptor, response.encode_to_vec().as_slice())
            .map_err(io::Error::other)?;
        let mut json = Vec::new();
        let mut serializer = serde_json::Serializer::new(&mut json);
        message
            .serialize_with_options(&mut serializer, &SerializeOptions::new())
            .map_err(io::Error::other)?;
        String::from_utf8(json).map_err(io::Error::other)
    }
}

impl Writer for JsonLines {
    fn write(&mut self, response: &SearchEventsResponse) -> io::Result<()> {
        let json = self.to_json(response)?;
        writeln!(self.out, "{json}")
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn takes_words(&self) -> bool {
        false
    }
}

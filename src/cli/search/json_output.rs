//! JSON: messages as the API's own JSON.

use std::io::{self, Write};

use prost::Message;
use prost_reflect::SerializeOptions;

use super::Writer;
use crate::grpc::json;
use crate::grpc::pb::SearchEventsResponse;

/// A message of the API, named without its package, in proto3's JSON: what grpcurl prints, without
/// its line breaks.
pub fn to_json<M: Message>(name: &str, message: &M) -> io::Result<String> {
    let mut json = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut json);
    json::serialize(name, message, &SerializeOptions::new(), &mut serializer)?;
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

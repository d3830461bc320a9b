//! HTTP/2 by hand: frames that no well-meaning client sends.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// RFC 9113's numbers.
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const GOAWAY: u8 = 7;
    pub const CONTINUATION: u8 = 9;
}
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const ENHANCE_YOUR_CALM: u32 = 11;
const CANCEL: u32 = 8;

/// The sending half of a connection.
pub struct Sender(OwnedWriteHalf);

/// The receiving half.
pub struct Receiver(OwnedReadHalf);

/// Connects to `http://ADDRESS` and says what every client says first.
pub async fn connect(endpoint: &str) -> (Sender, Receiver) {
    let address = endpoint.trim_start_matches("http://");
    let (read, write) = TcpStream::connect(address).await.unwrap().into_split();
    let mut sender = Sender(write);
    let hello = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &frame(kind::SETTINGS, 0, 0, &[])[..],
    ];
    sender.send(&hello.concat()).await.unwrap();
    (sender, Receiver(read))
}

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The frame that gives up a call.
pub fn reset(stream: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

/// The headers of a search, uncompressed.
pub fn search_headers() -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (
            ":path",
            "/identitytrail.v1.IdentityTrailService/SearchEvents",
        ),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    fields
        .iter()
        .flat_map(|(name, value)| field(name, value))
        .collect()
}

/// One header field as HPACK writes it without table and Huffman code; neither text has 127 bytes.
pub fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        assert!(text.len() < 127);
        [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
    };
    [vec![0], text(name), text(value)].concat()
}

impl Sender {
    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes).await
    }
}

impl Receiver {
    /// Reads until the server says that the connection ends, and why; none if it just ends.
    pub async fn until_sent_away(mut self) -> Option<u32> {
        loop {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            self.0.read_exact(&mut payload).await.ok()?;
            if head[3] == kind::GOAWAY {
                let code = payload[4..8].try_into().unwrap();
                return Some(u32::from_be_bytes(code));
            }
        }
    }
}

//! The time that a client has to say that it speaks HTTP/2. The server below waits for it without an end,
//! and pings only a connection that has begun.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Sleep;

/// What an HTTP/2 client says first: so many bytes, whatever it wants (RFC 9113, 3.4).
const BYTES: usize = 24;

/// A preface that is waited for.
#[derive(Debug)]
pub(super) struct Preface {
    bytes_left: usize,
    deadline: Pin<Box<Sleep>>,
}

impl Preface {
    /// One that has to be there within `patience` from now.
    pub fn within(patience: Duration) -> Self {
        Self {
            bytes_left: BYTES,
            deadline: Box::pin(tokio::time::sleep(patience)),
        }
    }

    /// Takes note of so many bytes that were read: whether the preface is whole.
    pub fn is_whole_with(&mut self, read: usize) -> bool {
        self.bytes_left = self.bytes_left.saturating_sub(read);
        self.bytes_left == 0
    }

    /// Ready once it is too late, with how reading fails then.
    pub fn poll_too_late(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        ready!(self.deadline.as_mut().poll(context));
        let silent = "the client sent no HTTP/2 preface in time";
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, silent))
    }
}

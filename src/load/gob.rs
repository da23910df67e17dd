//! Go's `encoding/gob`, as much of it as a stream of one struct needs: messages, definitions of
//! types, and values that are read by them or passed over.
//!
//! The format is described in <https://pkg.go.dev/encoding/gob>. Nothing is allocated by a length
//! that the stream states before as many bytes have come.

mod types;
mod value;

use std::io::{self, Read};

pub(super) use types::{Message, Type, TypeId, Types};
pub(super) use value::Value;

/// A message is no longer. A result holds the body of an answer at the most.
const MAX_MESSAGE: u64 = 128 << 20;

/// Why a stream cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The stream ends within a message.
    #[error("ends within a message")]
    Truncated,
    /// The bytes are not what the format demands.
    #[error("{0}")]
    Malformed(&'static str),
}

/// The messages of a stream, one after the other.
#[derive(Debug)]
pub(super) struct Messages<R> {
    input: R,
    message: Vec<u8>,
}

impl<R: Read> Messages<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, message: Vec::new() }
    }

    /// Reads the next message; false at the end of the stream.
    pub(super) fn advance(&mut self) -> Result<bool, Error> {
        let Some(length) = self.length()? else { return Ok(false) };
        if length > MAX_MESSAGE {
            return Err(Error::Malformed("a message is longer than 128 MiB"));
        }
        self.message.clear();
        // Grows with what is there, not by what was stated.
        let read = self.input.by_ref().take(length).read_to_end(&mut self.message)?;
        if (read as u64) < length { Err(Error::Truncated) } else { Ok(true) }
    }

    /// The message that was read last.
    pub(super) fn current(&self) -> &[u8] {
        &self.message
    }

    fn length(&mut self) -> Result<Option<u64>, Error> {
        let mut bytes = [0; 9];
        if self.input.by_ref().take(1).read(&mut bytes[..1])? == 0 {
            return Ok(None);
        }
        let more = value::bytes_behind(bytes[0])?;
        self.input.read_exact(&mut bytes[1..=more]).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::Truncated,
            _ => Error::Io(error),
        })?;
        Value::new(&bytes[..=more]).uint().map(Some)
    }
}

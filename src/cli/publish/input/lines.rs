//! The messages of a file that has one a line.

use std::io::{self, BufRead, Read};
use std::path::Path;
use std::sync::Arc;

use super::{MAX_BYTES, Message, Origin, within_limit};

/// The lines of a file that are not blank, without their ends; a failure if there are none.
pub(super) struct Lines<R> {
    reader: R,
    path: Arc<Path>,
    line: u64,
    has_message: bool,
    failed: bool,
}

impl<R: BufRead> Lines<R> {
    /// Those of `reader`; `path` is what they are named by.
    pub(super) fn of(reader: R, path: &Path) -> Self {
        Self { reader, path: path.into(), line: 0, has_message: false, failed: false }
    }

    /// The next line with its end, or nothing at the end of the file.
    fn read_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        (&mut self.reader).take(MAX_BYTES + 1).read_until(b'\n', &mut line)?;
        if line.len() as u64 > MAX_BYTES && !line.ends_with(b"\n") {
            self.reader.skip_until(b'\n')?;
        }
        Ok((!line.is_empty()).then_some(line))
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        while !self.failed {
            self.line += 1;
            let payload = match self.read_line() {
                Ok(Some(line)) if line.trim_ascii().is_empty() => continue,
                Ok(Some(line)) => within_limit(without_end(line)),
                Ok(None) if self.has_message => return None,
                Ok(None) => {
                    self.failed = true;
                    let payload = Err(io::Error::other("there is no message in it"));
                    return Some(Message::from_file(&self.path, payload));
                }
                Err(error) => {
                    self.failed = true;
                    Err(error)
                }
            };
            self.has_message = true;
            let origin = Origin::Line(Arc::clone(&self.path), self.line);
            return Some(Message { origin, payload, known: None });
        }
        None
    }
}

fn without_end(mut line: Vec<u8>) -> Vec<u8> {
    if line.ends_with(b"\n") {
        line.pop();
        if line.ends_with(b"\r") {
            line.pop();
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use bytes::Bytes;

    use super::*;

    fn lines(text: &[u8]) -> Vec<(String, Bytes)> {
        Lines::of(text, Path::new("x.ndjson"))
            .map(|message| (message.origin.to_string(), message.payload.unwrap()))
            .collect()
    }

    #[test]
    fn a_line_is_sent_without_its_end_and_blank_lines_are_not() {
        let found = lines(b"{\"a\":1} \n\n \t\r\n{}\r\n\xff\r\r\nlast");
        let expected: [(&str, &[u8]); 4] = [
            ("x.ndjson:1", b"{\"a\":1} "),
            ("x.ndjson:4", b"{}"),
            ("x.ndjson:5", b"\xff\r"),
            ("x.ndjson:6", b"last"),
        ];
        assert_eq!(found.len(), expected.len());
        for ((origin, payload), (expected_origin, expected_payload)) in found.iter().zip(expected) {
            assert_eq!((origin.as_str(), &payload[..]), (expected_origin, expected_payload));
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_named_and_the_next_one_is_read() {
        let long = io::repeat(b'x').take(MAX_BYTES + 5);
        let reader = BufReader::new(long.chain(&b"\nnext\n"[..]));
        let mut lines = Lines::of(reader, Path::new("x"));
        let first = lines.next().unwrap();
        assert_eq!(first.origin.to_string(), "x:1");
        assert!(first.payload.unwrap_err().to_string().starts_with("longer than 67108864 bytes"));
        let second = lines.next().unwrap();
        assert_eq!(second.origin.to_string(), "x:2");
        assert_eq!(second.payload.unwrap(), "next");
        assert!(lines.next().is_none());
    }

    #[test]
    fn a_file_that_cannot_be_read_further_is_named_once() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("disk on fire"))
            }
        }
        let lines = Lines::of(BufReader::new(b"one\n".chain(Broken)), Path::new("x"));
        let found: Vec<_> = lines.map(|message| message.payload.is_ok()).collect();
        assert_eq!(found, [true, false]);
    }

    #[test]
    fn a_file_without_a_message_is_named() {
        for text in ["", "\n", " \r\n\t\n"] {
            let found: Vec<_> = Lines::of(text.as_bytes(), Path::new("x.ndjson")).collect();
            assert_eq!(found.len(), 1, "{text:?}");
            assert_eq!(found[0].origin.to_string(), "x.ndjson");
            let error = found[0].payload.as_ref().unwrap_err();
            assert_eq!(error.to_string(), "there is no message in it");
        }
    }
}

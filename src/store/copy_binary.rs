//! Reads the stream of `COPY … TO STDOUT (FORMAT BINARY)` for rows of a uid and a document.

use std::ops::ControlFlow;

pub(super) const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// The stream is not what Postgres documents; the text says how.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
#[error("malformed copy stream: {0}")]
pub(super) struct Malformed(&'static str);

/// Takes the stream in pieces of any size and hands out whole rows. Of a piece that holds whole
/// rows, which is how Postgres sends them, nothing is copied.
#[derive(Debug, Default)]
pub(super) struct Reader {
    state: State,
    /// The beginning of a header or row whose end has not come yet.
    pending: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Header,
    Rows,
    End,
}

/// What the next bytes hold.
enum Step<'a> {
    /// More bytes are needed before this can be read.
    Partial,
    Header {
        length: usize,
    },
    Row {
        uid: &'a str,
        document: &'a [u8],
        length: usize,
    },
    Trailer {
        length: usize,
    },
}

impl Reader {
    /// Reads on with the next piece. `Break` comes from `row`, which is not called again; what
    /// follows in the piece is lost then.
    pub(super) fn feed(
        &mut self,
        piece: &[u8],
        mut row: impl FnMut(&str, &[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Malformed> {
        if self.pending.is_empty() {
            let (used, flow) = self.read(piece, &mut row)?;
            self.pending.extend_from_slice(&piece[used..]);
            return Ok(flow);
        }
        let mut bytes = std::mem::take(&mut self.pending);
        bytes.extend_from_slice(piece);
        let (used, flow) = self.read(&bytes, &mut row)?;
        bytes.drain(..used);
        self.pending = bytes;
        Ok(flow)
    }

    /// Says whether the stream was whole.
    pub(super) fn finish(self) -> Result<(), Malformed> {
        match self.state {
            State::End => Ok(()),
            State::Header | State::Rows => Err(Malformed("it ends before its trailer")),
        }
    }

    /// Reads what is whole in `bytes` and returns how many bytes that was.
    fn read(
        &mut self,
        bytes: &[u8],
        row: &mut impl FnMut(&str, &[u8]) -> ControlFlow<()>,
    ) -> Result<(usize, ControlFlow<()>), Malformed> {
        let mut used = 0;
        loop {
            let step = match self.state {
                State::Header => header(&bytes[used..])?,
                State::Rows => tuple(&bytes[used..])?,
                State::End if used == bytes.len() => Step::Partial,
                State::End => return Err(Malformed("it goes on after its trailer")),
            };
            match step {
                Step::Partial => return Ok((used, ControlFlow::Continue(()))),
                Step::Header { length } => {
                    self.state = State::Rows;
                    used += length;
                }
                Step::Row { uid, document, length } => {
                    used += length;
                    if row(uid, document).is_break() {
                        return Ok((used, ControlFlow::Break(())));
                    }
                }
                Step::Trailer { length } => {
                    self.state = State::End;
                    used += length;
                }
            }
        }
    }
}

fn header(bytes: &[u8]) -> Result<Step<'_>, Malformed> {
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] != SIGNATURE[..known] {
        return Err(Malformed("it does not begin with the signature"));
    }
    let mut rest = &bytes[known..];
    let (Some(flags), Some(extension)) = (take_u32(&mut rest), take_u32(&mut rest)) else {
        return Ok(Step::Partial);
    };
    // The upper half of the flags marks what a reader must understand to go on.
    if flags >> 16 != 0 {
        return Err(Malformed("its flags are unknown"));
    }
    Ok(match take(&mut rest, extension as usize) {
        Some(_) => Step::Header { length: bytes.len() - rest.len() },
        None => Step::Partial,
    })
}

fn tuple(bytes: &[u8]) -> Result<Step<'_>, Malformed> {
    let mut rest = bytes;
    let Some(fields) = take(&mut rest, 2) else {
        return Ok(Step::Partial);
    };
    match fields {
        [0, 2] => (),
        [0xff, 0xff] => return Ok(Step::Trailer { length: 2 }),
        _ => return Err(Malformed("a row has not two fields")),
    }
    let Some(uid) = field(&mut rest)? else {
        return Ok(Step::Partial);
    };
    let Some(document) = field(&mut rest)? else {
        return Ok(Step::Partial);
    };
    let uid = str::from_utf8(uid).map_err(|_| Malformed("a uid is not UTF-8"))?;
    Ok(Step::Row { uid, document, length: bytes.len() - rest.len() })
}

/// The next field, or `None` when it is not all there yet.
fn field<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
    let Some(length) = take_u32(rest) else {
        return Ok(None);
    };
    // Null is -1; both columns are declared not null, and nothing else is negative.
    if length > i32::MAX as u32 {
        return Err(Malformed("a field is null"));
    }
    Ok(take(rest, length as usize))
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u32::from_be_bytes(*number))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(rows: &[(&str, &[u8])]) -> Vec<u8> {
        let mut stream = SIGNATURE.to_vec();
        // No flags, and an extension of three bytes, which is to be skipped.
        stream.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 3, b'e', b'x', b't']);
        for (uid, document) in rows {
            stream.extend_from_slice(&2_u16.to_be_bytes());
            for field in [uid.as_bytes(), document] {
                stream.extend_from_slice(&u32::try_from(field.len()).unwrap().to_be_bytes());
                stream.extend_from_slice(field);
            }
        }
        stream.extend_from_slice(&[0xff, 0xff]);
        stream
    }

    type Rows = Vec<(String, Vec<u8>)>;

    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Rows, Malformed> {
        let mut reader = Reader::default();
        let mut rows = Vec::new();
        for piece in pieces {
            let _ = reader.feed(piece, |uid, document| {
                rows.push((uid.to_owned(), document.to_vec()));
                ControlFlow::Continue(())
            })?;
        }
        reader.finish().map(|()| rows)
    }

    fn expected(rows: &[(&str, &[u8])]) -> Rows {
        rows.iter().map(|(uid, document)| ((*uid).to_owned(), document.to_vec())).collect()
    }

    const ROWS: [(&str, &[u8]); 3] = [("a", b"{}"), ("bé", b""), ("c", &[0xff; 300])];

    #[test]
    fn a_stream_split_at_any_byte_reads_the_same() {
        let stream = stream(&ROWS);
        for at in 0..=stream.len() {
            let (left, right) = stream.split_at(at);
            assert_eq!(read([left, right]), Ok(expected(&ROWS)), "split at {at}");
        }
        assert_eq!(read(stream.chunks(1)), Ok(expected(&ROWS)));
        assert_eq!(read([&self::stream(&[])[..]]), Ok(Vec::new()));
    }

    #[test]
    fn a_stream_cut_at_any_byte_is_malformed() {
        let stream = stream(&ROWS);
        for at in 0..stream.len() {
            assert!(read([&stream[..at]]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn what_postgres_does_not_send_is_malformed() {
        let whole = stream(&[("a", b"{}")]);
        let damaged = |at: usize, with: &[u8]| {
            let mut damaged = whole.clone();
            damaged[at..at + with.len()].copy_from_slice(with);
            read([&damaged[..]]).unwrap_err()
        };
        let row = SIGNATURE.len() + 11;
        assert_eq!(damaged(0, b"x"), Malformed("it does not begin with the signature"));
        assert_eq!(damaged(SIGNATURE.len(), &[0, 1]), Malformed("its flags are unknown"));
        assert_eq!(damaged(row, &[0, 3]), Malformed("a row has not two fields"));
        assert_eq!(damaged(row, &[0, 0]), Malformed("a row has not two fields"));
        assert_eq!(damaged(row + 2, &[0xff; 4]), Malformed("a field is null"));
        assert_eq!(damaged(row + 6, &[0xff]), Malformed("a uid is not UTF-8"));
        assert_eq!(read([&whole[..], b"x"]), Err(Malformed("it goes on after its trailer")));
    }

    #[test]
    fn nothing_is_handed_out_after_a_break() {
        let stream = stream(&ROWS);
        let mut reader = Reader::default();
        let mut seen = 0;
        let flow = reader.feed(&stream, |_, _| {
            seen += 1;
            ControlFlow::Break(())
        });
        assert_eq!((flow, seen), (Ok(ControlFlow::Break(())), 1));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, valid_header: bool, size in 1..64_usize) {
            let header = if valid_header { stream(&[]) } else { Vec::new() };
            let bytes = [&header[..header.len().saturating_sub(2)], &bytes].concat();
            let _ = read(bytes.chunks(size));
        }
    }
}

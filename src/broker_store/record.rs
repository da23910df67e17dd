//! Records: four bytes with the length, four with the checksum, and the payload.

/// What each file begins with: the version of the format.
pub(super) const VERSION: [u8; 4] = [1, 0, 0, 0];

/// What each record begins with, in bytes.
pub(super) const HEADER: usize = 8;

/// Whether the highest byte of the length is one of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    Plain,
    Typed,
}

/// A whole record of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// With its header.
    pub(super) bytes: &'a [u8],
    /// Its type; 0 where it has none.
    pub(super) kind: u8,
}

impl<'a> Record<'a> {
    /// The record that `data` begins with; None if that is torn, or not one.
    pub(super) fn first(data: &'a [u8], layout: Layout) -> Option<Self> {
        let (word, rest) = data.split_first_chunk()?;
        let (checksum, rest) = rest.split_first_chunk()?;
        let (length, kind) = match layout {
            Layout::Plain => (u32::from_le_bytes(*word), 0),
            Layout::Typed => (u32::from_le_bytes(*word) & 0x00FF_FFFF, word[3]),
        };
        let length = usize::try_from(length).ok().filter(|length| *length > 0)?;
        let payload = rest.get(..length)?;
        let is_whole = crc32fast::hash(payload) == u32::from_le_bytes(*checksum);
        is_whole.then(|| Self { bytes: &data[..HEADER + length], kind })
    }

    pub(super) fn payload(&self) -> &'a [u8] {
        &self.bytes[HEADER..]
    }
}

/// A record of this type, 0 for none, with a payload of less than 16 MiB.
pub(super) fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    let [a, b, c, ..] = payload.len().to_le_bytes();
    let checksum = crc32fast::hash(payload).to_le_bytes();
    [&[a, b, c, kind][..], &checksum, payload].concat()
}

/// The records of a file with types, before the first that is torn.
pub(super) fn typed(data: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut rest = data.get(VERSION.len()..).unwrap_or_default();
    std::iter::from_fn(move || {
        let record = Record::first(rest, Layout::Typed)?;
        rest = &rest[record.bytes.len()..];
        Some(record)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_whole_or_none() {
        let bytes = record(5, b"payload");
        let found = Record::first(&bytes, Layout::Typed).expect("whole");
        assert_eq!((found.payload(), found.kind), (&b"payload"[..], 5));
        for end in 0..bytes.len() {
            assert_eq!(Record::first(&bytes[..end], Layout::Typed), None, "{end} bytes");
        }
        for at in (0..3).chain(4..bytes.len()) {
            let mut torn = bytes.clone();
            torn[at] ^= 0x80;
            assert_eq!(Record::first(&torn, Layout::Typed), None, "byte {at}");
        }
        assert_eq!(Record::first(&bytes, Layout::Plain), None, "the type is part of the length");
        assert_eq!(Record::first(&[0; 64], Layout::Plain), None);
    }
}

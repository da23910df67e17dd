//! Files of messages, `msgs.*.dat`, and the indexes beside them.

use std::path::Path;

use prost::Message as _;

use super::record::{HEADER, Layout, Record, VERSION};

/// A record of an index: sequence, offset, time, length and checksum.
const NAMED: usize = 32;

/// A message in its file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) sequence: u64,
    pub(super) record: &'a [u8],
}

/// Of a `MsgProto` what is needed here.
#[derive(prost::Message)]
struct MsgProto {
    #[prost(uint64, tag = "1")]
    sequence: u64,
}

pub(super) fn is_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("msgs.") && name.ends_with(".dat")
}

/// The whole messages in their order, each sequence once.
///
/// After a loss of power the server goes on behind what its index does not name, torn or whole, and
/// gives its sequences again: of two messages the later is the one that it has confirmed. A message
/// behind a torn one, whose sequence it may have had, was not confirmed. Sequences that are missing
/// where nothing is torn were never there, as in the store of a former cluster.
pub(super) fn whole(data: &[u8]) -> Vec<Message<'_>> {
    let mut kept: Vec<Message<'_>> = Vec::new();
    let mut rest = data.get(VERSION.len()..).unwrap_or_default();
    let mut is_torn = false;
    while !rest.is_empty() {
        let Some(message) = first(rest) else {
            // What follows may be whole again.
            rest = &rest[1..];
            is_torn = true;
            continue;
        };
        rest = &rest[message.record.len()..];
        while kept.pop_if(|last| last.sequence >= message.sequence).is_some() {}
        let is_next = kept.last().is_none_or(|last| last.sequence + 1 == message.sequence);
        if is_next || !is_torn {
            kept.push(message);
            is_torn = false;
        }
    }
    kept
}

fn first(data: &[u8]) -> Option<Message<'_>> {
    let record = Record::first(data, Layout::Plain)?;
    let MsgProto { sequence } = MsgProto::decode(record.payload()).ok()?;
    (sequence > 0).then_some(Message { sequence, record: record.bytes })
}

/// Whether an index names these messages at their places, and nothing else.
pub(super) fn are_named(messages: &[Message<'_>], index: &[u8]) -> bool {
    let named = index.get(VERSION.len()..).unwrap_or_default();
    if named.len() != messages.len() * NAMED {
        return false;
    }
    let mut offset = VERSION.len();
    messages.iter().zip(named.chunks_exact(NAMED)).all(|(message, named)| {
        let expected = [message.sequence, offset as u64].map(u64::to_le_bytes).concat();
        let length = message.record.len() - HEADER;
        offset += message.record.len();
        named[..16] == expected && named[24..28] == (length as u64).to_le_bytes()[..4]
    })
}

#[cfg(test)]
mod tests {
    use super::super::record::record;
    use super::*;

    fn message(sequence: u64) -> Vec<u8> {
        record(0, &MsgProto { sequence }.encode_to_vec())
    }

    fn sequences(parts: &[&[u8]]) -> Vec<u64> {
        let data = [&VERSION, parts.concat().as_slice()].concat();
        whole(&data).iter().map(|message| message.sequence).collect()
    }

    #[test]
    fn what_is_torn_is_left_out_wherever_it_is() {
        let (seven, eight, nine) = (message(7), message(8), message(9));
        assert_eq!(sequences(&[]), [0; 0]);
        assert_eq!(sequences(&[&seven, &eight[..9]]), [7]);
        assert_eq!(sequences(&[&seven, &eight[..9], &eight, &[0; 40], &nine]), [7, 8, 9]);
    }

    #[test]
    fn sequences_are_missing_only_where_nothing_is_torn() {
        let (seven, nine, ten) = (message(7), message(9), message(10));
        assert_eq!(sequences(&[&seven, &nine, &ten]), [7, 9, 10]);
        assert_eq!(sequences(&[&seven, &[0; 20], &nine, &ten]), [7]);
        assert_eq!(sequences(&[&seven, &[0; 20], &nine, &message(8), &ten]), [7, 8, 10]);
    }

    #[test]
    fn of_one_sequence_the_later_message_is_kept() {
        let (seven, eight, nine) = (message(7), message(8), message(9));
        assert_eq!(sequences(&[&seven, &eight, &nine, &eight]), [7, 8]);
        assert_eq!(sequences(&[&seven, &nine, &eight]), [7, 8]);
    }

    #[test]
    fn an_index_names_each_message_at_its_place() {
        let data = [&VERSION, message(7).as_slice(), &message(8)].concat();
        let messages = whole(&data);
        let length = (message(7).len() - HEADER) as u64;
        let named = |sequence: u64, offset: u64| {
            [sequence, offset, 0, length].map(u64::to_le_bytes).concat()
        };
        let second = 4 + length + HEADER as u64;
        let index = [&VERSION, named(7, 4).as_slice(), &named(8, second)].concat();
        assert!(are_named(&messages, &index));
        assert!(!are_named(&messages[..1], &index));
        assert!(!are_named(&messages, &index[..index.len() - 1]));
        let elsewhere = [&VERSION, named(7, 4).as_slice(), &named(8, second + 1)].concat();
        assert!(!are_named(&messages, &elsewhere));
    }
}

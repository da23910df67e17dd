//! Files of subscriptions, `subs.dat`, and of clients, `clients.dat`: what happened, in its order.

use prost::Message as _;

use super::record::{Layout, Record, VERSION};

/// The types of records of subscriptions that name sequences.
const CREATED: u8 = 1;
const UPDATED: u8 = 2;
const DELIVERED: u8 = 5;

/// Of a `SubState` what is needed here.
#[derive(prost::Message)]
struct SubState {
    #[prost(uint64, tag = "9")]
    last_sent: u64,
}

/// Of a `SubStateUpdate` what is needed here.
#[derive(prost::Message)]
struct SubStateUpdate {
    #[prost(uint64, tag = "2")]
    sequence: u64,
}

/// The records before the first that is torn or says that a message behind the `last` one of the
/// channel was delivered. Every beginning of such a file is a state that the server was in.
///
/// The server may deliver a message before that is synced. If it then loses the message, and not
/// the note of its delivery, it would never deliver the next one that gets the sequence.
pub(super) fn beginning(data: &[u8], last: Option<u64>) -> Vec<&[u8]> {
    let mut kept = Vec::new();
    let mut rest = data.get(VERSION.len()..).unwrap_or_default();
    while let Some(record) = Record::first(rest, Layout::Typed) {
        if let Some(last) = last
            && delivered(&record).is_some_and(|sequence| sequence > last)
        {
            break;
        }
        kept.push(record.bytes);
        rest = &rest[record.bytes.len()..];
    }
    kept
}

/// Up to which sequence messages were delivered, as a record of a subscription says.
fn delivered(record: &Record<'_>) -> Option<u64> {
    match record.kind {
        CREATED | UPDATED => SubState::decode(record.payload()).ok().map(|state| state.last_sent),
        DELIVERED => SubStateUpdate::decode(record.payload()).ok().map(|update| update.sequence),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::record;
    use super::*;

    const ACKNOWLEDGED: u8 = 4;

    fn created(last_sent: u64) -> Vec<u8> {
        record(CREATED, &SubState { last_sent }.encode_to_vec())
    }

    fn update(kind: u8, sequence: u64) -> Vec<u8> {
        record(kind, &SubStateUpdate { sequence }.encode_to_vec())
    }

    #[test]
    fn what_follows_a_torn_record_is_left_out() {
        let (created, delivered) = (created(1), update(DELIVERED, 2));
        let data = [&VERSION, created.as_slice(), &delivered[..5], &delivered].concat();
        assert_eq!(beginning(&data, Some(9)), [&created]);
        assert_eq!(beginning(b"", Some(9)), [b""; 0]);
    }

    #[test]
    fn nothing_behind_the_last_message_was_delivered() {
        let (created, delivered) = (created(1), update(DELIVERED, 2));
        let (acknowledged, next) = (update(ACKNOWLEDGED, 2), update(DELIVERED, 3));
        let data = [&VERSION, created.as_slice(), &delivered, &acknowledged, &next].concat();
        assert_eq!(beginning(&data, Some(3)).len(), 4);
        assert_eq!(beginning(&data, None).len(), 4);
        assert_eq!(beginning(&data, Some(2)), [&created, &delivered, &acknowledged]);
        assert_eq!(beginning(&data, Some(1)), [&created]);
        assert_eq!(beginning(&data, Some(0)), [b""; 0]);
    }
}

//! The file of a channel's subscriptions, `subs.dat`: what became of them, in its order.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;

use super::record::{Record, typed};

const CREATED: u8 = 1;
const UPDATED: u8 = 2;
const DELETED: u8 = 3;
const DELIVERED: u8 = 5;

/// Of a `SubState` what is needed here.
#[derive(prost::Message)]
struct SubState {
    #[prost(uint64, tag = "1")]
    id: u64,
    /// Empty of a group without members.
    #[prost(string, tag = "2")]
    client: String,
    #[prost(uint64, tag = "9")]
    last_sent: u64,
}

/// Of a `SubStateUpdate` what is needed here; a `SubStateDelete` has the same first field.
#[derive(prost::Message)]
struct SubStateUpdate {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    sequence: u64,
}

/// The records before the first that is torn or says that a message behind the `last` one of the
/// channel was delivered. Every beginning of such a file is a state that the server was in.
///
/// The server may deliver a message before that is synced. If it then loses the message, and not
/// the note of its delivery, it would never deliver the next one that gets the sequence.
pub(super) fn beginning(data: &[u8], last: u64) -> Vec<Record<'_>> {
    let is_there = |record: &Record<'_>| delivered(record).is_none_or(|sequence| sequence <= last);
    typed(data).take_while(is_there).collect()
}

/// Up to which sequence messages were delivered, as a record says.
fn delivered(record: &Record<'_>) -> Option<u64> {
    match record.kind {
        CREATED | UPDATED => SubState::decode(record.payload()).ok().map(|state| state.last_sent),
        DELIVERED => SubStateUpdate::decode(record.payload()).ok().map(|update| update.sequence),
        _ => None,
    }
}

/// The clients that have subscriptions in the end.
pub(super) fn clients(records: &[Record<'_>]) -> BTreeSet<String> {
    let mut subscriptions = BTreeMap::new();
    for record in records {
        if let CREATED | UPDATED = record.kind
            && let Ok(SubState { id, client, .. }) = SubState::decode(record.payload())
        {
            subscriptions.insert(id, client);
        } else if record.kind == DELETED
            && let Ok(SubStateUpdate { id, .. }) = SubStateUpdate::decode(record.payload())
        {
            subscriptions.remove(&id);
        }
    }
    subscriptions.into_values().filter(|client| !client.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::record::{VERSION, record};
    use super::*;

    const ACKNOWLEDGED: u8 = 4;

    fn state(kind: u8, id: u64, client: &str, last_sent: u64) -> Vec<u8> {
        let client = client.to_owned();
        record(kind, &SubState { id, client, last_sent }.encode_to_vec())
    }

    fn update(kind: u8, id: u64, sequence: u64) -> Vec<u8> {
        record(kind, &SubStateUpdate { id, sequence }.encode_to_vec())
    }

    fn kept(data: &[u8], last: u64) -> Vec<&[u8]> {
        beginning(data, last).iter().map(|record| record.bytes).collect()
    }

    #[test]
    fn what_follows_a_torn_record_is_left_out() {
        let (created, delivered) = (state(CREATED, 1, "a", 1), update(DELIVERED, 1, 2));
        let data = [&VERSION, created.as_slice(), &delivered[..5], &delivered].concat();
        assert_eq!(kept(&data, 9), [&created]);
        assert_eq!(kept(b"", 9), [b""; 0]);
    }

    #[test]
    fn nothing_behind_the_last_message_was_delivered() {
        let (created, delivered) = (state(CREATED, 1, "a", 1), update(DELIVERED, 1, 2));
        let (acknowledged, next) = (update(ACKNOWLEDGED, 1, 2), update(DELIVERED, 1, 3));
        let data = [&VERSION, created.as_slice(), &delivered, &acknowledged, &next].concat();
        assert_eq!(kept(&data, 3).len(), 4);
        assert_eq!(kept(&data, 2), [&created, &delivered, &acknowledged]);
        assert_eq!(kept(&data, 1), [&created]);
        assert_eq!(kept(&data, 0), [b""; 0]);
    }

    #[test]
    fn whoever_has_a_subscription_in_the_end_is_found() {
        let records = [
            state(CREATED, 1, "a", 0),
            state(CREATED, 2, "b", 0),
            state(CREATED, 3, "c", 0),
            update(DELETED, 2, 0),
            // It was the last of its group, which has no members now.
            state(UPDATED, 3, "", 0),
        ];
        let data = [&VERSION, records.concat().as_slice()].concat();
        assert_eq!(clients(&beginning(&data, 0)), BTreeSet::from(["a".to_owned()]));
    }
}

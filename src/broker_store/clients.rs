//! The file of clients, `clients.dat`.

use std::collections::BTreeSet;

use prost::Message as _;

use super::record::{Record, record};

const ADDED: u8 = 1;
const DELETED: u8 = 2;

/// Of a `ClientInfo` what is needed here; a `ClientDelete` has the same first field.
#[derive(prost::Message)]
struct ClientInfo {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    heartbeat_inbox: String,
}

/// Records that add those of these clients that are not there.
///
/// The server does not recover the member of a queue group whose client is not there, and forgets
/// what that had not acknowledged. Nobody answers at the inbox of a client added here: it is
/// replaced when it comes again, or removed, and what it had goes to the others.
pub(super) fn missing(records: &[Record<'_>], mut clients: BTreeSet<String>) -> Vec<Vec<u8>> {
    let mut there = BTreeSet::new();
    for record in records {
        let Ok(ClientInfo { id, .. }) = ClientInfo::decode(record.payload()) else { continue };
        match record.kind {
            ADDED => there.insert(id),
            DELETED => there.remove(&id),
            _ => false,
        };
    }
    clients.retain(|id| !there.contains(id));
    let added = clients.into_iter().map(|id| {
        let heartbeat_inbox = format!("_INBOX.gone.{id}");
        record(ADDED, &ClientInfo { id, heartbeat_inbox }.encode_to_vec())
    });
    added.collect()
}

#[cfg(test)]
mod tests {
    use super::super::record::{VERSION, typed};
    use super::*;

    fn client(kind: u8, id: &str) -> Vec<u8> {
        let (id, heartbeat_inbox) = (id.to_owned(), String::new());
        record(kind, &ClientInfo { id, heartbeat_inbox }.encode_to_vec())
    }

    #[test]
    fn who_is_not_there_is_added() {
        let records = [(ADDED, "a"), (ADDED, "b"), (DELETED, "b"), (DELETED, "c"), (ADDED, "c")];
        let records = records.map(|(kind, id)| client(kind, id)).concat();
        let data = [&VERSION, records.as_slice()].concat();
        let records: Vec<_> = typed(&data).collect();
        let wanted = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(missing(&records, wanted(&["a", "c"])), [[0; 0]; 0]);
        let added = missing(&records, wanted(&["a", "b", "d"]));
        let ids = added.iter().map(|record| ClientInfo::decode(&record[8..]).expect("a client").id);
        assert_eq!(ids.collect::<Vec<_>>(), ["b", "d"]);
    }
}

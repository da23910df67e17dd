//! Arbitrary deliveries in arbitrary batches, against a model of "the first write wins".

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use waybill::store::{Found, NewOrder, Outcome, Store};

use super::{migrated, open};

/// The second is the first in other formatting.
const DOCUMENTS: [&str; 3] = [r#"{"n":1}"#, r#"{ "n": 1 }"#, r#"{"n":2}"#];

/// Enough for batches that are copied, and few enough that they meet.
const UIDS: usize = 60;

/// A message: which uid, which document, and its sequence, which a broker that counts from 1
/// again gives twice.
#[derive(Debug, Clone, Copy)]
struct Message {
    uid: usize,
    document: usize,
    sequence: u64,
}

/// Batches of messages, each of which may be delivered any number of times.
fn batches() -> impl Strategy<Value = Vec<Vec<Message>>> {
    let message = (0..UIDS, 0..DOCUMENTS.len(), 1..8_u64)
        .prop_map(|(uid, document, sequence)| Message { uid, document, sequence });
    vec(message, 1..100).prop_flat_map(|messages| {
        let delivery = (0..messages.len()).prop_map(move |which| messages[which]);
        vec(vec(delivery, 0..60), 1..6)
    })
}

/// What must become of each message, with the document that is kept.
fn expect(kept: &mut HashMap<usize, usize>, batch: &[Message]) -> Vec<Outcome> {
    let mut outcomes = vec![Outcome::Indeterminate; batch.len()];
    for (place, message) in batch.iter().enumerate() {
        let mut rivals = batch.iter().enumerate().filter(|(_, other)| other.uid == message.uid);
        let first = rivals.clone().map(|(_, rival)| rival.sequence).min();
        let winner = rivals.find(|(_, rival)| Some(rival.sequence) == first);
        let (winner, document) =
            winner.map(|(place, rival)| (place, rival.document)).expect("it rivals itself");
        outcomes[place] = match kept.get(&message.uid) {
            None if place == winner => Outcome::Stored,
            None => compare(message.document, document),
            Some(kept) => compare(message.document, *kept),
        };
    }
    for (message, outcome) in batch.iter().zip(&outcomes) {
        if *outcome == Outcome::Stored {
            kept.insert(message.uid, message.document);
        }
    }
    outcomes
}

fn compare(document: usize, kept: usize) -> Outcome {
    if document == kept {
        return Outcome::Duplicate;
    }
    Outcome::Conflict { kept: DOCUMENTS[kept].into(), formatting_only: document + kept == 1 }
}

async fn check(store: &Store, batches: Vec<Vec<Message>>) -> Result<(), TestCaseError> {
    static CASE: AtomicU32 = AtomicU32::new(0);
    let case = CASE.fetch_add(1, Ordering::Relaxed);
    let uids: Vec<String> = (0..UIDS).map(|uid| format!("{case}-{uid}")).collect();
    let mut kept = HashMap::new();
    for batch in batches {
        let rows: Vec<_> = batch
            .iter()
            .map(|message| NewOrder {
                uid: &uids[message.uid],
                document: DOCUMENTS[message.document].as_bytes(),
                sequence: message.sequence,
                source: None,
            })
            .collect();
        let outcomes = store.insert_orders(&rows).await;
        let outcomes = outcomes.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(outcomes, expect(&mut kept, &batch), "{:?}", batch);
    }
    for (uid, name) in uids.iter().enumerate() {
        let expected = match kept.get(&uid) {
            Some(document) => Found::Document(DOCUMENTS[*document].into()),
            None => Found::Absent,
        };
        let found = store.find(name).await;
        prop_assert_eq!(found.map_err(|error| TestCaseError::fail(error.to_string()))?, expected);
    }
    Ok(())
}

#[test]
fn any_batches_have_the_verdicts_of_the_model() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = runtime.block_on(async { open(&migrated().await) });
    let seed: [u8; 32] = std::array::from_fn(|_| fastrand::u8(..));
    println!("seed {seed:?}");
    let config = ProptestConfig { cases: 100, failure_persistence: None, ..Default::default() };
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(config, random);
    let ran = runner.run(&batches(), |batches| runtime.block_on(check(&store, batches)));
    ran.unwrap_or_else(|failure| panic!("{failure}"));
}

//! Replays the corpus of the fuzz targets.

use std::path::Path;

#[path = "../fuzz/harness.rs"]
mod harness;

fn replay(target: &str, with: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus") {
        let path = entry.expect("an entry").path();
        with(&std::fs::read(path).expect("an input"));
        count += 1;
    }
    assert!(count >= 8, "only {count} inputs for {target}");
}

#[test]
fn the_corpus_of_what_servers_send_is_decoded() {
    replay("decode", harness::decode);
}

#[test]
fn the_corpus_of_deliveries_keeps_the_queues_promises() {
    replay("deliveries", harness::deliveries);
}

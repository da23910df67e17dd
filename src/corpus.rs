//! Replays the corpus of the fuzz target, and makes the page of what it accepts.

use std::path::Path;

use ::http::{HeaderValue, StatusCode};

use crate::http::Pages;

#[path = "../crates/order/fuzz/harness.rs"]
mod harness;

#[test]
fn the_corpus_of_orders_keeps_what_the_fuzzer_was_promised() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/order/fuzz/corpus/order");
    let (mut accepted, mut refused) = (0, 0);
    for entry in std::fs::read_dir(folder).expect("the corpus") {
        let path = entry.expect("an entry").path();
        let input = std::fs::read(&path).expect("an input");
        match harness::order(&input) {
            Some(order) => {
                let page =
                    Pages::default().order(order.document(), &HeaderValue::from_static("no-store"));
                assert_eq!(page.status(), StatusCode::OK, "{}", path.display());
                accepted += 1;
            }
            None => refused += 1,
        }
    }
    assert!(accepted >= 5 && refused >= 20, "only {accepted} orders and {refused} others");
}

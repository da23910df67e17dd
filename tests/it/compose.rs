//! `compose.yaml`, as far as it can be judged without Docker; `scripts/compose-test` brings it up.

use serde_json::Value;

#[test]
fn what_is_written_into_a_container_is_not_for_a_read_only_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/compose.yaml");
    let text = std::fs::read_to_string(path).expect("compose.yaml");
    let compose: Value = serde_saphyr::from_str(&text).expect("YAML");
    let mut files = 0;
    for (name, service) in compose["services"].as_object().expect("services") {
        // The parser leaves `<<` where it is.
        let read_only =
            [&service["read_only"], &service["<<"]["read_only"]].contains(&&true.into());
        for used in service["configs"].as_array().into_iter().flatten() {
            let source = used["source"].as_str().expect("a source");
            let config = &compose["configs"][source];
            assert!(!read_only || config["file"].is_string(), "{name} cannot be given {source}");
            files += usize::from(read_only);
        }
    }
    assert!(files > 0, "there is one that this is about");
}

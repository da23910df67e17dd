//! The picture of the architecture is the one that its source makes.

use std::collections::BTreeSet;
use std::fs;

use super::page::repository;

/// What stands between two texts, each time.
fn all_between<'a>(text: &'a str, from: &'a str, to: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(from).skip(1).filter_map(move |behind| behind.split(to).next())
}

#[test]
fn the_picture_says_what_its_source_does() {
    let read = |path| fs::read_to_string(repository(path)).expect(path);
    let (source, picture) = (read("docs/architecture.dot"), read("docs/architecture.svg"));
    let labels = all_between(&source, "label=\"", "\"").flat_map(|label| label.split("\\n"));
    let labels: BTreeSet<_> = labels.map(str::trim).collect();
    let texts = all_between(&picture, "<text ", "</text>");
    let texts: BTreeSet<_> =
        texts.filter_map(|text| text.split('>').nth(1)).map(str::trim).collect();
    assert_eq!(labels, texts, "in architecture.dot, and in architecture.svg: `make diagrams`");
}

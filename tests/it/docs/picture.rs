//! The pictures are those that their sources make.

use std::collections::BTreeSet;
use std::fs;

use super::page::repository;

/// What stands between two texts, each time.
fn all_between<'a>(text: &'a str, from: &'a str, to: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(from).skip(1).filter_map(move |behind| behind.split(to).next())
}

#[test]
fn the_pictures_say_what_their_sources_do() {
    for name in ["architecture", "security"] {
        let read = |ending| {
            let path = format!("docs/{name}.{ending}");
            fs::read_to_string(repository(&path)).expect(&path)
        };
        let (source, picture) = (read("dot"), read("svg"));
        let labels = all_between(&source, "label=\"", "\"").flat_map(|label| label.split("\\n"));
        let labels: BTreeSet<_> = labels.map(str::trim).collect();
        let texts = all_between(&picture, "<text ", "</text>");
        let texts: BTreeSet<_> =
            texts.filter_map(|text| text.split('>').nth(1)).map(str::trim).collect();
        assert_eq!(labels, texts, "in {name}.dot, and in {name}.svg: `make diagrams`");
    }
}

//! The figures of README are those of the pages that it names.

use std::fs;

use super::page::repository;

/// The numbers in a text that are more than a count of something.
fn figures(text: &str) -> Vec<&str> {
    let is_end = |c: char| !c.is_ascii_digit() && !",.".contains(c);
    let words = text.split(is_end).map(|word| word.trim_matches(|c| ",.".contains(c)));
    words.filter(|word| word.len() > 2).collect()
}

#[test]
fn the_figures_of_the_readme_stand_in_the_pages_that_it_names() {
    let read = |path: &str| fs::read_to_string(repository(path)).expect(path);
    let readme = read("README.md");
    let (_, behind) = readme.split_once("## Why it can be trusted").expect("a section");
    let (section, _) = behind.split_once("\n## ").expect("another one behind it");
    let mut found = 0;
    for row in section.lines().filter(|line| line.contains("](docs/")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let [_, seen, by] = cells[..] else { panic!("three cells: {row}") };
        let (_, link) = by.split_once("](").expect("a link");
        let (page, _) = link.split_once(['#', ')']).expect("its end");
        let page = read(page);
        for figure in figures(seen) {
            found += 1;
            assert!(figures(&page).contains(&figure), "{figure} is nowhere in the page of: {row}");
        }
    }
    assert!(found > 10, "{found} figures");
}

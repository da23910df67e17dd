//! Every link leads somewhere, and every page of `docs` can be reached.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use url::Url;

use super::page::{Page, repository};

/// A link that leads out of the repository, or to a service on this machine.
fn is_absolute(link: &str) -> bool {
    link.contains("://")
}

/// What a page links to, from the root of the repository, and the anchor there.
fn target(page: &str, link: &str) -> (String, Option<String>) {
    let (path, anchor) = match link.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor.to_owned())),
        None => (link, None),
    };
    if path.is_empty() {
        return (page.to_owned(), anchor);
    }
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str().expect("UTF-8")),
            Component::ParentDir => drop(parts.pop()),
            _ => {}
        }
    }
    (parts.join("/"), anchor)
}

/// What is wrong with a link of this page, if anything is.
fn mistake(pages: &BTreeMap<&str, &Page>, page: &str, link: &str) -> Option<String> {
    if is_absolute(link) {
        let url = Url::parse(link).ok()?;
        let is_local = url.host_str() == Some("127.0.0.1") && url.scheme() == "http";
        let is_sound = url.scheme() == "https" && url.host_str().is_some_and(|h| h.contains('.'));
        return (!is_local && !is_sound).then(|| "must be https:// and a host".to_owned());
    }
    if link.starts_with('/') || link.contains(' ') {
        return Some("must be relative to the page".to_owned());
    }
    let (path, anchor) = target(page, link);
    if !repository(&path).exists() {
        return Some(format!("there is no {path}"));
    }
    let anchor = anchor?;
    let Some(there) = pages.get(&*path) else {
        return Some(format!("{path} has no headings"));
    };
    (!there.anchors.contains(&anchor)).then(|| format!("{path} has no heading #{anchor}"))
}

#[test]
fn every_link_leads_somewhere() {
    let all = Page::all();
    let pages: BTreeMap<&str, &Page> = all.iter().map(|page| (&*page.path, page)).collect();
    let (mut links, mut mistakes) = (0, Vec::new());
    for page in &all {
        for link in &page.links {
            links += 1;
            if let Some(mistake) = mistake(&pages, &page.path, link) {
                mistakes.push(format!("{}: {link}: {mistake}", page.path));
            }
        }
        for picture in &page.without_text {
            mistakes.push(format!("{}: {picture}: says nothing to who does not see it", page.path));
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    assert!(links > 200, "{links} links were found");
}

#[test]
fn every_page_can_be_reached_from_the_map() {
    let all = Page::all();
    let mut reached = BTreeSet::new();
    let mut next = vec!["docs/README.md".to_owned()];
    while let Some(path) = next.pop() {
        let Some(page) = all.iter().find(|page| page.path == path) else { continue };
        if !reached.insert(path) {
            continue;
        }
        for link in page.links.iter().filter(|link| !is_absolute(link)) {
            let (path, _) = target(&page.path, link);
            // Of a folder, its first page is shown.
            let is_folder = repository(&path).is_dir();
            next.push(if is_folder { format!("{path}/README.md") } else { path });
        }
    }
    let lost = all.iter().map(|page| &page.path).filter(|path| !reached.contains(*path));
    let lost: Vec<_> = lost.filter(|path| path.starts_with("docs/")).collect();
    assert!(lost.is_empty(), "nothing leads to {lost:?} from docs/README.md");
}

#[test]
fn wrong_links_are_noticed() {
    let page = Page::parse("docs/load.md".to_owned(), "# There\n");
    let pages = BTreeMap::from([("docs/load.md", &page)]);
    for (link, is_wrong) in [
        ("#there", false),
        ("#elsewhere", true),
        ("load.md#there", false),
        ("../README.md", false),
        ("../README.md#there", true),
        ("no-such.md", true),
        ("/docs/load.md", true),
        ("https://example.org/x", false),
        ("http://example.org/x", true),
        ("https://example/x", true),
        ("http://127.0.0.1:8080/", false),
    ] {
        assert_eq!(mistake(&pages, "docs/load.md", link).is_some(), is_wrong, "{link}");
    }
}

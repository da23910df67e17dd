//! `docs/logging.md` lists every warning and error of the sources, and none that is not there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Macros whose messages must be listed, and how the list names their level.
const LEVELS: [(&str, &str); 2] = [("warn!(", "WARN"), ("error!(", "ERROR")];

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && path.file_stem().is_some_and(|stem| stem != "tests")
        {
            found.push(path);
        }
    }
}

/// The text between the parentheses of a call whose arguments begin here.
fn arguments(text: &str) -> &str {
    let (mut depth, mut is_literal, mut is_escaped) = (1, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_literal => is_escaped = true,
            '"' => is_literal = !is_literal,
            '(' if !is_literal => depth += 1,
            ')' if !is_literal => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    panic!("a call without an end: {text:.80}");
}

/// The message of a call: its last string literal, its lines joined and its blanks single, up to
/// the first value in it.
fn message(arguments: &str) -> String {
    // The name of a variable is a literal too, and no message.
    let arguments = arguments.replace("env!(\"CARGO_PKG_VERSION\")", "");
    let arguments = arguments.trim_end().trim_end_matches(',');
    // A literal is the last argument, or before the values that it is formatted with.
    let mut literals = Vec::new();
    let mut rest = arguments;
    while let Some((_, behind)) = rest.split_once('"') {
        let mut end = 0;
        let bytes = behind.as_bytes();
        while bytes[end] != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        literals.push(&behind[..end]);
        rest = &behind[end + 1..];
    }
    let literal = literals.last().copied().unwrap_or_default().replace("\\\n", " ");
    let literal = literal.split_whitespace().collect::<Vec<_>>().join(" ");
    placeholders(&literal)
}

/// A message with `…` for each value in it.
fn placeholders(message: &str) -> String {
    let mut parts = message.split('{');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (_, behind) = part.split_once('}').expect("a value ends");
        text += "…";
        text += behind;
    }
    text
}

/// `LEVEL message` of every call in the sources.
fn logged() -> BTreeSet<String> {
    let mut files = Vec::new();
    for root in [
        "src",
        "crates/stan/src",
        "crates/jetstream/src",
        "crates/nats-link/src",
        "crates/order/src",
    ] {
        sources(&repository(root), &mut files);
    }
    let mut events = BTreeSet::new();
    for file in files {
        let source = fs::read_to_string(&file).expect("a source");
        // The unit tests of a file are its last part.
        let code = source.split("\nmod tests {").next().unwrap_or_default();
        for (call, level) in LEVELS {
            for behind in code.split(&format!("tracing::{call}")).skip(1) {
                let message = message(arguments(behind));
                assert!(!message.is_empty(), "{}: a {level} without a text", file.display());
                events.insert(format!("{level} {message}"));
            }
            assert!(!code.contains(&format!("use tracing::{}", call.trim_end_matches("!("))));
        }
    }
    events
}

/// `LEVEL message` of every row of the document's tables: `` | WARN | `message` | … ``.
fn listed() -> BTreeSet<String> {
    let text = fs::read_to_string(repository("docs/logging.md")).expect("the document");
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let level = cells.next().filter(|level| ["INFO", "WARN", "ERROR"].contains(level))?;
        let message = cells.next()?.trim_matches('`');
        assert_eq!(cells.count(), 3, "fields, meaning and what to do: {line}");
        Some(format!("{level} {message}"))
    });
    rows.collect()
}

#[test]
fn every_warning_and_error_is_documented() {
    let (logged, listed) = (logged(), listed());
    assert!(logged.len() > 30, "{logged:#?}");
    let missing: Vec<_> = logged.difference(&listed).collect();
    assert!(missing.is_empty(), "not in docs/logging.md: {missing:#?}");
    let is_checked = |event: &&String| !event.starts_with("INFO ");
    let gone: Vec<_> = listed.difference(&logged).filter(is_checked).collect();
    assert!(gone.is_empty(), "in docs/logging.md and not in the sources: {gone:#?}");
}

#[test]
fn every_other_event_that_is_documented_exists() {
    let mut files = Vec::new();
    for root in ["src", "crates/stan/src", "crates/jetstream/src", "crates/nats-link/src"] {
        sources(&repository(root), &mut files);
    }
    let sources = files.iter().map(|file| fs::read_to_string(file).expect("a source"));
    let infos: BTreeSet<String> = sources
        .flat_map(|source| {
            let calls = source.split("tracing::info!(").skip(1);
            calls.map(|behind| format!("INFO {}", message(arguments(behind)))).collect::<Vec<_>>()
        })
        .collect();
    let gone: Vec<_> = listed()
        .into_iter()
        .filter(|event| event.starts_with("INFO ") && !infos.contains(event))
        .collect();
    assert!(gone.is_empty(), "in docs/logging.md and not in the sources: {gone:#?}\n{infos:#?}");
}

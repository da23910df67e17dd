//! What `docs/architecture.md` says of the sources: the names of the two walks exist, and modules
//! have no circles of imports.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The identifier that a text begins with.
fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// Whether a source defines this function, or has this type.
fn has(source: &str, name: &str, is_function: bool) -> bool {
    let is_named = |rest: &str| identifier(rest) == name;
    if is_function {
        return source.split("fn ").skip(1).any(is_named);
    }
    let definitions = ["struct ", "enum ", "trait "];
    definitions.iter().any(|word| source.split(word).skip(1).any(is_named))
        || source.lines().any(|line| {
            let is_impl = line.starts_with("impl");
            is_impl && line.split(|c: char| !c.is_alphanumeric() && c != '_').any(is_named)
        })
}

/// What is wrong with `path/file.rs` or `path/file.rs::Type::function`, if anything is.
fn mistake(named: &str) -> Option<String> {
    let (path, item) = named.split_once("::").unwrap_or((named, ""));
    let Ok(source) = fs::read_to_string(repository(path)) else {
        return (!repository(path).exists()).then(|| format!("`{named}`: there is no {path}"));
    };
    let parts: Vec<&str> = item.split("::").filter(|part| !part.is_empty()).collect();
    let missing = parts.iter().enumerate().find(|(at, name)| {
        let is_function = at + 1 == parts.len();
        !has(&source, name, is_function)
    });
    missing.map(|(_, name)| format!("`{named}`: {path} has no `{name}`"))
}

/// Every word between backticks that is a path of a source.
fn sources_named(document: &str) -> Vec<String> {
    let text = fs::read_to_string(repository(document)).expect(document);
    let code = text.split('`').skip(1).step_by(2);
    let is_source = |word: &&str| word.starts_with("src/") || word.starts_with("crates/");
    code.filter(is_source).map(str::to_owned).collect()
}

#[test]
fn every_source_and_function_that_the_documents_name_exists() {
    let documents = ["README.md", "CONTRIBUTING.md", "docs/architecture.md"].map(str::to_owned);
    let decisions = fs::read_dir(repository("docs/decisions")).expect("decisions");
    let decisions = decisions.map(|entry| {
        format!("docs/decisions/{}", entry.expect("an entry").file_name().to_string_lossy())
    });
    let mut mistakes = Vec::new();
    for document in documents.into_iter().chain(decisions) {
        let named = sources_named(&document);
        mistakes.extend(
            named
                .iter()
                .filter_map(|named| mistake(named))
                .map(|mistake| format!("{document} names {mistake}")),
        );
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    let walked = sources_named("docs/architecture.md");
    let functions = walked.iter().filter(|named| named.contains("::")).count();
    assert!(functions >= 25, "the walks name {functions} functions");
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The top-level modules that a text names behind `crate::`.
fn imports(source: &str) -> Vec<&str> {
    // The unit tests of a file are its last part.
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let behind = code.split("crate::").skip(1);
    behind
        .flat_map(|text| match text.strip_prefix('{') {
            Some(list) => {
                let list = list.split('}').next().unwrap_or_default();
                list.split(',').map(|name| identifier(name.trim())).collect()
            }
            None => vec![identifier(text)],
        })
        .collect()
}

/// The top-level modules of a crate, each with those that it imports.
fn modules(root: &str) -> BTreeMap<String, BTreeSet<String>> {
    let root = repository(root);
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut modules: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let path = file.strip_prefix(&root).expect("below the root").with_extension("");
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
        let is_root = ["lib", "main"].contains(&&*parts[0]);
        if is_root || parts.iter().any(|part| part == "tests") {
            continue;
        }
        let source = fs::read_to_string(&file).expect("a source");
        let others = imports(&source).into_iter().filter(|name| *name != parts[0]);
        let module = modules.entry(parts[0].to_string()).or_default();
        module.extend(others.map(str::to_owned));
    }
    modules
}

/// The imports that lead back, as "from to": of a circle those of the module that is not to know
/// of the other are to be undone.
fn leading_back(modules: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let reached = |from: &str| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(module) = next.pop() {
            for import in modules.get(&module).into_iter().flatten() {
                if seen.insert(import.clone()) {
                    next.push(import.clone());
                }
            }
        }
        seen
    };
    let edges = modules.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
    let circular = edges.filter(|(from, to)| reached(to).contains(*from));
    circular.map(|(from, to)| format!("{from} {to}")).collect()
}

#[test]
fn modules_have_no_circles_of_imports() {
    for root in ["src", "crates/order/src", "crates/stan/src", "crates/testbed/src"] {
        let modules = modules(root);
        assert!(modules.len() > 5, "{root}: {modules:?}");
        let circular = leading_back(&modules);
        assert!(circular.is_empty(), "{root}: circles of imports: {circular:#?}");
    }
}

/// What a text stands for, and the files, or folders with a `/`, below `src` that may have it.
const RESERVED: [(&str, &[&str]); 5] = [
    ("sqlx::query", &["store.rs", "store/"]),
    ("sqlx::raw_sql", &["store/"]),
    ("prometheus::", &["metrics.rs", "metrics/"]),
    ("std::env::", &["cli.rs"]),
    // The service, and the subscriptions that `reconcile` has for itself.
    (".ack()", &["ingest.rs", "reconcile/reader.rs", "reconcile/reader/"]),
];

#[test]
fn what_is_reserved_for_a_module_is_used_there_alone() {
    let root = repository("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    for (text, allowed) in RESERVED {
        let users =
            files.iter().filter(|file| fs::read_to_string(file).expect("a source").contains(text));
        let users: Vec<_> = users
            .map(|file| file.strip_prefix(&root).expect("below the root").display().to_string())
            .collect();
        assert!(!users.is_empty(), "nobody uses {text}");
        let is_allowed = |user: &String| {
            allowed
                .iter()
                .any(|place| user == place || (place.ends_with('/') && user.starts_with(place)))
        };
        let others: Vec<_> = users.iter().filter(|user| !is_allowed(user)).collect();
        assert!(others.is_empty(), "{text} belongs to {allowed:?} and is in {others:?}");
    }
}

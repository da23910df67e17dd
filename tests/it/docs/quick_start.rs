//! What README, `docs/getting-started.md` and some other pages have a reader type, typed; and every
//! address of the service that a page names, asked for.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;

use super::page::{Block, Page, repository};
use super::shell::{Typed, calls};
use crate::service::{MODEL, PATIENCE, Replica, World};

/// Where the pages have the page and the API, and the admin port.
const SITE: &str = "127.0.0.1:8080";
const ADMIN: &str = "127.0.0.1:8081";

/// What is typed on a page, but for blocks that are not run and those that start or stop all.
fn typed_on(path: &str) -> Vec<Typed> {
    let blocks = Page::read(path.to_owned()).blocks;
    let blocks = blocks.into_iter().filter(|block| block.not_run.is_none());
    let typed = blocks.map(|block| block.typed());
    typed
        .filter(|lines| lines.iter().all(|line| !line.text.starts_with("make ")))
        .flatten()
        .collect()
}

/// Runs a line in the world's folder, with the replica where the pages have the service; what it
/// printed.
pub(super) async fn run(world: &World, replica: &Replica, line: &str) -> String {
    let addresses = [(SITE, replica.site.to_string()), (ADMIN, replica.admin.to_string())];
    let mut here = format!("{{ {line}\n}} 2>&1");
    for (named, real) in &addresses {
        here = here.replace(named, real);
    }
    let programs = Path::new(env!("CARGO_BIN_EXE_waybill")).parent().expect("a folder");
    let path = std::env::var("PATH").expect("PATH");
    let waybill = world.command(&[]);
    let settings = waybill.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let mut shell = tokio::process::Command::new("sh");
    shell.env_clear().envs(settings).env("PATH", format!("{}:{path}", programs.display()));
    // Where curl is told to show no progress, as it does not on a terminal.
    shell.env("CURL_HOME", world.path());
    shell.args(["-c", &here]).current_dir(world.path()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, shell.output()).await;
    let output = output.expect("it ends").expect("a shell");
    let mut printed = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{line}: {}\n{printed}", output.status);
    for (named, real) in addresses {
        printed = printed.replace(&real, named);
    }
    printed
}

/// A line with `0` for every number, since numbers differ each time, and with one blank for many,
/// since columns are as wide as their numbers.
fn without_numbers(line: &str) -> String {
    let mut text = String::new();
    let words: Vec<&str> = line.split_whitespace().collect();
    let line = words.join(" ");
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let is_within = text.ends_with('0');
        let is_next = characters.peek().is_some_and(char::is_ascii_digit);
        match character {
            '0'..='9' if is_within => {}
            '0'..='9' => text.push('0'),
            '.' | ',' if is_within && is_next => {}
            _ => text.push(character),
        }
    }
    text
}

/// Whether what is shown is what was printed, where `...` stands for any lines.
pub(super) fn is_shown(shown: &[String], printed: &str) -> bool {
    let mut printed = printed.lines().map(without_numbers);
    let mut may_skip = false;
    for line in shown {
        if line == "..." {
            may_skip = true;
            continue;
        }
        let line = without_numbers(line);
        let found =
            if may_skip { printed.any(|it| it == line) } else { printed.next() == Some(line) };
        if !found {
            return false;
        }
        may_skip = false;
    }
    may_skip || printed.next().is_none()
}

#[tokio::test]
async fn what_a_reader_types_does_what_the_pages_show() {
    let world = World::new().await;
    let replica = world.serve("a").await;
    world.publish_raw([Bytes::from_static(MODEL)]).await;
    world.until_drained().await;
    let at = |path: &str| world.path().join(path);
    for folder in ["target/debug", ".waybill"] {
        std::fs::create_dir_all(at(folder)).expect("a folder");
    }
    std::fs::write(at(".waybill/waybill.toml"), "").expect("the settings");
    std::fs::write(at(".curlrc"), "silent\nshow-error\n").expect("its settings");
    symlink(env!("CARGO_BIN_EXE_waybill"), at("target/debug/waybill")).expect("the program");
    symlink(repository("data"), at("data")).expect("the sample");
    let pages = [
        // Before others publish orders of their own.
        ("docs/api.md", 4),
        ("docs/operations.md", 2),
        ("README.md", 5),
        ("docs/getting-started.md", 8),
        ("docs/logging.md", 2),
        ("docs/tracing.md", 1),
    ];
    for (page, least) in pages {
        let typed = typed_on(page);
        assert!(typed.len() >= least, "{page}: {typed:?}");
        for Typed { text, shown } in typed {
            let printed = run(&world, &replica, &text).await;
            let is_as_shown = shown.is_empty() || is_shown(&shown, &printed);
            assert!(is_as_shown, "{page}: {text}\nprints\n{printed}and not\n{}", shown.join("\n"));
            // An order that was just published is looked up in the next line.
            world.until_drained().await;
        }
    }
}

/// A request for an address of the site or the admin port.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Asked {
    method: String,
    is_admin: bool,
    path: String,
    body: String,
}

/// The address of the service in a word, if there is one.
fn asked(word: &str) -> Option<Asked> {
    let (is_admin, path) =
        [(false, SITE), (true, ADMIN)].into_iter().find_map(|(is_admin, at)| {
            let (_, path) = word.split_once(at)?;
            Some((is_admin, path))
        })?;
    let path = if path.is_empty() { "/" } else { path };
    let (method, body) = ("GET".to_owned(), String::new());
    path.starts_with('/').then(|| Asked { method, is_admin, path: path.to_owned(), body })
}

/// What the calls of curl in a line ask for.
fn asked_by_curl(line: &str) -> Vec<Asked> {
    let calls = calls(line).expect(line);
    let calls = calls.into_iter().filter(|call| call.words[0] == "curl");
    let requests = calls.filter_map(|call| {
        let behind = |flags: &[&str]| {
            let at = call.words.iter().position(|word| flags.contains(&&**word))?;
            call.words.get(at + 1).cloned()
        };
        let mut request = call.words.iter().find_map(|word| asked(word))?;
        if let Some(body) = behind(&["--data", "-d", "--json"]) {
            request.body = body;
            "POST".clone_into(&mut request.method);
        }
        request.method = behind(&["-X", "--request"]).unwrap_or(request.method);
        Some(request)
    });
    requests.collect()
}

#[tokio::test]
async fn every_address_that_a_page_names_is_one_of_the_service() {
    let world = World::new().await;
    let replica = world.serve("a").await;
    let mut all = BTreeSet::new();
    for page in Page::all() {
        let lines = page.blocks.iter().flat_map(Block::typed);
        all.extend(lines.flat_map(|line| asked_by_curl(&line.text)));
        let words = page.inline.iter().chain(&page.links).flat_map(|code| code.split(' '));
        all.extend(words.filter_map(asked));
    }
    assert!(all.len() > 8, "{all:#?}");
    for request in all {
        let address = if request.is_admin { replica.admin } else { replica.site };
        let uri = format!("http://{address}{}", request.path);
        let method: Method = request.method.parse().expect("a method");
        let sent = Request::builder().method(method).uri(uri);
        let sent = sent.body(Full::new(Bytes::from(request.body.clone()))).expect("a request");
        let reply = replica.request(sent).await.expect("an answer");
        // An order that nobody has is no unknown address.
        let is_order =
            ["/orders/", "/api/v1/orders/"].iter().any(|at| request.path.starts_with(at));
        let is_there = reply.status.is_success()
            || reply.status.is_redirection()
            || reply.status == StatusCode::NOT_FOUND && is_order;
        assert!(is_there, "{request:?}: {} {}", reply.status, reply.text());
    }
}

#[test]
fn what_is_printed_is_told_from_what_is_shown() {
    let is_shown = |shown: &str, printed| {
        is_shown(&shown.lines().map(str::to_owned).collect::<Vec<_>>(), printed)
    };
    assert!(is_shown("1 confirmed, 333 msg/s\n", "2 confirmed, 1,024.5 msg/s\n"));
    assert!(!is_shown("1 confirmed\n", "1 failed\n"));
    assert!(!is_shown("a\n", "a\nb\n"));
    assert!(!is_shown("a\nb\n", "a\n"));
    assert!(is_shown("a\n...\nd\n...\n", "a\nb\nc\nd\ne"));
    assert!(!is_shown("a\n...\nd\n...\n", "a\nb\nc\ne"));
}

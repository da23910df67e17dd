use std::collections::BTreeMap;
use std::fs;
use std::pin::pin;

use futures_util::future::{join_all, select};
use http::Method;
use tempfile::TempDir;

use super::*;

/// Longer than any of it takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// A worker of three, with a folder of its own.
fn worker(index: usize, port: u16, timeout: Duration) -> Worker {
    let first = format!("127.0.0.1:{port}");
    Worker {
        index,
        workers: 3,
        listen: first.parse().expect("an address"),
        first: first.parse().expect("a host and a port"),
        timeout,
    }
}

/// A port that was free a moment ago, since all have to know it before anybody listens.
fn port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, bytes) in files {
        fs::write(dir.path().join(name), bytes).expect("written");
    }
    dir
}

/// All files below a folder by their paths.
fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(dir).expect("below it").display().to_string();
            found.insert(name, fs::read(path).expect("a file"));
        }
    }
    found
}

#[tokio::test]
async fn each_of_three_workers_gets_the_results_of_all() {
    let port = port();
    // More than fits into one piece of a body, and nothing at all.
    let large: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let folders = [
        folder(&[("100.bin", b"zero"), ("server.ndjson", b"{}\n")]),
        folder(&[("100.bin", &large), ("500-new.bin", b""), ("targets.json", b"{}\n")]),
        folder(&[("100.bin", b"two"), ("ingest-50.ndjson", b"{}\n")]),
    ];
    let workers = [0, 1, 2].map(|index| worker(index, port, PATIENCE));
    // The first comes last.
    let gathering = workers.iter().zip(&folders).rev();
    let gathering = gathering.map(|(worker, folder)| worker.gather(folder.path()));
    for outcome in join_all(gathering).await {
        outcome.expect("gathered");
    }
    for (folder, other) in folders.iter().zip(["server.ndjson", "targets.json", ""]) {
        let mut tree = tree(folder.path());
        if !other.is_empty() {
            assert!(tree.remove(other).is_some(), "{other} stays where it was");
        }
        let expected: BTreeMap<_, _> = [
            ("0/100.bin", &b"zero"[..]),
            ("1/100.bin", &large),
            ("1/500-new.bin", b""),
            ("2/100.bin", b"two"),
            ("2/ingest-50.ndjson", b"{}\n"),
        ]
        .map(|(name, bytes)| (name.to_owned(), bytes.to_owned()))
        .into();
        assert!(tree == expected, "{:?}", tree.keys());
    }
}

#[tokio::test]
async fn who_is_missing_is_named_by_those_who_came() {
    let port = port();
    let timeout = Duration::from_millis(1500);
    let folders = [folder(&[("100.bin", b"zero")]), folder(&[("100.bin", b"one")])];
    let workers = [0, 1].map(|index| worker(index, port, timeout));
    let gathering = workers.iter().zip(&folders);
    let gathering = gathering.map(|(worker, folder)| worker.gather(folder.path()));
    for outcome in join_all(gathering).await {
        let error = outcome.expect_err("one is missing").to_string();
        // The one that waits longer may find the other gone.
        assert!(error.starts_with("not within 1s 500ms: "), "{error}");
        assert!(error.contains("worker 2 has not come"), "{error}");
    }
}

#[tokio::test]
async fn a_worker_that_nobody_answers_names_whom_it_asked() {
    let port = port();
    let error = worker(1, port, Duration::from_millis(300)).barrier().await;
    let error = error.expect_err("nobody is there").to_string();
    assert!(error.starts_with(&format!("not within 300ms: worker 0 at 127.0.0.1:{port}: ")));
}

#[tokio::test]
async fn a_barrier_opens_when_all_are_there() {
    let port = port();
    let workers = [0, 1, 2].map(|index| worker(index, port, PATIENCE));
    let [first, second, third] = &workers;
    let (mut first, mut second) = (pin!(first.barrier()), pin!(second.barrier()));
    let early = select(&mut first, &mut second);
    let early = tokio::time::timeout(Duration::from_millis(500), early).await;
    assert!(early.is_err(), "one has not come");
    let (first, second, third) = tokio::join!(first, second, third.barrier());
    for outcome in [first, second, third] {
        outcome.expect("all came");
    }
}

#[tokio::test]
async fn without_results_there_is_nothing_to_gather() {
    let dir = folder(&[("server.ndjson", b"{}\n"), ("receipt.ndjson", b"{}\n")]);
    let error = worker(1, 1, PATIENCE).gather(dir.path()).await.expect_err("no results");
    assert!(error.to_string().ends_with(": no results to gather"), "{error}");
}

#[test]
fn only_names_of_results_are_taken() {
    for name in ["100.bin", "100-kept.bin", "100-new_1.5.bin", "ingest-100.ndjson"] {
        assert_eq!(name.parse::<FileName>().map(String::from).as_deref(), Ok(name));
    }
    let long = format!("1{}.bin", "0".repeat(100));
    for name in [
        "",
        ".bin",
        "../100.bin",
        "1/../../100.bin",
        "1\\100.bin",
        "1%2f.bin",
        "100.bin\0",
        "x.bin",
        "server.ndjson",
        "receipt.ndjson",
        "100.bin.part",
        "1 .bin",
        "1\u{e9}.bin",
        &long,
    ] {
        assert!(name.parse::<FileName>().is_err(), "{name:?}");
    }
}

#[tokio::test]
async fn worker_0_takes_nothing_that_leads_elsewhere_and_from_nobody_else() {
    let port = port();
    let dir = folder(&[("100.bin", b"zero")]);
    let first = worker(0, port, PATIENCE);
    let client = Client::new(&worker(1, port, PATIENCE));
    let asking = async {
        // As a worker of ours would never ask.
        for (method, target) in [
            (Method::PUT, "/files/1/..%2f..%2f100.bin"),
            (Method::PUT, "/files/1/passwd"),
            (Method::GET, "/files/1/..%2f0%2f100.bin"),
            (Method::PUT, "/files/3/100.bin"),
            (Method::PUT, "/files/0/100.bin"),
            (Method::POST, "/workers/3"),
        ] {
            let asked = client.in_time(async || client.ask(method.clone(), target, None).await);
            let error = asked.await.map(drop).expect_err(target).to_string();
            assert!(error.contains(": 4"), "{target}: {error}");
        }
    };
    tokio::select! {
        outcome = first.gather(dir.path()) => panic!("it waits for the others: {outcome:?}"),
        () = asking => {}
    }
    assert_eq!(tree(dir.path()).keys().collect::<Vec<_>>(), ["0/100.bin"]);
}

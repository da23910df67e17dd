//! Hostile rejects come out as they came in, and harmless where they are shown.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use super::rejects;
use crate::hostile::table::{Expected, cases};
use crate::service::{Replica, World};

/// More than this the broker does not take.
const MOST_BYTES: usize = (1 << 20) - 1_000;

/// What the table of the whole service has not: payloads for those who look at them.
const FOR_ONLOOKERS: [&[u8]; 5] = [
    b"\x1b[2J\x1b]0;owned\x07\x1b[31mred",
    "\u{202e}gnp.exe\u{2066}\u{9b}31m\u{200f}".as_bytes(),
    b"</pre></bdi><script>alert(1)</script><img src=x onerror=alert(1)>",
    b"{{ payload }}&amp;\"'\r\n\0",
    b"{\"\x7f\xc2\x9b[31m\xe2\x80\xae<b>\":\"\xed\xa0\x80\"}",
];

/// Whether a terminal or a page would take some of it for more than letters.
fn is_harmful(text: &str) -> bool {
    text.chars().any(|character| {
        let turns = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        turns
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{61c}' | '\u{feff}')
            || (character.is_control() && character != '\n')
    })
}

async fn hostile() -> (World, Replica, BTreeMap<u64, Vec<u8>>) {
    let world = World::new().await;
    let replica = world.serve("brave").await;
    let refused = cases().into_iter().filter(|case| {
        matches!(case.expected, Expected::Refused(_)) && case.payload.len() < MOST_BYTES
    });
    let payloads = refused.map(|case| case.payload);
    let payloads = payloads.chain(FOR_ONLOOKERS.map(Vec::from));
    let payloads: BTreeMap<u64, Vec<u8>> = (1..).zip(payloads).collect();
    assert!(payloads.len() > 55, "more than a page");
    world.publish_raw(payloads.values().cloned().map(Bytes::from)).await;
    world.until_drained().await;
    (world, replica, payloads)
}

#[tokio::test]
async fn hostile_rejects_are_exported_whole_and_listed_harmless() {
    let (world, _replica, payloads) = hostile().await;
    let exported = rejects(&world, &["export", "--output", "rejects.ndjson"]).await;
    assert_eq!(exported.code, 0, "{}", exported.stderr);
    let file = world.path().join("rejects.ndjson");
    let text = std::fs::read_to_string(&file).expect("the export");
    let mut ids = BTreeMap::new();
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).expect("JSON");
        let sequence = record["sequence"].as_u64().expect("a sequence");
        let payload = STANDARD.decode(record["payload_base64"].as_str().expect("a payload"));
        assert!(payload.as_ref() == Ok(&payloads[&sequence]), "{sequence} is not what came in");
        assert_eq!(record["size_bytes"].as_u64(), Some(payloads[&sequence].len() as u64));
        ids.insert(record["id"].as_i64().expect("an id"), sequence);
    }
    assert_eq!(ids.len(), payloads.len());

    let again = rejects(&world, &["export", "--output", "rejects.ndjson"]).await;
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("rejects.ndjson is there already"), "{}", again.stderr);
    assert_eq!(std::fs::read_to_string(&file).expect("the export"), text, "it is overwritten");

    let listed = rejects(&world, &["list"]).await;
    assert!(!is_harmful(listed.text()), "{}", listed.text());
    let shown = listed.text().lines().skip(1).map(|line| line.split_whitespace().next());
    let newest_first: Vec<String> = ids.keys().rev().map(i64::to_string).collect();
    assert_eq!(shown.flatten().collect::<Vec<_>>(), newest_first);
    let lines = rejects(&world, &["list", "--json", "--limit", "3"]).await;
    assert_eq!(lines.text().lines().count(), 3);

    for (id, sequence) in ids.iter().rev().take(FOR_ONLOOKERS.len() + 2) {
        let id = id.to_string();
        let raw = rejects(&world, &["show", "--raw", &id]).await;
        assert!(raw.stdout == payloads[sequence], "{id} is not what came in");
        let shown = rejects(&world, &["show", &id]).await;
        assert_eq!(shown.code, 0, "{}", shown.stderr);
        assert!(!is_harmful(shown.text()), "{}", shown.text());
    }
    let none = rejects(&world, &["show", "999999"]).await;
    assert_eq!((none.code, none.stdout.len()), (1, 0));
    assert!(none.stderr.contains("no reject 999999"), "{}", none.stderr);
}

#[tokio::test]
async fn the_pages_show_every_reject_and_none_becomes_markup() {
    let (_world, replica, payloads) = hostile().await;
    let mut ids = Vec::new();
    let mut path = Some("/rejects".to_owned());
    while let Some(next) = path.take() {
        let page = replica.admin(&next).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.headers["content-security-policy"].to_str().unwrap().contains("'none'"));
        assert!(!is_harmful(page.text()) && !page.text().contains("<script"), "{next}");
        let links = page.text().split("<a href=\"").skip(1);
        for link in links.filter_map(|rest| rest.split('"').next()) {
            match link.strip_prefix("/rejects/") {
                Some(id) => ids.push(id.to_owned()),
                None if link.contains("before") => path = Some(link.replace("&amp;", "&")),
                None => {}
            }
        }
    }
    assert_eq!(ids.len(), payloads.len(), "each once over all pages");
    assert!(ids.is_sorted_by_key(|id| -id.parse::<i64>().unwrap()), "{ids:?}");

    for id in &ids {
        let page = replica.admin(&format!("/rejects/{id}")).await;
        assert_eq!(page.status, StatusCode::OK, "{id}");
        let text = page.text();
        assert!(!is_harmful(text), "{text}");
        for markup in ["<script", "<img src=x", "<b>", "</pre></bdi><"] {
            assert!(!text.contains(markup), "{markup} in {text}");
        }
        let file = replica.admin(&format!("/rejects/{id}/payload")).await;
        assert!(payloads.values().any(|payload| *payload == file.body), "{id}");
        assert_eq!(file.headers["content-type"], "application/octet-stream");
        assert_eq!(file.headers["x-content-type-options"], "nosniff");
        let disposition = format!("attachment; filename=\"reject-{id}.bin\"");
        assert_eq!(file.headers["content-disposition"], disposition.as_str());
    }

    let deep = replica.admin("/rejects?reason=too_deep").await;
    let reasons = deep.text().matches("data-label=\"Reason\" class=\"whole\">").count();
    assert!(reasons > 0);
    assert_eq!(deep.text().matches("class=\"whole\">too_deep<").count(), reasons);
    for (path, status, word) in [
        ("/rejects?reason=mood", StatusCode::BAD_REQUEST, "not_json"),
        ("/rejects?before=x", StatusCode::BAD_REQUEST, "whole number"),
        ("/rejects?before=1&before=2", StatusCode::BAD_REQUEST, "whole number"),
        ("/rejects?before=1", StatusCode::OK, "No older rejects"),
        ("/rejects/999999", StatusCode::NOT_FOUND, "No such reject"),
        ("/rejects/%3Cscript%3E", StatusCode::NOT_FOUND, "No such reject"),
        ("/rejects/999999/payload", StatusCode::NOT_FOUND, "No such reject"),
    ] {
        let reply = replica.admin(path).await;
        assert_eq!(reply.status, status, "{path}");
        assert!(reply.text().contains(word), "{path}: {}", reply.text());
    }
    assert_eq!(replica.get("/rejects").await.status, StatusCode::NOT_FOUND, "not for the public");
}

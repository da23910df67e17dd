//! Orders with the personal fields masked: another representation, never mixed up with the whole.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{MASKED, ORDERS, ask, field, guarded, guarded_with_model, send, site, with};
use crate::service::{MODEL, MODEL_UID, Replica, World, order};

/// What of the canonical order leads to a person.
const PERSONAL: [&str; 5] =
    ["Test Testov", "+9720000000", "2639809", "Ploshad Mira 15", "test@gmail.com"];

fn is_masked(text: &str) -> bool {
    let found = PERSONAL.iter().filter(|personal| text.contains(**personal)).count();
    assert!(found == 0 || found == PERSONAL.len(), "half masked: {text}");
    found == 0
}

#[tokio::test]
async fn a_masked_order_is_whole_but_for_what_is_personal() {
    let (_world, replica) = guarded_with_model().await;
    let address = site(&replica, &format!("/api/v1/orders/{MODEL_UID}"));
    let full = with(&replica, &address, ORDERS).await;
    let masked = with(&replica, &address, MASKED).await;
    assert_eq!(&full.body[..], MODEL);
    let mut expected: Value = serde_json::from_slice(MODEL).expect("JSON");
    for name in ["name", "phone", "zip", "address", "email"] {
        expected["delivery"][name] = json!("***");
    }
    expected["customer_id"] = json!("***");
    let found: Value = serde_json::from_slice(&masked.body).expect("JSON");
    assert_eq!(found, expected);
    for name in ["content-type", "cache-control", "x-content-type-options", "vary"] {
        assert_eq!(field(&masked, name), field(&full, name), "{name}");
    }
    let (full, masked) = (field(&full, "etag"), field(&masked, "etag"));
    assert!(masked.starts_with("\"m") && masked.len() > full.len(), "{masked} {full}");
    // What one has of the one is nothing of the other.
    for (token, etag, status) in [
        (ORDERS, full, StatusCode::NOT_MODIFIED),
        (MASKED, masked, StatusCode::NOT_MODIFIED),
        (ORDERS, masked, StatusCode::OK),
        (MASKED, full, StatusCode::OK),
    ] {
        let bearer = format!("Bearer {token}");
        let fields = [("authorization", &*bearer), ("if-none-match", etag)];
        let reply = ask(&replica, &address, &fields).await;
        assert_eq!(reply.status, status, "{token} {etag}");
        assert_eq!(field(&reply, "vary"), "authorization");
        let body_is_right = reply.body.is_empty() || is_masked(reply.text()) == (token == MASKED);
        assert!(body_is_right, "{token} {etag}");
    }
}

#[tokio::test]
async fn a_field_that_nobody_knows_is_not_shown_masked() {
    let world = World::new().await;
    let replica = guarded(&world, "guarded").await;
    let model = std::str::from_utf8(MODEL).expect("UTF-8");
    let more = model.replacen('{', "{\"passport\": \"AB 123456\",", 1);
    world.publish_raw([more.into()]).await;
    world.until_drained().await;
    let address = site(&replica, &format!("/api/v1/orders/{MODEL_UID}"));
    assert!(with(&replica, &address, ORDERS).await.text().contains("AB 123456"));
    let masked = with(&replica, &address, MASKED).await;
    assert!(masked.status == StatusCode::OK && !masked.text().contains("passport"));
}

/// One of the ways to an order, by one of the tokens; the tags that were answered.
async fn asks(replica: &Replica, token: &str, uid: &str, way: usize) -> Option<String> {
    let bearer = format!("Bearer {token}");
    let fields = [("authorization", &*bearer)];
    let reply = match way {
        0 | 1 => ask(replica, &site(replica, &format!("/api/v1/orders/{uid}")), &fields).await,
        2 => ask(replica, &site(replica, &format!("/orders/{uid}")), &fields).await,
        _ => {
            let body = json!({ "uids": [uid, "nobody-knows", uid] }).to_string();
            let address = site(replica, "/api/v1/orders/lookup");
            send(replica, Method::POST, &address, &fields, body.leak()).await
        }
    };
    assert_eq!(reply.status, StatusCode::OK, "{token} {uid}");
    assert_eq!(is_masked(reply.text()), token == MASKED, "{token} {uid}: {}", reply.text());
    reply.headers.get("etag").map(|etag| format!("{uid} {}", etag.to_str().expect("text")))
}

/// Many at once ask for the same orders, most of which are not in memory at first, over the same
/// connections, with one token and the other.
#[tokio::test]
async fn masked_and_whole_orders_are_never_mixed_up() {
    let world = World::new().await;
    let first = guarded(&world, "first").await;
    let uids: Vec<String> = (0..40).map(|n| format!("order-{n}")).collect();
    world.publish_raw(uids.iter().map(|uid| order(uid))).await;
    world.until_drained().await;
    drop(first);
    let file = super::tokens_file(&world);
    let settings = [
        ("WAYBILL_ACCESS__MODE", "tokens"),
        ("WAYBILL_ACCESS__TOKENS_FILE", &*file),
        ("WAYBILL_CACHE__WARM_UP", "false"),
        ("WAYBILL_CACHE__FOLLOW_INTERVAL", "0s"),
    ];
    let cold = world.start("cold", &settings).await;
    cold.until_ready().await;
    let askers = (0..16).map(async |asker: usize| {
        let mut tags = [BTreeSet::new(), BTreeSet::new()];
        for step in 0..100 {
            let uid = &uids[(step * 7 + asker / 4) % uids.len()];
            let which = (asker + step) % 2;
            tags[which].extend(asks(&cold, [ORDERS, MASKED][which], uid, step % 4).await);
        }
        tags
    });
    let mut all = [BTreeSet::new(), BTreeSet::new()];
    for tags in join_all(askers).await {
        for (all, tags) in all.iter_mut().zip(tags) {
            all.extend(tags);
        }
    }
    let [full, masked] = all;
    assert!(full.len() > 20 && masked.len() > 20, "{full:?} {masked:?}");
    assert!(full.is_disjoint(&masked), "{full:?} {masked:?}");
    assert!(cold.metric("waybill_cache_misses_total").await >= 20.0);
}

//! Tokens that a file lists.

use std::fs;

use http::{Method, StatusCode};
use testbed::eventually;

use super::{
    ADMIN, ENDED, MASKED, ORDERS, REJECTS, admin, ask, entry, field, guarded_with_model, send,
    site, with,
};
use crate::service::{MODEL, MODEL_UID, PATIENCE, Reply};

const LOOKUP: &str = "/api/v1/orders/lookup";

#[tokio::test]
async fn each_address_wants_its_scope() {
    let (_world, replica) = guarded_with_model().await;
    let order = format!("/api/v1/orders/{MODEL_UID}");
    let page = format!("/orders/{MODEL_UID}");
    let orders = &[ORDERS, MASKED][..];
    let everybody = &[ORDERS, MASKED, REJECTS, ADMIN, "", "unknown", ENDED][..];
    for (address, allowed) in [
        (site(&replica, "/"), orders),
        (site(&replica, &page), orders),
        (site(&replica, &order), orders),
        (site(&replica, "/orders?uid=a%20b"), orders),
        (site(&replica, "/no/such/page"), orders),
        (site(&replica, "/api/v1/openapi.json"), everybody),
        (site(&replica, "/problems"), everybody),
        (site(&replica, "/problems/token-required"), everybody),
        (site(&replica, "/static/style.css"), everybody),
        (site(&replica, "/static/page.js"), everybody),
        (site(&replica, "/static/icon.svg"), everybody),
        (admin(&replica, "/livez"), everybody),
        (admin(&replica, "/readyz?verbose"), everybody),
        (admin(&replica, "/metrics"), everybody),
        (admin(&replica, "/problems/invalid-token"), everybody),
        (admin(&replica, "/static/style.css"), everybody),
        (admin(&replica, "/rejects"), &[REJECTS]),
        (admin(&replica, "/rejects/1"), &[REJECTS]),
        (admin(&replica, "/rejects/1/payload"), &[REJECTS]),
        (admin(&replica, "/statusz"), &[ADMIN]),
        (admin(&replica, "/statusz.json"), &[ADMIN]),
        (admin(&replica, "/orders"), &[ADMIN]),
        (admin(&replica, "/orders.json"), &[ADMIN]),
        (admin(&replica, "/log-filter"), &[ADMIN]),
        (admin(&replica, "/rejectsx"), &[ADMIN]),
        (admin(&replica, "/"), &[ADMIN]),
    ] {
        for token in everybody {
            let reply = match *token {
                "" => ask(&replica, &address, &[]).await,
                token => with(&replica, &address, token).await,
            };
            let (status, challenge) = (reply.status.as_u16(), field(&reply, "www-authenticate"));
            if allowed.contains(token) {
                assert!(![401, 403].contains(&status), "{address} with `{token}`: {status}");
                continue;
            }
            let (expected, says) = match *token {
                "" => (401, "Bearer realm=\"waybill\""),
                "unknown" | ENDED => (401, "Bearer realm=\"waybill\", error=\"invalid_token\""),
                _ => (403, "Bearer realm=\"waybill\", error=\"insufficient_scope\", scope=\""),
            };
            assert_eq!(status, expected, "{address} with `{token}`");
            assert!(challenge.starts_with(says), "{address} with `{token}`: {challenge}");
            assert_eq!(field(&reply, "cache-control"), "no-store");
            assert!(!reply.text().contains(MODEL_UID), "{}", reply.text());
        }
    }
}

#[tokio::test]
async fn a_token_counts_in_one_header_field_alone() {
    let (_world, replica) = guarded_with_model().await;
    let order = site(&replica, &format!("/api/v1/orders/{MODEL_UID}"));
    let bearer = format!("Bearer {ORDERS}");
    let ok = ask(&replica, &order, &[("authorization", &bearer)]).await;
    assert_eq!((ok.status, &ok.body[..]), (StatusCode::OK, MODEL));
    assert_eq!(field(&ok, "vary"), "authorization");
    for fields in [
        &[("authorization", ORDERS)][..],
        &[("authorization", &format!("Basic {ORDERS}"))],
        &[("authorization", &bearer), ("authorization", &bearer)],
        &[("x-forwarded-access-token", ORDERS)],
        &[("cookie", &format!("access_token={ORDERS}"))],
    ] {
        let refused = ask(&replica, &order, fields).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{fields:?}");
    }
    let query = ask(&replica, &format!("{order}?access_token={ORDERS}"), &[]).await;
    assert_eq!(query.status, StatusCode::UNAUTHORIZED);
    let oversized = format!("Bearer {}", "x".repeat(9_000));
    let refused = ask(&replica, &order, &[("authorization", &oversized)]).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    for (reason, times) in
        [("missing", 5.0), ("malformed", 1.0), ("too_long", 1.0), ("insufficient_scope", 0.0)]
    {
        let series = format!("waybill_access_refusals_total{{reason=\"{reason}\"}}");
        let counted = replica.metric(&series).await;
        assert!((counted - times).abs() < 0.5, "{reason}: {counted}");
    }
}

/// An answer without what differs by the moment.
fn shown(reply: &Reply) -> String {
    let mut headers = reply.headers.clone();
    headers.remove("date");
    format!("{} {headers:?} {}", reply.status, reply.text())
}

/// Nothing is looked up for one who may not see it, so that neither what is answered nor the time
/// that it takes can depend on what is there.
#[tokio::test]
async fn a_refusal_tells_nothing_of_what_is_there() {
    let (_world, replica) = guarded_with_model().await;
    let there = site(&replica, &format!("/api/v1/orders/{MODEL_UID}"));
    let etag = with(&replica, &there, ORDERS).await;
    let etag = field(&etag, "etag").to_owned();
    let looked_up = async || {
        let hits = replica.metric("waybill_cache_hits_total").await;
        hits + replica.metric("waybill_cache_misses_total").await
    };
    let before = looked_up().await;
    for token in ["", "unknown", ENDED, REJECTS] {
        let bearer = format!("Bearer {token}");
        for (path, absent) in [
            (format!("/api/v1/orders/{MODEL_UID}"), "/api/v1/orders/nobody-knows"),
            (format!("/orders/{MODEL_UID}"), "/orders/nobody-knows"),
            (format!("/api/v1/orders/{MODEL_UID}"), "/api/v1/orders/a%20b"),
        ] {
            for known in ["\"x\"", &etag, "*"] {
                let mut fields = vec![("if-none-match", known)];
                if !token.is_empty() {
                    fields.push(("authorization", &bearer));
                }
                let is = ask(&replica, &site(&replica, &path), &fields).await;
                let not = ask(&replica, &site(&replica, absent), &fields).await;
                assert!([401, 403].contains(&is.status.as_u16()), "{path}: {}", is.status);
                assert_eq!(shown(&is), shown(&not), "{path} {known}");
            }
            for method in [Method::HEAD, Method::PUT] {
                let address = site(&replica, &path);
                let fields = [("authorization", &*bearer)];
                let is = send(&replica, method.clone(), &address, &fields, "").await;
                let not = send(&replica, method, &site(&replica, absent), &fields, "").await;
                assert_eq!(shown(&is), shown(&not), "{path}");
            }
        }
        let body = r#"{"uids":["b563feb7b2b84b6test"]}"#;
        let fields = [("authorization", &*bearer)];
        let many = send(&replica, Method::POST, &site(&replica, LOOKUP), &fields, body).await;
        assert!([401, 403].contains(&many.status.as_u16()), "{}", many.status);
    }
    assert!((looked_up().await - before).abs() < 0.5, "something was looked up");
}

#[tokio::test]
async fn the_file_is_read_again_and_a_bad_one_is_not_taken() {
    let (world, replica) = guarded_with_model().await;
    let order = site(&replica, &format!("/api/v1/orders/{MODEL_UID}"));
    let path = world.path().join("tokens.toml");
    let is = async |token: &str| with(&replica, &order, token).await.status;
    assert_eq!((is(ORDERS).await, is("new").await), (StatusCode::OK, StatusCode::UNAUTHORIZED));
    fs::write(&path, entry("new", "orders")).expect("written");
    eventually("the bad file is told", PATIENCE, async || {
        let line = "The tokens known stay in force";
        replica.process.log().contains(line).then_some(())
    })
    .await;
    let log = replica.process.log();
    assert!(log.contains("`orders` is no scope; it must be one of orders:read"), "{log}");
    assert_eq!((is(ORDERS).await, is("new").await), (StatusCode::OK, StatusCode::UNAUTHORIZED));
    fs::write(&path, entry("new", "orders:read")).expect("written");
    eventually("the new token counts", PATIENCE, async || {
        (is("new").await == StatusCode::OK).then_some(())
    })
    .await;
    assert_eq!(is(ORDERS).await, StatusCode::UNAUTHORIZED, "the old one was taken back");
    fs::remove_file(&path).expect("removed");
    assert_eq!(is("new").await, StatusCode::OK);
}

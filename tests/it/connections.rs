//! What single connections see: half-closed ones, ones whose client is gone, and headers that
//! must agree between HEAD, GET and 304.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::Full;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use testbed::eventually;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::service::{MODEL, MODEL_UID, PATIENCE, Replica, World};

/// A replica that finds the model in Postgres and not in memory.
async fn without_a_cache(settings: &[(&str, &str)]) -> (World, Replica) {
    let world = World::new().await;
    let mut storer = world.serve("storer").await;
    world.publish_raw([Bytes::from_static(MODEL)]).await;
    world.until_drained().await;
    assert_eq!(storer.stop().await, Some(0));
    let cold = [
        ("WAYBILL_CACHE__WARM_UP", "false"),
        ("WAYBILL_CACHE__FOLLOW_INTERVAL", "0s"),
        ("WAYBILL_INGEST__ENABLED", "false"),
    ];
    let replica = world.start("cold", &[&cold, settings].concat()).await;
    replica.until_ready().await;
    (world, replica)
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

/// Sends this, ends the sending side as `nc -N` does, and reads until the other side ends.
async fn half_closed(address: std::net::SocketAddr, sent: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(sent.as_bytes()).await.expect("sent");
    stream.shutdown().await.expect("the sending side ends");
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    read.expect("the connection ends").expect("without an error");
    String::from_utf8(answer).expect("UTF-8")
}

#[tokio::test]
async fn a_client_that_ends_its_side_after_the_request_is_answered() {
    let (_world, replica) = without_a_cache(&[]).await;
    let order = format!("/api/v1/orders/{MODEL_UID}");
    for (path, status) in [
        (order.as_str(), "200 OK"),
        (order.as_str(), "200 OK"),
        ("/api/v1/orders/nobody", "404 Not Found"),
        (&format!("/orders/{MODEL_UID}"), "200 OK"),
        ("/", "200 OK"),
    ] {
        let answer = half_closed(replica.site, &get(path)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{path}: {answer}");
    }
    let readyz = half_closed(replica.admin, &get("/readyz?verbose")).await;
    assert!(readyz.starts_with("HTTP/1.1 200"), "{readyz}");

    let misses = get("/api/v1/orders/nobody") + &get("/api/v1/orders/nobody-else");
    let answers = half_closed(replica.site, &misses).await;
    assert_eq!(answers.matches("HTTP/1.1 404").count(), 2, "{answers}");
    assert_eq!(half_closed(replica.site, "GET / HTTP/1.1\r\nHost:").await, "");
    assert_eq!(half_closed(replica.site, "").await, "");
}

#[tokio::test]
async fn a_client_that_is_gone_during_a_miss_frees_its_place() {
    let (world, replica) = without_a_cache(&[("WAYBILL_HTTP__MAX_CONNECTIONS", "4")]).await;
    let mut lock = PgConnection::connect(&world.database.owner_url).await.expect("connected");
    sqlx::raw_sql("begin; lock table orders in access exclusive mode")
        .execute(&mut lock)
        .await
        .expect("no lookup gets through");
    for (index, resets) in [(0, true), (1, false), (2, true), (3, false)] {
        let mut stream = TcpStream::connect(replica.site).await.expect("connected");
        let request = get(&format!("/api/v1/orders/gone-{index}"));
        stream.write_all(request.as_bytes()).await.expect("sent");
        eventually("the miss is under way", PATIENCE, async || {
            let misses = replica.metric("waybill_cache_misses_total").await;
            (misses + 0.5 > f64::from(index + 1)).then_some(())
        })
        .await;
        if resets {
            stream.set_zero_linger().expect("set");
        }
    }
    // Each miss is answered with 503 within `cache.miss_timeout`, 2 s here, to nobody.
    eventually("a place is free again", Duration::from_secs(10), async || {
        let mut stream = TcpStream::connect(replica.site).await.ok()?;
        stream.write_all(get("/").as_bytes()).await.ok()?;
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.ok()?;
        (&first == b"HTTP/1.1 200").then_some(())
    })
    .await;
    lock.close().await.expect("the lock ends");
}

async fn ask(replica: &Replica, method: Method, path: &str, etag: Option<&str>) -> Seen {
    let mut request =
        Request::builder().method(method).uri(format!("http://{}{path}", replica.site));
    if let Some(etag) = etag {
        request = request.header("if-none-match", etag);
    }
    let request = request.body(Full::default()).expect("a valid request");
    let reply = replica.request(request).await.expect("an answer");
    let mut headers = reply.headers;
    headers.remove("date");
    Seen { status: reply.status, headers, length: reply.body.len() }
}

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: StatusCode,
    headers: HeaderMap,
    length: usize,
}

#[tokio::test]
async fn head_says_what_get_says_and_no_answer_tells_a_false_length() {
    let (_world, replica) = without_a_cache(&[]).await;
    let (api, page) = (format!("/api/v1/orders/{MODEL_UID}"), format!("/orders/{MODEL_UID}"));
    for path in [
        api.as_str(),
        &page,
        "/",
        "/api/v1/openapi.json",
        "/static/style.css",
        "/static/icon.svg",
        "/api/v1/orders/nobody",
        "/api/v1/orders/a%2Fb",
        "/orders/nobody",
        "/orders/a%2Fb",
        "/orders?uid=a",
        "/nowhere",
        "/api/nowhere",
    ] {
        let got = ask(&replica, Method::GET, path, None).await;
        let head = ask(&replica, Method::HEAD, path, None).await;
        assert_eq!((head.status, &head.headers), (got.status, &got.headers), "{path}");
        assert_eq!(head.length, 0, "{path}");
        let length = got.headers.get("content-length").expect("a length").to_str().expect("ASCII");
        assert_eq!(length.parse(), Ok(got.length), "{path}");

        let Some(etag) = got.headers.get("etag") else { continue };
        let etag = etag.to_str().expect("ASCII");
        for method in [Method::GET, Method::HEAD] {
            let unchanged = ask(&replica, method.clone(), path, Some(etag)).await;
            assert_eq!(unchanged.status, StatusCode::NOT_MODIFIED, "{method} {path}");
            assert_eq!(unchanged.headers.get("content-length"), None, "{method} {path}");
            assert_eq!(unchanged.headers["etag"], etag, "{method} {path}");
        }
    }
}

//! Many orders in one answer.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::service::{MODEL, MODEL_UID, Replica, Reply, World, order};

async fn post(replica: &Replica, body: impl Into<Bytes>) -> Reply {
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://{}/api/v1/orders/lookup", replica.site))
        .body(Full::new(body.into()))
        .expect("a valid request");
    replica.request(request).await.expect("an answer")
}

async fn look_up(replica: &Replica, uids: &[impl AsRef<str>]) -> Vec<Value> {
    let uids: Vec<&str> = uids.iter().map(AsRef::as_ref).collect();
    let reply = post(replica, json!({"uids": uids}).to_string()).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    assert_eq!(reply.headers["content-type"], "application/json");
    let mut answer: Value = serde_json::from_slice(&reply.body).expect("JSON");
    let Value::Array(orders) = answer["orders"].take() else { panic!("no list of orders") };
    let asked = orders.iter().map(|order| order["uid"].as_str().expect("an id"));
    assert!(asked.eq(uids.iter().copied()), "not in the order in which they were asked");
    orders
}

fn statuses(orders: &[Value]) -> Vec<u64> {
    orders.iter().map(|order| order["status"].as_u64().expect("a status")).collect()
}

#[tokio::test]
async fn each_id_is_answered_as_it_would_be_alone() {
    let world = World::new().await;
    let replica = world.serve("many").await;
    // An id that is also the last part of the address.
    world.publish_raw([Bytes::from_static(MODEL), order("lookup")]).await;
    world.until_drained().await;
    let orders = look_up(&replica, &[MODEL_UID, "unknown", "a/\"b", MODEL_UID, "lookup"]).await;
    assert_eq!(statuses(&orders), [200, 404, 400, 200, 200]);
    assert!(orders[2]["detail"].as_str().expect("why").contains("character"), "{}", orders[2]);
    let body = post(&replica, json!({"uids": [MODEL_UID]}).to_string()).await.body;
    let head = format!(r#"{{"orders":[{{"uid":"{MODEL_UID}","status":200,"order":"#);
    assert_eq!(body, [head.as_bytes(), MODEL, b"}]}"].concat());
    assert_eq!(replica.order("lookup").await.status, StatusCode::OK);
    assert_eq!(look_up(&replica, &[] as &[&str]).await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_thousand_orders_come_whole_from_memory_and_from_postgres() {
    let world = World::new().await;
    let uids: Vec<String> = (0..1_000).map(|n| format!("order-{n}")).collect();
    for cache in ["256MiB", "256KiB"] {
        let settings = [("WAYBILL_CACHE__MAX_BYTES", cache)];
        let mut replica = world.start("thousand", &settings).await;
        replica.until_ready().await;
        world.publish_raw(uids.iter().map(|uid| order(uid))).await;
        world.until_drained().await;
        let orders = look_up(&replica, &uids).await;
        for (uid, found) in uids.iter().zip(&orders) {
            let published: Value = serde_json::from_slice(&order(uid)).expect("JSON");
            assert_eq!((found["status"].as_u64(), &found["order"]), (Some(200), &published));
        }
        assert_eq!(replica.stop().await, Some(0));
    }
}

#[tokio::test]
async fn what_is_no_list_of_ids_is_told() {
    let world = World::new().await;
    let replica = world.serve("strict").await;
    let many: Vec<String> = (0..1_001).map(|n| n.to_string()).collect();
    for (body, detail) in [
        (String::new(), "EOF while parsing"),
        ("[]".to_owned(), "must be an object as in"),
        (r#"{"uids":"a"}"#.to_owned(), "invalid type"),
        (r#"{"uids":[1]}"#.to_owned(), "invalid type"),
        (r#"{"uids":[],"more":1}"#.to_owned(), "unknown field `more`"),
        (json!({"uids": many}).to_string(), "`uids` has 1001 ids; must be 1000 at most"),
    ] {
        let reply = post(&replica, body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        assert_eq!(reply.headers["content-type"], "application/problem+json");
        assert!(reply.text().contains(detail), "{}", reply.text());
    }
    let reply = post(&replica, vec![b' '; (256 << 10) + 1]).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", reply.text());
    let lookups = r#"waybill_http_requests_total{code="400",method="post",route="orders_lookup"}"#;
    assert!((replica.metric(lookups).await - 6.0).abs() < 0.5);
}

#[tokio::test]
async fn while_postgres_is_away_only_what_is_not_in_memory_cannot_be_told() {
    let world = World::new().await;
    let replica = world.serve("half").await;
    world.publish_raw([Bytes::from_static(MODEL)]).await;
    world.until_drained().await;
    let mut lock = PgConnection::connect(&world.database.owner_url).await.expect("connected");
    sqlx::raw_sql("begin; lock table orders in access exclusive mode")
        .execute(&mut lock)
        .await
        .expect("no lookup gets through");
    let unknown: Vec<String> = (0..100).map(|n| format!("unknown-{n}")).collect();
    let asked = [&[MODEL_UID.to_owned()], &unknown[..]].concat();
    let began = std::time::Instant::now();
    let orders = look_up(&replica, &asked).await;
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    assert_eq!(statuses(&orders), [&[200], &[503; 100][..]].concat());
    lock.close().await.expect("the lock ends");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let world = World::new().await;
    let replica = world.serve("slow").await;
    let mut stream = TcpStream::connect(replica.site).await.expect("connected");
    let head = "POST /api/v1/orders/lookup HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(answer, b"HTTP/1.1 408");
}

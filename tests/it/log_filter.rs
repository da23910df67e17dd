//! `/log-filter`: what is logged changes while the service runs.

use http::{Request, StatusCode};
use serde_json::Value;
use testbed::eventually;

use crate::service::{MODEL_UID, PATIENCE, Replica, Reply, World};

async fn put(replica: &Replica, body: impl Into<Vec<u8>>) -> Reply {
    let body: Vec<u8> = body.into();
    let request = Request::builder()
        .method("PUT")
        .uri(format!("http://{}/log-filter", replica.admin))
        .body(body.into())
        .expect("a request");
    replica.request(request).await.expect("an answer")
}

async fn logged(replica: &Replica, text: &str) {
    eventually(text, PATIENCE, async || replica.process.log().contains(text).then_some(())).await;
}

#[tokio::test]
async fn the_filter_is_changed_told_and_logged() {
    let world = World::new().await;
    let replica = world.serve("chatty").await;
    assert_eq!(replica.admin("/log-filter").await.text(), "info\n");
    assert!(!replica.process.log().contains("\"level\":\"DEBUG\""));

    let reply = put(&replica, "info,stan=debug,waybill=trace\n").await;
    assert_eq!((reply.status, reply.text()), (StatusCode::OK, "info,stan=debug,waybill=trace\n"));
    assert_eq!(replica.admin("/log-filter").await.text(), "info,stan=debug,waybill=trace\n");
    logged(&replica, "\"from\":\"info\",\"to\":\"info,stan=debug,waybill=trace\"").await;
    world.publish_raw([bytes::Bytes::from_static(crate::service::MODEL)]).await;
    world.until_drained().await;
    assert_eq!(replica.order(MODEL_UID).await.status, StatusCode::OK);

    // A statement runs under a subscriber of its own, which is to see the change too.
    assert!(!replica.process.log().contains("\"target\":\"sqlx::query\""));
    put(&replica, "info,sqlx=debug").await;
    assert_eq!(replica.order("nobody").await.status, StatusCode::NOT_FOUND);
    logged(&replica, "\"target\":\"sqlx::query\"").await;

    put(&replica, "error").await;
    logged(&replica, "\"to\":\"error\"").await;
    let lines = replica.process.log().lines().count();
    world.publish_raw([bytes::Bytes::from_static(b"no order")]).await;
    world.until_drained().await;
    assert_eq!(replica.process.log().lines().count(), lines, "{}", replica.process.log());
    put(&replica, "info").await;
    logged(&replica, "\"from\":\"error\",\"to\":\"info\"").await;
    world.publish_raw([bytes::Bytes::from_static(b"no order")]).await;
    logged(&replica, "Message 3 is refused and kept").await;
}

#[tokio::test]
async fn a_filter_that_is_none_is_a_problem_that_names_the_mistake() {
    let world = World::new().await;
    let replica = world.serve("strict").await;
    for (body, status, detail) in [
        (
            b"info,waybill=loud".to_vec(),
            StatusCode::BAD_REQUEST,
            "`waybill=loud` is not a directive",
        ),
        (b"".to_vec(), StatusCode::BAD_REQUEST, "it is empty"),
        (b"\xff".to_vec(), StatusCode::BAD_REQUEST, "not UTF-8"),
        (vec![b'a'; 5000], StatusCode::PAYLOAD_TOO_LARGE, "at most 4096 bytes"),
    ] {
        let reply = put(&replica, body).await;
        assert_eq!(reply.status, status, "{detail}");
        assert_eq!(reply.headers["content-type"], "application/problem+json");
        let problem: Value = serde_json::from_slice(&reply.body).expect("JSON");
        assert!(problem["detail"].as_str().expect("a detail").contains(detail), "{problem}");
    }
    assert_eq!(replica.admin("/log-filter").await.text(), "info\n", "nothing has changed");
    assert_eq!(
        replica.get("/log-filter").await.status,
        StatusCode::NOT_FOUND,
        "not for the public"
    );
    let delete = Request::builder()
        .method("DELETE")
        .uri(format!("http://{}/log-filter", replica.admin))
        .body(bytes::Bytes::new().into())
        .expect("a request");
    let reply = replica.request(delete).await.expect("an answer");
    assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
}

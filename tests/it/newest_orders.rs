//! `/orders` and `/orders.json` on the admin port.

use http::StatusCode;
use serde_json::Value;
use testbed::{Postgres, eventually};

use crate::service::{PATIENCE, Replica, World, order};

async fn json(replica: &Replica, path: &str) -> (StatusCode, Value) {
    let reply = replica.admin(path).await;
    assert_eq!(reply.headers["cache-control"], "no-store", "{path}");
    (reply.status, serde_json::from_slice(&reply.body).expect("JSON"))
}

fn uids(list: &Value) -> Vec<&str> {
    let orders = list["orders"].as_array().expect("orders");
    orders.iter().map(|order| order["uid"].as_str().expect("an id")).collect()
}

#[tokio::test]
async fn operators_see_the_newest_orders_by_their_ids_alone() {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let replica = world.serve("told").await;
    let (_, none) = json(&replica, "/orders.json").await;
    assert_eq!(uids(&none), [""; 0]);
    assert!(replica.admin("/orders").await.text().contains("No orders."));
    for uid in ["one", "two", "three"] {
        world.publish_raw([order(uid)]).await;
        world.until_drained().await;
    }
    let old = "update orders set received_at = now() - interval '28 hours 3 minutes' \
               where order_uid = 'one'";
    world.sql(postgres, old).await;

    let (status, list) = json(&replica, "/orders.json").await;
    assert_eq!((status, uids(&list)), (StatusCode::OK, vec!["three", "two", "one"]));
    assert!(list["told_at"].as_str().expect("a moment").ends_with('Z'));
    let oldest = &list["orders"][2];
    assert_eq!(oldest["sequence"], 1);
    assert!((100_980.0..101_100.0).contains(&oldest["age_seconds"].as_f64().expect("an age")));
    assert!(oldest["stored_at"].as_str().expect("a moment").ends_with('Z'));
    let members: Vec<_> = oldest.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["age_seconds", "sequence", "stored_at", "uid"], "and nothing more");
    let (_, two) = json(&replica, "/orders.json?limit=2").await;
    assert_eq!(uids(&two), ["three", "two"]);

    let page = replica.admin("/orders").await;
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    let text = page.text();
    let places = ["three", "two", "one"].map(|uid| text.find(&format!("<bdi>{uid}<")));
    assert!(places.is_sorted() && places[0].is_some(), "{text}");
    assert!(text.contains("1day 4h"), "{text}");
    for personal in ["Test Testov", "test@gmail.com", "<script"] {
        assert!(!text.contains(personal), "{personal} is in {text}");
    }
    assert!(text.contains("/orders.json?limit=50") && text.contains("href=\"/rejects\""), "{text}");
    assert_eq!(replica.get("/orders.json").await.status, StatusCode::NOT_FOUND, "not public");
    let manual = std::fs::read_to_string("docs/operations.md").expect("the manual");
    assert!(members.iter().all(|name| manual.contains(&format!("`{name}`"))), "{members:?}");
}

#[tokio::test]
async fn a_list_has_1_to_500_rows() {
    let world = World::new().await;
    let replica = world.serve("bounded").await;
    for limit in ["1", "500"] {
        assert_eq!(json(&replica, &format!("/orders.json?limit={limit}")).await.0, StatusCode::OK);
    }
    for limit in ["0", "501", "-1", "many", "", "99999999999999999999", "%3Cscript%3E", "1&limit=2"]
    {
        let (status, problem) = json(&replica, &format!("/orders.json?limit={limit}")).await;
        assert_eq!((status, &problem["status"]), (StatusCode::BAD_REQUEST, &400.into()), "{limit}");
        assert_eq!(problem["type"], "/problems/invalid-limit");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains("must be a whole number from 1 to 500"), "{detail}");
        let page = replica.admin(&format!("/orders?limit={limit}")).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{limit}");
        assert!(page.text().contains("from 1 to 500"), "{}", page.text());
        assert!(!page.text().contains("<script"), "{}", page.text());
    }
}

#[tokio::test]
async fn without_postgres_the_lists_say_why_there_is_none() {
    let mut postgres = Postgres::start().await.expect("a Postgres");
    let world = World::on(&postgres).await;
    let settings = [("WAYBILL_DATABASE__CONNECT_TIMEOUT", "500ms")];
    let replica = world.start("alone", &settings).await;
    replica.until_ready().await;
    eventually("there is a list", PATIENCE, async || {
        (replica.admin("/orders").await.status == StatusCode::OK).then_some(())
    })
    .await;
    postgres.kill().expect("killed");
    let (status, problem) = json(&replica, "/orders.json").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(problem["type"], "/problems/database-unavailable");
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.starts_with("postgres "), "{detail}");
    let page = replica.admin("/orders").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.text().contains("It is because: "), "{}", page.text());
    for path in ["/orders", "/orders.json"] {
        assert!(replica.admin(path).await.headers.contains_key("retry-after"), "{path}");
    }
}

//! The orders that were stored last.

use std::fs;

use serde_json::Value;
use testbed::{Database, Postgres};
use waybill::store::StoredOrder;

use super::{migrated, open, order, owner};

fn uids(orders: &[StoredOrder]) -> Vec<&str> {
    orders.iter().map(|order| order.uid.as_str()).collect()
}

#[tokio::test]
async fn the_newest_come_first_with_their_sequence_and_age() {
    let database = migrated().await;
    let store = open(&database);
    assert_eq!(store.newest_orders(10).await.unwrap(), []);
    store.insert_orders(&[order("b", "{}", 1), order("a", "{}", 2)]).await.unwrap();
    store.insert_orders(&[order("c", "{}", 3)]).await.unwrap();
    let old = "insert into orders values ('old', '{}', 9, now() - interval '26 hours', 3)";
    owner(&database, old).await;

    let newest = store.newest_orders(10).await.unwrap();
    assert_eq!(uids(&newest), ["c", "a", "b", "old"], "of one batch the highest sequence first");
    assert_eq!(newest.iter().map(|order| order.sequence).collect::<Vec<_>>(), [3, 2, 1, 9]);
    assert!((0.0..60.0).contains(&newest[0].age_seconds), "{newest:?}");
    assert!((93_600.0..93_660.0).contains(&newest[3].age_seconds), "{newest:?}");
    let now = time::OffsetDateTime::now_utc().year().to_string();
    let stored_at = &newest[0].stored_at;
    assert!(stored_at.starts_with(&now) && stored_at.ends_with('Z'), "{stored_at}");
    assert_eq!(uids(&store.newest_orders(2).await.unwrap()), ["c", "a"]);
}

#[tokio::test]
async fn what_was_restored_from_another_server_is_not_the_newest() {
    let database = migrated().await;
    let restored = "insert into orders values ('restored', '{}', 7, now() - interval '1 day', \
                    1000000000000)";
    owner(&database, restored).await;
    let store = open(&database);
    assert_eq!(uids(&store.newest_orders(5).await.unwrap()), ["restored"]);
    store.insert_orders(&[order("new", "{}", 1)]).await.unwrap();
    assert_eq!(uids(&store.newest_orders(5).await.unwrap()), ["new", "restored"]);
}

/// The statement as the compiler has checked it, for 50 rows.
fn statement() -> String {
    let described = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.sqlx")).expect(".sqlx");
    let queries = described.map(|entry| {
        let text = fs::read(entry.expect("an entry").path()).expect("a query");
        serde_json::from_slice::<Value>(&text).expect("JSON")["query"].take()
    });
    let mut queries = queries.filter_map(|query| query.as_str().map(str::to_owned));
    queries.find(|query| query.contains("as restored")).expect("the query").replace("$1", "50")
}

/// Every node of the plan by which the statement was executed.
async fn executed(database: &Database) -> Vec<Value> {
    let sql = format!("explain (analyze, format json) {}", statement());
    let postgres = Postgres::shared().await.expect("Postgres");
    let plan = postgres.psql(&database.owner_url, &sql).await.expect("a plan");
    let plan: Value = serde_json::from_str(&plan).expect("JSON");
    let mut left = vec![plan[0]["Plan"].clone()];
    let mut nodes = Vec::new();
    while let Some(mut node) = left.pop() {
        if let Value::Array(below) = node["Plans"].take() {
            left.extend(below);
        }
        nodes.push(node);
    }
    nodes
}

#[tokio::test]
async fn however_many_there_are_few_are_read_by_the_index() {
    for (transaction, most_read) in [("3 + n / 10", 100), ("3", 10_000)] {
        let database = migrated().await;
        let fill = format!(
            "insert into orders select 'order-' || n, '{{}}', n, now(), {transaction} \
             from generate_series(1, 40000) as n; analyze orders"
        );
        owner(&database, &fill).await;
        let nodes = executed(&database).await;
        let scans: Vec<_> = nodes.iter().filter(|node| node["Relation Name"] == "orders").collect();
        assert_eq!(scans.len(), 2, "{nodes:#?}");
        for scan in scans {
            assert_eq!(scan["Index Name"], "orders_tx", "{scan:#?}");
            let read = scan["Actual Rows"].as_f64().expect("a number");
            assert!(read <= f64::from(most_read), "{read} rows were read: {scan:#?}");
        }
    }
}

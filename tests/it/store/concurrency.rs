//! Writers of the same orders at once, here and on other replicas, and others at the table.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use testbed::{Postgres, eventually};
use waybill::store::{Class, Found, Outcome};

use super::{execute, migrated, open, order};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_writers_that_race_exactly_one_stores_each_order_and_all_agree() {
    const WRITERS: usize = 4;
    let database = migrated().await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    // Two replicas, each with two writers on one pool.
    let replicas = [open(&database), open(&database)];
    let documents: Vec<String> = (0..WRITERS).map(|writer| format!("{{\"n\":{writer}}}")).collect();
    for round in 0..15 {
        let uids: Vec<String> = (0..100).map(|n| format!("{round}-{n:02}")).collect();
        let batches: Vec<Vec<_>> = (0..WRITERS)
            .map(|_| {
                let mut uids: Vec<&String> = uids.iter().collect();
                random.shuffle(&mut uids);
                uids.truncate(80);
                let document = || documents[random.usize(..WRITERS)].as_str();
                let documents = std::iter::repeat_with(document);
                uids.iter().zip(documents).map(|(uid, document)| order(uid, document, 1)).collect()
            })
            .collect();
        let writing = batches.iter().enumerate();
        let writing = writing.map(|(writer, batch)| replicas[writer % 2].insert_orders(batch));
        let outcomes = try_join_all(writing).await.expect("no deadlock");

        let verdicts: Vec<_> = batches.iter().flatten().zip(outcomes.iter().flatten()).collect();
        let stored: Vec<_> =
            verdicts.iter().filter(|(_, outcome)| **outcome == Outcome::Stored).collect();
        let first: HashMap<_, _> =
            stored.iter().map(|(order, _)| (order.uid, order.document)).collect();
        assert_eq!(first.len(), stored.len(), "an order is stored twice");
        let published: HashSet<_> = batches.iter().flatten().map(|order| order.uid).collect();
        assert_eq!(first.len(), published.len(), "an order is stored by nobody");
        for (order, outcome) in verdicts {
            let kept = first[order.uid];
            let agrees = match outcome {
                Outcome::Stored | Outcome::Duplicate => kept == order.document,
                Outcome::Conflict { kept: named, formatting_only: false } => {
                    named == kept && kept != order.document
                }
                _ => false,
            };
            assert!(agrees, "{order:?} beside {kept:?}: {outcome:?}");
        }
        for (uid, document) in first {
            assert_eq!(replicas[0].find(uid).await.unwrap(), Found::Document(document.to_vec()));
        }
    }
}

#[tokio::test]
async fn a_deadlock_with_another_program_is_no_fault_of_the_orders() {
    let database = migrated().await;
    let postgres = Postgres::shared().await.unwrap();
    // The store's wait is the one that finds the deadlock and is ended, though not at once.
    let patience = format!(
        "alter role {} set deadlock_timeout = '3s'; \
         alter role {}_owner set deadlock_timeout = '1h'",
        database.runtime_role, database.name
    );
    execute(&postgres.superuser_url(), &patience).await.unwrap();
    let insert = |uid: &str| {
        format!(
            "insert into orders (order_uid, document, channel_sequence) values ('{uid}', '{{}}', 9)"
        )
    };
    let store = open(&database);
    let mut other = PgConnection::connect(&database.owner_url).await.unwrap();
    other.execute("begin").await.unwrap();
    other.execute(AssertSqlSafe(insert("b"))).await.unwrap();
    let batch = [order("a", "{}", 1), order("b", "{}", 2)];
    let cross = async {
        let waits = format!(
            "select count(*) = 1 from pg_stat_activity \
             where datname = '{}' and wait_event = 'transactionid'",
            database.name
        );
        eventually("the store waits", Duration::from_secs(20), async || {
            (postgres.psql(&postgres.superuser_url(), &waits).await.unwrap() == "t").then_some(())
        })
        .await;
        other.execute(AssertSqlSafe(insert("a"))).await.expect("the store gives way");
        other.execute("commit").await.unwrap();
    };
    let (error, ()) = tokio::join!(store.insert_orders(&batch), cross);
    let error = error.unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error:?}");
    assert!(error.to_string().contains("deadlock detected"), "{error}");
    let outcomes = store.insert_orders(&batch).await.unwrap();
    assert_eq!(outcomes, [Outcome::Duplicate, Outcome::Duplicate]);
    let kept = store.insert_orders(&[order("a", "[]", 3)]).await.unwrap();
    let conflict = Outcome::Conflict { kept: Bytes::from("{}"), formatting_only: false };
    assert_eq!(kept, [conflict]);
}

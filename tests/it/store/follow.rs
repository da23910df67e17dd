//! Following what others commit.

use sqlx::{Connection, PgConnection, query_scalar};
use testbed::Postgres;
use waybill::store::Store;

use super::{CONNECT_TIMEOUT, migrate, migrated, open, order, owner};

#[tokio::test]
async fn each_order_is_seen_once_as_soon_as_it_is_committed() {
    let database = migrated().await;
    let store = open(&database);
    store.insert_orders(&[order("before", "{}", 1)]).await.unwrap();
    // An older transaction that commits after a younger one must neither be missed nor hold
    // the younger one up.
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    let mut slow = connection.begin().await.unwrap();
    let insert = sqlx::query("insert into orders values ('slow', '{}', 2)");
    insert.execute(&mut *slow).await.unwrap();
    let start = store.cursor_now().await.unwrap();
    store.insert_orders(&[order("fast", "{}", 3)]).await.unwrap();

    let early = store.committed_since(&start, 10).await.unwrap();
    assert_eq!(early.uids, ["fast"]);
    let idle = store.committed_since(&early.next, 10).await.unwrap();
    assert_eq!(idle.uids, Vec::<String>::new());

    slow.commit().await.unwrap();
    store.insert_orders(&[order("last", "{}", 4)]).await.unwrap();
    let late = store.committed_since(&idle.next, 10).await.unwrap();
    assert_eq!((late.uids, late.skipped), (vec!["last".to_owned(), "slow".to_owned()], false));
    let end = store.committed_since(&late.next, 10).await.unwrap();
    assert_eq!(end.uids, Vec::<String>::new());
}

#[tokio::test]
async fn what_exceeds_the_cap_is_skipped_from_the_old_end() {
    let store = open(&migrated().await);
    let start = store.cursor_now().await.unwrap();
    for (uid, sequence) in [("a", 1), ("b", 2), ("c", 3)] {
        store.insert_orders(&[order(uid, "{}", sequence)]).await.unwrap();
    }
    let all = store.committed_since(&start, 3).await.unwrap();
    assert_eq!((all.uids.concat().as_str(), all.skipped), ("cba", false));
    let some = store.committed_since(&start, 2).await.unwrap();
    assert_eq!((some.uids.concat().as_str(), some.skipped), ("cb", true));
    let rest = store.committed_since(&some.next, 2).await.unwrap();
    assert_eq!((rest.uids.concat().as_str(), rest.skipped), ("", false));
}

#[tokio::test]
async fn concurrent_writers_are_followed_without_gap_or_repetition() {
    let store = open(&migrated().await);
    let write = async |writer: u32| {
        for n in 0..50 {
            let uid = format!("{writer}-{n:02}");
            store.insert_orders(&[order(&uid, "{}", 1)]).await.unwrap();
        }
    };
    let mut cursor = store.cursor_now().await.unwrap();
    let mut seen = Vec::new();
    let follow = async {
        while seen.len() < 200 {
            let followed = store.committed_since(&cursor, 1000).await.unwrap();
            seen.extend(followed.uids);
            cursor = followed.next;
        }
    };
    tokio::join!(write(0), write(1), write(2), write(3), follow);
    assert_eq!(store.committed_since(&cursor, 1000).await.unwrap().uids, Vec::<String>::new());
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 200);
}

#[tokio::test]
async fn documents_are_fetched_by_uid() {
    let store = open(&migrated().await);
    store.insert_orders(&[order("a", "{}", 1), order("b", "[]", 2)]).await.unwrap();
    let uids = ["b", "nobody"].map(str::to_owned);
    let documents = store.documents(&uids).await.unwrap();
    assert_eq!(documents, [("b".to_owned(), b"[]".to_vec())]);
    assert_eq!(store.documents(&[]).await.unwrap(), []);
}

#[tokio::test]
async fn a_cursor_of_before_a_restore_starts_again_from_the_restored_server() {
    let ahead = migrated().await;
    // Each failed block takes a transaction id of its own.
    let burn = "create table burnt (n int check (n = 0));
        do $$ begin for n in 1..50000 loop
            begin insert into burnt values (n); exception when check_violation then null; end;
        end loop; end $$";
    owner(&ahead, burn).await;
    let store = open(&ahead);
    store.insert_orders(&[order("late", "{}", 1)]).await.unwrap();
    let late = store.cursor_now().await.unwrap();

    let restored = Postgres::start().await.unwrap();
    let database = restored.database().await.unwrap();
    migrate(&database).await;
    let store = Store::new(&database.url, 2, CONNECT_TIMEOUT).unwrap();
    // A row of a dump brings the id of a transaction that this server is yet to reach.
    owner(
        &database,
        "insert into orders (order_uid, document, channel_sequence, tx)
        values ('restored', '{}', 1, 9000000000)",
    )
    .await;
    store.insert_orders(&[order("a", "{}", 1)]).await.unwrap();
    let reset = store.committed_since(&late, 10).await.unwrap();
    assert_eq!(reset.uids, Vec::<String>::new());

    store.insert_orders(&[order("b", "{}", 2)]).await.unwrap();
    assert_eq!(store.committed_since(&reset.next, 10).await.unwrap().uids, ["b"]);
}

#[tokio::test]
async fn ids_of_transactions_that_are_given_again_after_a_crash_are_followed() {
    // What a transaction that is rolled back leaves in the log is flushed by nobody before.
    let mut server = Postgres::start_with(&[("wal_writer_delay", "10s")]).await.unwrap();
    let database = server.database().await.unwrap();
    migrate(&database).await;
    let store = open(&database);
    store.insert_orders(&[order("before", "{}", 1)]).await.unwrap();
    let id = "select pg_current_xact_id()::text::bigint";
    let mut rolled_back: i64 = 0;
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    for _ in 0..20 {
        let mut transaction = connection.begin().await.unwrap();
        rolled_back = query_scalar(id).fetch_one(&mut *transaction).await.unwrap();
        transaction.rollback().await.unwrap();
    }
    let cursor = store.cursor_now().await.unwrap();
    server.kill().unwrap();
    server.start_again().await.unwrap();

    store.insert_orders(&[order("after", "{}", 2)]).await.unwrap();
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    let given: i64 = query_scalar("select tx from orders where order_uid = 'after'")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!(given <= rolled_back, "{given} is not given again after {rolled_back}");
    assert_eq!(store.committed_since(&cursor, 10).await.unwrap().uids, ["after"]);
}

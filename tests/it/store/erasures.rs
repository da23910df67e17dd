//! Erasing orders: what goes, what is put on record, and that nothing comes back.

use std::collections::HashSet;
use std::time::Duration;

use order::OrderUid;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use testbed::{Database, Postgres, eventually};
use waybill::digest::Sha256Digest;
use waybill::store::{
    Claim, Class, Erased, Erasure, Found, NewReject, Outcome, Roles, Standing, Store,
};

use super::{CONNECT_TIMEOUT, LOCK_TIMEOUT, execute, migrated, open, order, owner};

fn uids(uids: &[&str]) -> Vec<OrderUid> {
    uids.iter().map(|uid| OrderUid::try_from(*uid).expect("an id")).collect()
}

fn digest(uid: &str) -> Sha256Digest {
    Sha256Digest::of(uid.as_bytes())
}

/// The store as `waybill erase` opens it, with a role of its own.
async fn eraser(database: &Database) -> (Store, String) {
    let role = format!("{}_eraser", database.name);
    let superuser = Postgres::shared().await.expect("Postgres").superuser_url();
    let create = format!(
        "create role {role} login password 'erase'; grant connect on database {} to {role}",
        database.name
    );
    execute(&superuser, &create).await.expect("a role");
    let roles = Roles { erase: Some(&role), ..super::runtime(database) };
    waybill::store::migrate(&database.owner_url, roles, CONNECT_TIMEOUT, LOCK_TIMEOUT)
        .await
        .expect("granted");
    let (_, there) = database.url.rsplit_once('@').expect("a login");
    let url = format!("postgres://{role}:erase@{there}");
    (Store::new(&url, 2, CONNECT_TIMEOUT).expect("a URL"), url)
}

fn reject(sequence: u64, payload: &str) -> NewReject<'_> {
    NewReject {
        channel: "orders",
        sequence,
        reason: "not_json",
        detail: "for the test",
        formatting_only: None,
        payload: payload.as_bytes(),
    }
}

#[tokio::test]
async fn an_erased_order_is_gone_and_never_stored_again() {
    let database = migrated().await;
    let (store, (eraser, _)) = (open(&database), eraser(&database).await);
    store.insert_orders(&[order("a", "{}", 1), order("b", "{}", 2)]).await.unwrap();
    let outcome = eraser.erase(&uids(&["a", "never-seen"]), "asked for").await.unwrap();
    let expected = Erased {
        recorded: HashSet::from([digest("a"), digest("never-seen")]),
        orders: HashSet::from(["a".to_owned()]),
        rejects: 0,
        messages: Vec::new(),
    };
    assert_eq!(outcome, expected);
    assert_eq!(store.find("a").await.unwrap(), Found::Erased);
    assert_eq!(store.find("never-seen").await.unwrap(), Found::Erased);
    assert_eq!(store.find("b").await.unwrap(), Found::Document(b"{}".to_vec()));
    assert_eq!(store.find("c").await.unwrap(), Found::Absent);

    let few = [order("a", "{}", 3), order("c", "{}", 4), order("b", "{}", 5)];
    let outcomes = [Outcome::Erased, Outcome::Stored, Outcome::Duplicate];
    assert_eq!(store.dry_run_orders(&few).await.unwrap(), outcomes);
    assert_eq!(store.insert_orders(&few).await.unwrap(), outcomes);
    // So many that they are copied.
    let names: Vec<String> = (0..100).map(|n| format!("many-{n:02}")).collect();
    let mut many: Vec<_> = names.iter().map(|uid| order(uid, "{}", 6)).collect();
    many[50] = order("never-seen", "{}", 7);
    let outcomes = store.insert_orders(&many).await.unwrap();
    let stored = outcomes.iter().filter(|outcome| **outcome == Outcome::Stored).count();
    assert_eq!((stored, &outcomes[50]), (99, &Outcome::Erased));
    assert_eq!(store.find("a").await.unwrap(), Found::Erased);

    let again = eraser.erase(&uids(&["a"]), "asked for again").await.unwrap();
    assert_eq!(again, Erased::default());
    let recorded = eraser.erasures(None, 10).await.unwrap();
    assert_eq!(recorded.len(), 2);
    assert!(recorded.iter().all(|erasure| erasure.reason == "asked for"), "{recorded:?}");
}

#[tokio::test]
async fn whoever_inserts_without_asking_gets_no_erased_order_into_the_table() {
    let database = migrated().await;
    let (eraser, _) = eraser(&database).await;
    eraser.erase(&uids(&["gone"]), "test").await.unwrap();
    // As a version does that knows nothing of erasures, and a restore of data alone.
    let insert = "insert into orders (order_uid, document, channel_sequence) \
        values ('gone', '{}', 1), ('kept', '{}', 2)";
    execute(&database.url, insert).await.unwrap();
    let store = open(&database);
    assert_eq!(store.find("gone").await.unwrap(), Found::Erased);
    assert_eq!(store.find("kept").await.unwrap(), Found::Document(b"{}".to_vec()));
}

#[tokio::test]
async fn without_erasures_there_is_no_trigger_on_the_table() {
    let database = migrated().await;
    let triggers = |count| {
        format!(
            "do $$ begin assert (select count(*) from pg_trigger \
             where tgrelid = 'orders'::regclass) = {count}; end $$"
        )
    };
    owner(&database, &triggers(0)).await;
    let (eraser, _) = eraser(&database).await;
    eraser.erase(&uids(&["a"]), "test").await.unwrap();
    eraser.erase(&uids(&["b"]), "test").await.unwrap();
    owner(&database, &triggers(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_insertion_and_an_erasure_that_race_the_erasure_wins() {
    let database = migrated().await;
    let (eraser, _) = eraser(&database).await;
    let store = open(&database);
    for round in 0..30 {
        let names: Vec<String> = (0..40).map(|n| format!("{round}-{n:02}")).collect();
        let batch: Vec<_> = names.iter().map(|uid| order(uid, "{}", 1)).collect();
        let victims: Vec<&str> = names.iter().step_by(7).map(String::as_str).collect();
        let (copied, one_by_one) = (&batch[..], &batch[..8]);
        let victims = uids(&victims);
        let (outcome, ..) = tokio::join!(
            eraser.erase(&victims, "race"),
            async { store.insert_orders(copied).await.unwrap() },
            async { store.insert_orders_again(one_by_one).await.unwrap() },
        );
        assert_eq!(outcome.unwrap().recorded.len(), victims.len());
        for uid in &victims {
            assert_eq!(store.find(uid.as_str()).await.unwrap(), Found::Erased, "{uid}");
        }
        for uid in names.iter().skip(1).step_by(7) {
            assert_eq!(store.find(uid).await.unwrap(), Found::Document(b"{}".to_vec()), "{uid}");
        }
    }
}

#[tokio::test]
async fn an_erasure_waits_for_an_insertion_under_way_and_takes_it_along() {
    let database = migrated().await;
    let (eraser, _) = eraser(&database).await;
    let mut writer = PgConnection::connect(&database.url).await.unwrap();
    let insert = "begin; insert into orders (order_uid, document, channel_sequence) \
        values ('a', '{}', 1); insert into rejected_messages \
        (channel, sequence, sha256, reason, detail, payload) \
        values ('orders', 2, sha256('x'), 'not_json', '', '\"order_uid\":\"a\"')";
    writer.execute(AssertSqlSafe(insert)).await.unwrap();
    let commit = async {
        let waits = format!(
            "select count(*) = 1 from pg_stat_activity \
             where datname = '{}' and wait_event_type = 'Lock'",
            database.name
        );
        let postgres = Postgres::shared().await.unwrap();
        eventually("the erasure waits", Duration::from_secs(20), async || {
            (postgres.psql(&postgres.superuser_url(), &waits).await.unwrap() == "t").then_some(())
        })
        .await;
        writer.execute("commit").await.unwrap();
    };
    let victims = uids(&["a"]);
    let (outcome, ()) = tokio::join!(eraser.erase(&victims, "test"), commit);
    let outcome = outcome.unwrap();
    assert_eq!((outcome.orders.len(), outcome.rejects), (1, 1));

    writer.execute("begin; lock table orders in row exclusive mode").await.unwrap();
    let error = eraser.erase(&uids(&["b"]), "test").await.unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error}");
    assert_eq!(open(&database).find("b").await.unwrap(), Found::Absent, "half an erasure");
}

#[tokio::test]
async fn rejects_that_name_the_order_go_along_and_do_not_come_back() {
    let database = migrated().await;
    let (store, (eraser, _)) = (open(&database), eraser(&database).await);
    let holding = [
        reject(1, r#"{"order_uid":"a","cut off"#),
        reject(2, r#"{"order\u005fuid" : "\u0061"}"#),
        reject(3, r#"[{"order_uid":"b"},{"order_uid":"a"}]"#),
    ];
    let others = [
        reject(4, r#"{"order_uid":"ab"}"#),
        reject(5, r#"{"order_uid":"b","payment":{"transaction":"a"}}"#),
        reject(6, "a"),
    ];
    let batch = [holding, others].concat();
    assert_eq!(store.insert_rejects(&batch).await.unwrap(), [false; 6]);
    let outcome = eraser.erase(&uids(&["a"]), "test").await.unwrap();
    assert_eq!(outcome.rejects, 3);
    let left = "do $$ begin assert (select array_agg(sequence order by sequence) \
        from rejected_messages) = '{4,5,6}'; end $$";
    owner(&database, left).await;

    let claims: Vec<_> = batch
        .iter()
        .map(|reject| {
            let sha256 = Sha256Digest::of(reject.payload);
            Claim { sequence: reject.sequence, sha256, uid: None, payload: reject.payload }
        })
        .collect();
    let standings = store.compare("orders", &claims).await.unwrap();
    assert_eq!(standings[..3], [Standing::Erased; 3]);
    assert_eq!(standings[3..], [Standing::Rejected; 3]);
    let again = store.insert_rejects(&batch).await.unwrap();
    assert_eq!(again, [true, true, true, false, false, false]);
    owner(&database, left).await;

    let traces = eraser.traces(&uids(&["a"])[0]).await.unwrap();
    assert!(!traces.is_stored && traces.erasure.is_some(), "{traces:?}");
    assert_eq!(traces.rejects.len(), 3, "the letter stands in each of them: {traces:?}");
    // More ids than are looked for one by one.
    let many = uids(&["b", "c", "d", "e", "f", "g", "h", "i", "ab"]);
    assert_eq!(eraser.erase(&many, "test").await.unwrap().rejects, 2);
}

#[tokio::test]
async fn other_replicas_learn_of_every_erasure_once() {
    let database = migrated().await;
    let (store, (eraser, _)) = (open(&database), eraser(&database).await);
    let start = store.cursor_now().await.unwrap();
    eraser.erase(&uids(&["a", "b"]), "test").await.unwrap();
    let followed = store.committed_since(&start, 0).await.unwrap();
    assert_eq!(HashSet::from_iter(followed.erased), HashSet::from([digest("a"), digest("b")]));
    // Of two that are under way, the younger commits first.
    let mut slow = PgConnection::connect(&database.owner_url).await.unwrap();
    let insert = "begin; insert into erasures (uid_sha256, reason) values (sha256('slow'), 'x')";
    slow.execute(insert).await.unwrap();
    let record = [Erasure { uid_sha256: digest("c"), erased_at: None, reason: "x".to_owned() }];
    eraser.record_erasures(&record).await.unwrap();
    let second = store.committed_since(&followed.next, 0).await.unwrap();
    assert_eq!(second.erased, [digest("c")]);
    slow.execute("commit").await.unwrap();
    let third = store.committed_since(&second.next, 0).await.unwrap();
    assert_eq!(third.erased, [digest("slow")]);
    assert!(store.committed_since(&third.next, 0).await.unwrap().erased.is_empty());
    assert_eq!(store.erased_orders().await.unwrap().len(), 4);
}

#[tokio::test]
async fn erasures_known_from_elsewhere_are_carried_out() {
    let database = migrated().await;
    let (store, (eraser, _)) = (open(&database), eraser(&database).await);
    let names: Vec<String> = (0..50).map(|n| format!("order-{n}")).collect();
    let orders: Vec<_> = names.iter().map(|uid| order(uid, "{}", 1)).collect();
    store.insert_orders(&orders).await.unwrap();
    store.insert_rejects(&[reject(2, r#""order_uid":"order-3""#), reject(3, "x")]).await.unwrap();
    let moment = "2026-11-01T10:00:00.000001Z".to_owned();
    let record = |uid: &str| Erasure {
        uid_sha256: digest(uid),
        erased_at: Some(moment.clone()),
        reason: "asked for".to_owned(),
    };
    let records = [record("order-3"), record("order-7"), record("elsewhere")];
    assert_eq!(eraser.record_erasures(&records).await.unwrap().recorded.len(), 3);
    assert_eq!(eraser.record_erasures(&records).await.unwrap().recorded.len(), 0);
    let swept = eraser.sweep_erased().await.unwrap();
    assert_eq!((swept.orders.len(), swept.rejects), (2, 1));
    assert_eq!(store.find("order-3").await.unwrap(), Found::Erased);
    assert_eq!(store.find("order-4").await.unwrap(), Found::Document(b"{}".to_vec()));
    assert_eq!(eraser.sweep_erased().await.unwrap(), Erased::default());
    let (first, rest) = (
        eraser.erasures(None, 1).await.unwrap(),
        eraser.erasures(Some(digest("order-3").min(digest("order-7")).min(digest("elsewhere"))), 9),
    );
    let all = [first, rest.await.unwrap()].concat();
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|erasure| records.contains(erasure)), "{all:?}");
}

#[tokio::test]
async fn nobody_deletes_an_order_off_the_record() {
    let database = migrated().await;
    let (store, (eraser, eraser_url)) = (open(&database), eraser(&database).await);
    store.insert_orders(&[order("a", "{}", 1)]).await.unwrap();
    eraser.erase(&uids(&["b"]), "test").await.unwrap();
    let refused = async |url: &str, sql: &str| {
        let error = execute(url, sql).await.expect_err(sql);
        let error = error.as_database_error().expect("Postgres says it");
        assert_eq!(error.code().as_deref(), Some("42501"), "{sql}: {error}");
    };
    for sql in [
        "select lock_for_erasure()",
        "select erase_orders('{}', '{}', '{}', '{a}', '{}')",
        "delete from erasures",
        "update erasures set reason = 'x'",
        "insert into erasures (uid_sha256, reason) values (sha256('a'), 'x')",
        "truncate erasures",
        "drop trigger orders_erased on orders",
        "alter table orders disable trigger all",
    ] {
        refused(&database.url, sql).await;
    }
    for sql in [
        "delete from orders",
        "update orders set document = ''",
        "insert into orders values ('c', '', 1)",
        "delete from rejected_messages",
        "delete from erasures",
        "update erasures set reason = 'x'",
        "insert into erasures (uid_sha256, reason) values (sha256('a'), 'x')",
        "truncate orders",
        "create table mine (n int)",
    ] {
        refused(&eraser_url, sql).await;
    }
    // Without a record it deletes nothing, with tables of its own it finds no others.
    for sql in [
        "select erase_orders('{}', '{}', '{}', '{a}', '{}')",
        "create temp table erasures (uid_sha256 bytea); \
         insert into pg_temp.erasures values (sha256('a')); \
         set search_path = pg_temp, public; \
         select public.erase_orders('{}', '{}', '{}', '{a}', '{}')",
    ] {
        // The second needs the right to make temporary tables, which not every database gives.
        let _ = execute(&eraser_url, sql).await;
        assert_eq!(store.find("a").await.unwrap(), Found::Document(b"{}".to_vec()), "{sql}");
    }
}

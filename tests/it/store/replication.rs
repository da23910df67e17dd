//! What the store takes for a fact when commits wait for a synchronous standby.

use std::pin::pin;
use std::time::Duration;

use testbed::{Database, Postgres, eventually};
use waybill::store::{Class, Error, NewReject, Outcome};

use super::{execute, migrate, open, order};

const SOON: Duration = Duration::from_secs(20);

/// The backends that wait for the standby, with an order's statement or the store's own.
const WRITING: &str = "wait_event = 'SyncRep' and query like 'insert%'";
const COPYING: &str = "wait_event = 'SyncRep' and query like 'copy%'";
const MAKING_SURE: &str = "wait_event = 'SyncRep' and query like '%emit_message%'";

/// A primary whose synchronous standby is held, and a database with the schema.
async fn held() -> (Postgres, Postgres, Database) {
    let primary = Postgres::start().await.expect("a primary");
    let database = primary.database().await.expect("a database");
    migrate(&database).await;
    let mut standby = primary.standby().await.expect("a standby");
    primary.set_synchronous(Some(&standby)).await.expect("synchronous");
    standby.stop().await.expect("stopped");
    (primary, standby, database)
}

/// Waits for a backend in the state `which` and does `what` to it.
async fn hit(primary: &Postgres, which: &str, what: &str) {
    let url = primary.superuser_url();
    let hit = format!("select {what}(pid) from pg_stat_activity where {which}");
    eventually(which, SOON, async || {
        (primary.psql(&url, &hit).await.expect(which) == "t").then_some(())
    })
    .await;
}

async fn waits(primary: &Postgres, which: &str) {
    let url = primary.superuser_url();
    let ask = format!("select count(*) > 0 from pg_stat_activity where {which}");
    eventually(which, SOON, async || {
        (primary.psql(&url, &ask).await.expect(which) == "t").then_some(())
    })
    .await;
}

/// Drives `work`, which must not end before `meanwhile` does.
macro_rules! unfinished_while {
    ($work:expr, $meanwhile:expr) => {
        tokio::select! {
            biased;
            answer = &mut $work => panic!("it did not wait for the standby: {answer:?}"),
            () = $meanwhile => {}
        }
    };
}

#[tokio::test]
async fn a_row_whose_writer_died_waiting_counts_when_the_standby_has_it() {
    let (primary, mut standby, database) = held().await;
    let store = open(&database);
    let batch = [order("a", "{}", 1)];

    let mut first = pin!(store.insert_orders(&batch));
    unfinished_while!(first, waits(&primary, WRITING));
    hit(&primary, WRITING, "pg_terminate_backend").await;
    let error = first.await.unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error:?}");

    // Now it is committed on the primary, and there alone.
    let mut again = pin!(store.insert_orders(&batch));
    unfinished_while!(again, waits(&primary, MAKING_SURE));
    let conflict = [order("a", "[]", 2)];
    let mut other = pin!(store.insert_orders(&conflict));
    let both = format!("{MAKING_SURE} having count(*) = 2");
    unfinished_while!(other, async {
        unfinished_while!(again, waits(&primary, &both));
    });

    standby.start_again().await.unwrap();
    assert_eq!(again.await.unwrap(), [Outcome::Duplicate]);
    assert!(matches!(other.await.unwrap()[..], [Outcome::Conflict { .. }]));
    let there = database.on(&standby).url;
    eventually("the row on the standby", SOON, async || {
        (standby.psql(&there, "select order_uid from orders").await.unwrap() == "a").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_commit_that_somebody_cuts_short_is_no_commit() {
    let (primary, mut standby, database) = held().await;
    // The warning arrives whatever the role wants to hear.
    let silent = format!(
        "set synchronous_commit = local; alter role {} set client_min_messages = error",
        database.runtime_role
    );
    primary.psql(&primary.superuser_url(), &silent).await.unwrap();
    let store = open(&database);
    let copied: Vec<String> = (0..20).map(|n| format!("copied-{n}")).collect();
    let copied: Vec<_> = copied.iter().map(|uid| order(uid, "{}", 1)).collect();
    let batch = [order("a", "{}", 1)];
    for (batch, writing) in [(&batch[..], WRITING), (&copied, COPYING)] {
        let mut cut = pin!(store.insert_orders(batch));
        unfinished_while!(cut, hit(&primary, writing, "pg_cancel_backend"));
        unfinished_while!(cut, waits(&primary, MAKING_SURE));
        hit(&primary, MAKING_SURE, "pg_cancel_backend").await;
        let error = cut.await.unwrap_err();
        assert!(matches!(error, Error::CutShort), "{error:?}");
        assert_eq!(error.class(), Class::Transient);
    }

    let reject = NewReject {
        channel: "orders",
        sequence: 1,
        reason: "not_json",
        detail: "",
        formatting_only: None,
        payload: b"{",
    };
    let rejects = [reject];
    let mut kept = pin!(store.insert_rejects(&rejects));
    unfinished_while!(kept, hit(&primary, WRITING, "pg_cancel_backend"));
    unfinished_while!(kept, waits(&primary, MAKING_SURE));
    hit(&primary, MAKING_SURE, "pg_terminate_backend").await;
    assert_eq!(kept.await.unwrap_err().class(), Class::Transient);
    let mut kept = pin!(store.insert_rejects(&rejects));
    unfinished_while!(kept, waits(&primary, MAKING_SURE));

    standby.start_again().await.unwrap();
    kept.await.unwrap();
    assert_eq!(store.insert_orders(&batch).await.unwrap(), [Outcome::Duplicate]);
}

#[tokio::test]
async fn a_wait_that_is_given_up_leaves_no_backend_behind() {
    let (primary, mut standby, database) = held().await;
    let store = open(&database);
    let batch = [order("a", "{}", 1)];
    execute(
        &database.url,
        "set synchronous_commit = local; \
        insert into orders (order_uid, document, channel_sequence) values ('a', '{}', 1)",
    )
    .await
    .unwrap();
    let mut given_up = pin!(store.insert_orders(&batch));
    unfinished_while!(given_up, waits(&primary, MAKING_SURE));
    tokio::time::pause();
    tokio::time::advance(Duration::from_mins(1)).await;
    tokio::time::resume();
    assert_eq!(given_up.await.unwrap_err().class(), Class::Transient);
    let none = format!("{MAKING_SURE} having count(*) = 0");
    let ask = format!("select 1 from pg_stat_activity where {none}");
    let url = primary.superuser_url();
    eventually("no backend waits", SOON, async || {
        (primary.psql(&url, &ask).await.unwrap() == "1").then_some(())
    })
    .await;
    standby.start_again().await.unwrap();
    assert_eq!(store.insert_orders(&batch).await.unwrap(), [Outcome::Duplicate]);
}

#[tokio::test]
async fn a_trigger_that_warns_holds_nothing_up() {
    let (_primary, mut standby, database) = held().await;
    standby.start_again().await.unwrap();
    let warns = "
        create function warn() returns trigger language plpgsql as $$
        begin raise warning 'an order'; return new; end $$;
        create trigger warn before insert on orders for each row execute function warn()";
    execute(&database.owner_url, warns).await.unwrap();
    let store = open(&database);
    for uid in ["a", "b"] {
        let outcomes = store.insert_orders(&[order(uid, "{}", 1)]).await.unwrap();
        assert_eq!(outcomes, [Outcome::Stored]);
    }
}

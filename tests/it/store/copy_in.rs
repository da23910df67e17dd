//! Orders written by `COPY`, and what becomes of a batch for which it will not do.

use std::slice;

use waybill::store::{Found, NewOrder, Outcome, Store};

use super::{execute, migrated, open, order, owner};

/// Counts the attempts to insert by each way: a sequence keeps its value when the statement is
/// rolled back.
const COUNTING: &str = "
    create sequence copies minvalue 0;
    create sequence inserts minvalue 0;
    select nextval('copies'), nextval('inserts');
    grant usage on copies, inserts to public;
    create function count_statement() returns trigger language plpgsql as $$
    begin
        if current_query() like 'copy%' then perform nextval('copies');
        else perform nextval('inserts'); end if;
        return null;
    end $$;
    create trigger count_statement before insert on orders
        for each statement execute function count_statement()";

fn uids(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{name}-{n:03}")).collect()
}

fn batch(uids: &[String]) -> Vec<NewOrder<'_>> {
    uids.iter().map(|uid| order(uid, "{}", 1)).collect()
}

/// Asserts how often each way was tried.
async fn tried(database: &testbed::Database, copies: u32, inserts: u32) {
    let check = format!(
        "do $$ begin if currval_of('copies') <> {copies} or currval_of('inserts') <> {inserts} \
         then raise exception 'copies %, inserts %', currval_of('copies'), currval_of('inserts'); \
         end if; end $$"
    );
    let function = "create or replace function currval_of(name text) returns bigint \
        language plpgsql as $$ declare value bigint; begin \
        execute format('select last_value from %I', name) into value; return value; end $$";
    owner(database, function).await;
    execute(&database.owner_url, &check).await.expect("the statements that were expected");
}

async fn holds(store: &Store, orders: &[NewOrder<'_>]) {
    for order in orders {
        let found = store.find(order.uid).await.expect("an answer");
        assert_eq!(found, Found::Document(order.document.to_vec()), "{}", order.uid);
    }
}

#[tokio::test]
async fn a_batch_of_new_orders_is_copied_and_a_few_orders_are_not() {
    let database = migrated().await;
    owner(&database, COUNTING).await;
    let store = open(&database);
    let uids = uids("new", 100);
    let many = batch(&uids);
    assert_eq!(store.insert_orders(&many).await.unwrap(), vec![Outcome::Stored; 100]);
    holds(&store, &many).await;
    tried(&database, 1, 0).await;

    let few = [order("a", "{}", 1), order("b", "{}", 2)];
    assert_eq!(store.insert_orders(&few).await.unwrap(), [Outcome::Stored, Outcome::Stored]);
    tried(&database, 1, 1).await;
    // What is sent again is not copied in vain.
    assert_eq!(store.insert_orders_again(&many).await.unwrap(), vec![Outcome::Duplicate; 100]);
    tried(&database, 1, 2).await;
}

#[tokio::test]
async fn one_known_order_in_a_batch_changes_nothing_for_the_others() {
    let database = migrated().await;
    let store = open(&database);
    let uids = uids("mixed", 100);
    let known = order(&uids[40], r#"{"first":true}"#, 1);
    store.insert_orders(slice::from_ref(&known)).await.unwrap();
    let mixed = batch(&uids);
    let mut expected = vec![Outcome::Stored; 100];
    expected[40] =
        Outcome::Conflict { kept: known.document.to_vec().into(), formatting_only: false };
    assert_eq!(store.insert_orders(&mixed).await.unwrap(), expected);
    let mut kept = mixed;
    kept[40] = known;
    holds(&store, &kept).await;
}

#[tokio::test]
async fn a_flood_of_known_orders_is_copied_in_vain_ever_less_often() {
    let database = migrated().await;
    owner(&database, COUNTING).await;
    let store = open(&database);
    let flood = uids("flood", 20);
    store.insert_orders(&batch(&flood)).await.unwrap();
    for _ in 0..100 {
        let outcomes = store.insert_orders(&batch(&flood)).await.unwrap();
        assert_eq!(outcomes, vec![Outcome::Duplicate; 20]);
    }
    // The pauses are 1, 2, 4, 8, 16 and 32 batches; the seventh has not ended yet.
    tried(&database, 1 + 7, 100).await;
}

#[tokio::test]
async fn an_order_that_postgres_refuses_in_a_copy_is_found_and_named() {
    let database = migrated().await;
    owner(&database, "alter table orders add constraint mood check (order_uid <> 'x-007')").await;
    let uids = uids("x", 50);
    let outcomes = open(&database).insert_orders(&batch(&uids)).await.unwrap();
    for (n, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Outcome::Refused { detail } if n == 7 => assert!(detail.contains("mood"), "{detail}"),
            outcome => assert_eq!((n != 7, outcome), (true, &Outcome::Stored)),
        }
    }
}

#[tokio::test]
async fn an_order_that_a_trigger_leaves_out_of_a_copy_is_not_taken_for_stored() {
    let database = migrated().await;
    let leave_out = "create function leave_out() returns trigger language plpgsql as $$
        begin if new.order_uid = 'y-003' then return null; end if; return new; end $$;
        create trigger leave_out before insert on orders
            for each row execute function leave_out()";
    owner(&database, leave_out).await;
    let uids = uids("y", 50);
    let outcomes = open(&database).insert_orders(&batch(&uids)).await.unwrap();
    assert_eq!(outcomes[3], Outcome::Indeterminate);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Indeterminate).count(), 1);
}

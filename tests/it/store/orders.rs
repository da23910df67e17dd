//! Writing orders and reading them again.

use waybill::store::{Class, Error, Found, Outcome};

use super::{migrated, open, order, owner};

/// Makes the owner's schema refuse an order according to the beginning of its uid.
const TRAP: &str = "
    create function trap() returns trigger language plpgsql as $$
    begin
        if new.order_uid like 'bad%' then raise exception using errcode = '22003'; end if;
        if new.order_uid like 'busy%' then raise exception using errcode = '40001'; end if;
        if new.order_uid like 'gone%' then return null; end if;
        return new;
    end $$;
    create trigger trap before insert on orders for each row execute function trap()";

fn conflict(kept: &'static str, formatting_only: bool) -> Outcome {
    Outcome::Conflict { kept: kept.into(), formatting_only }
}

fn is_refused(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused { detail } if detail.starts_with("22003: "))
}

#[tokio::test]
async fn the_first_write_wins_and_later_ones_are_judged_against_it() {
    let store = open(&migrated().await);
    assert_eq!(store.insert_orders(&[]).await.unwrap(), []);

    let first = [order("a", r#"{"n":1}"#, 1), order("b", "{}", 2)];
    assert_eq!(store.insert_orders(&first).await.unwrap(), [Outcome::Stored, Outcome::Stored]);

    let second = [
        order("c", "{}", 7),
        order("b", "{}", 6),
        order("a", r#"{"n":2}"#, 5),
        order("a", r#"{ "n": 1 }"#, 4),
        order("a", r#"{"n":1}"#, 3),
    ];
    let expected = [
        Outcome::Stored,
        Outcome::Duplicate,
        conflict(r#"{"n":1}"#, false),
        conflict(r#"{"n":1}"#, true),
        Outcome::Duplicate,
    ];
    assert_eq!(store.insert_orders(&second).await.unwrap(), expected);
    assert_eq!(store.find("a").await.unwrap(), Found::Document(br#"{"n":1}"#.to_vec()));
}

#[tokio::test]
async fn within_a_batch_the_lowest_sequence_wins() {
    let store = open(&migrated().await);
    let batch = [
        order("a", r#"{"n":3}"#, 3),
        order("a", r#"{"n":2}"#, 2),
        order("z", "{}", 9),
        order("a", r#"{"n":2}"#, 4),
        order("a", r#"{"n":2}"#, 2),
    ];
    let expected = [
        conflict(r#"{"n":2}"#, false),
        Outcome::Stored,
        Outcome::Stored,
        Outcome::Duplicate,
        Outcome::Duplicate,
    ];
    assert_eq!(store.insert_orders(&batch).await.unwrap(), expected);
    assert_eq!(store.find("a").await.unwrap(), Found::Document(br#"{"n":2}"#.to_vec()));
}

#[tokio::test]
async fn any_bytes_come_back_as_they_were() {
    let store = open(&migrated().await);
    let mut document: Vec<u8> = (0..=255).collect();
    document.resize(300_000, b'x');
    let uid = "~".repeat(128);
    let batch = [waybill::store::NewOrder {
        uid: &uid,
        document: &document,
        sequence: u64::MAX,
        source: None,
    }];
    assert_eq!(store.insert_orders(&batch).await.unwrap(), [Outcome::Stored]);
    assert_eq!(store.find(&uid).await.unwrap(), Found::Document(document));
    assert_eq!(store.find("nobody").await.unwrap(), Found::Absent);
}

#[tokio::test]
async fn writers_of_the_same_orders_in_opposite_directions_do_not_deadlock() {
    let store = open(&migrated().await);
    for round in 0..10 {
        let uids: Vec<String> = (0..500).map(|n| format!("{round}-{n:03}")).collect();
        let upwards: Vec<_> = uids.iter().map(|uid| order(uid, "{}", 1)).collect();
        let downwards: Vec<_> = upwards.iter().rev().copied().collect();
        let (left, right) =
            tokio::join!(store.insert_orders(&upwards), store.insert_orders(&downwards));
        let outcomes = [left.unwrap(), right.unwrap()].concat();
        let stored = outcomes.iter().filter(|outcome| **outcome == Outcome::Stored).count();
        let duplicates = outcomes.iter().filter(|outcome| **outcome == Outcome::Duplicate).count();
        assert_eq!((stored, duplicates), (500, 500));
    }
}

#[tokio::test]
async fn one_order_that_postgres_refuses_does_not_hold_up_the_others() {
    let database = migrated().await;
    owner(&database, TRAP).await;
    let store = open(&database);
    for bad in 0..9 {
        let uids: Vec<String> = (0..9)
            .map(|n| if n == bad { format!("bad-{bad}") } else { format!("a-{bad}-{n}") })
            .collect();
        let batch: Vec<_> = uids.iter().map(|uid| order(uid, "{}", 1)).collect();
        let outcomes = store.insert_orders(&batch).await.unwrap();
        for (n, outcome) in outcomes.iter().enumerate() {
            assert_eq!(is_refused(outcome), n == bad, "{bad} of 9: {outcome:?}");
            assert_eq!(*outcome == Outcome::Stored, n != bad, "{bad} of 9: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn an_order_that_is_refused_once_only_is_stored() {
    let database = migrated().await;
    // The sequence keeps its value when the statement that raises is rolled back.
    let refuse_twice = "
        create sequence attempts;
        grant usage on attempts to public;
        create function trap() returns trigger language plpgsql as $$
        begin
            if nextval('attempts') = 1 then raise exception using errcode = '22003'; end if;
            return new;
        end $$;
        create trigger trap before insert on orders for each row execute function trap()";
    owner(&database, refuse_twice).await;
    let outcomes = open(&database).insert_orders(&[order("a", "{}", 1)]).await;
    assert_eq!(outcomes.unwrap(), [Outcome::Stored]);
}

#[tokio::test]
async fn those_behind_a_refused_order_share_its_bytes_or_come_again() {
    let database = migrated().await;
    owner(&database, TRAP).await;
    let batch = [order("bad", "{}", 2), order("bad", "{}", 1), order("bad", "[]", 3)];
    let outcomes = open(&database).insert_orders(&batch).await.unwrap();
    assert!(is_refused(&outcomes[0]) && is_refused(&outcomes[1]), "{outcomes:?}");
    assert_eq!(outcomes[2], Outcome::Indeterminate);
}

#[tokio::test]
async fn a_batch_that_is_mostly_refused_is_halted() {
    let database = migrated().await;
    owner(&database, TRAP).await;
    let store = open(&database);

    let half =
        [order("a", "{}", 1), order("bad1", "{}", 2), order("bad2", "{}", 3), order("c", "{}", 4)];
    let outcomes = store.insert_orders(&half).await.unwrap();
    assert_eq!(outcomes.iter().filter(|outcome| is_refused(outcome)).count(), 2, "{outcomes:?}");

    let more = [order("d", "{}", 1), order("bad1", "{}", 2), order("bad2", "{}", 3)];
    let error = store.insert_orders(&more).await.unwrap_err();
    assert!(matches!(error, Error::Halt { refused: 2, total: 3, .. }), "{error:?}");
    assert_eq!(error.class(), Class::Configuration);

    let error = store.insert_orders(&more[1..]).await.unwrap_err();
    assert!(matches!(error, Error::Halt { refused: 2, total: 2, .. }), "{error:?}");

    // One alone is no batch: there is no telling the fault from the rule.
    let outcomes = store.insert_orders(&more[2..]).await.unwrap();
    assert!(is_refused(&outcomes[0]), "{outcomes:?}");
}

#[tokio::test]
async fn a_passing_fault_during_the_search_refuses_nobody() {
    let database = migrated().await;
    owner(&database, TRAP).await;
    let batch =
        [order("a", "{}", 1), order("b", "{}", 2), order("bad", "{}", 3), order("busy", "{}", 4)];
    let error = open(&database).insert_orders(&batch).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error:?}");
}

#[tokio::test]
async fn an_order_that_is_neither_inserted_nor_found_has_vanished() {
    let database = migrated().await;
    owner(&database, TRAP).await;
    let batch = [order("gone", "{}", 1), order("here", "{}", 2)];
    let outcomes = open(&database).insert_orders(&batch).await.unwrap();
    assert_eq!(outcomes, [Outcome::Indeterminate, Outcome::Stored]);
}

#[tokio::test]
async fn a_missing_table_is_the_operators_fault() {
    let database = migrated().await;
    owner(&database, "alter table orders rename to mislaid").await;
    let store = open(&database);
    let error = store.insert_orders(&[order("a", "{}", 1)]).await.unwrap_err();
    assert_eq!(error.class(), Class::Configuration, "{error:?}");
    assert!(!error.is_wrong_setting());
    owner(&database, "alter table mislaid rename to orders").await;
    let outcomes = store.insert_orders(&[order("a", "{}", 1)]).await;
    assert_eq!(outcomes.unwrap(), [Outcome::Stored]);
}

//! Keeping what could not become an order.

use order::Reason;
use sqlx::{Connection, PgConnection};
use waybill::store::{Class, NewReject};

use super::{migrated, open};

/// Sequence, reason, formatting only, detail, payload, and whether the hash is the payload's.
type Row = (i64, String, Option<bool>, String, Vec<u8>, bool);

fn reject(sequence: u64, payload: &[u8]) -> NewReject<'_> {
    NewReject {
        channel: "orders",
        sequence,
        reason: "not_json",
        detail: "unexpected end",
        formatting_only: None,
        payload,
    }
}

#[tokio::test]
async fn a_reject_is_kept_whole_and_once() {
    let database = migrated().await;
    let store = open(&database);
    let large = vec![0_u8; 2_000_000];
    let conflict = NewReject {
        reason: "conflict",
        detail: "a NUL: \0",
        formatting_only: Some(true),
        ..reject(1, b"")
    };
    store.insert_rejects(&[]).await.unwrap();
    store.insert_rejects(&[reject(2, &large), conflict, reject(2, &large)]).await.unwrap();
    // Again, and the same sequence of a broker that counts from 1 again.
    store.insert_rejects(&[conflict, reject(1, b"other")]).await.unwrap();
    assert_eq!(store.count_rejects().await.unwrap(), 3);

    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    let rows = sqlx::query_as::<_, Row>(
        "select sequence, reason, formatting_only, detail, payload, sha256 = sha256(payload) \
         from rejected_messages order by sequence, length(payload)",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let row = |sequence, reason: &str, formatting_only, detail: &str, payload: &[u8]| {
        (sequence, reason.to_owned(), formatting_only, detail.to_owned(), payload.to_vec(), true)
    };
    let expected = [
        row(1, "conflict", Some(true), "a NUL: \u{fffd}", b""),
        row(1, "not_json", None, "unexpected end", b"other"),
        row(2, "not_json", None, "unexpected end", &large),
    ];
    assert!(rows == expected, "{} rows", rows.len());
}

#[tokio::test]
async fn the_list_of_reasons_is_closed() {
    let store = open(&migrated().await);
    let reasons = Reason::ALL.map(Reason::as_str);
    let all = reasons.map(|reason| NewReject { reason, ..reject(1, reason.as_bytes()) });
    store.insert_rejects(&all).await.unwrap();
    assert_eq!(store.count_rejects().await.unwrap(), reasons.len() as u64);
    let unknown = NewReject { reason: "mood", ..reject(1, b"") };
    let error = store.insert_rejects(&[unknown]).await.unwrap_err();
    assert_eq!(error.class(), Class::Content, "{error:?}");
}

#[tokio::test]
async fn writers_of_the_same_rejects_in_opposite_directions_do_not_deadlock() {
    let store = open(&migrated().await);
    for round in 0..10 {
        let upwards: Vec<_> = (0..500).map(|n| reject(round * 500 + n, b"{")).collect();
        let downwards: Vec<_> = upwards.iter().rev().copied().collect();
        let (left, right) =
            tokio::join!(store.insert_rejects(&upwards), store.insert_rejects(&downwards));
        left.and(right).unwrap();
    }
    assert_eq!(store.count_rejects().await.unwrap(), 5000);
}

#[tokio::test]
async fn one_replica_at_a_time_lets_old_rejects_go() {
    let database = migrated().await;
    let store = open(&database);
    let rejects: Vec<_> = (0..5).map(|n| reject(n, b"{")).collect();
    store.insert_rejects(&rejects).await.unwrap();
    let age = "update rejected_messages set first_seen = first_seen - interval '1 hour' \
               where sequence < 3";
    super::owner(&database, age).await;

    let mut other = PgConnection::connect(&database.url).await.unwrap();
    let mut turn = other.begin().await.unwrap();
    let lock = "select pg_advisory_xact_lock(hashtextextended('waybill rejects', 0))";
    sqlx::query(lock).execute(&mut *turn).await.unwrap();
    assert_eq!(store.expire_rejects(1800.0, 2).await.unwrap(), 0, "it is another's turn");
    turn.rollback().await.unwrap();

    assert_eq!(store.expire_rejects(1800.0, 2).await.unwrap(), 2);
    assert_eq!(store.expire_rejects(1800.0, 2).await.unwrap(), 1);
    assert_eq!(store.expire_rejects(1800.0, 2).await.unwrap(), 0);
    assert_eq!(store.count_rejects().await.unwrap(), 2);
}

#[tokio::test]
async fn what_is_kept_is_measured_exactly_when_little_and_closely_when_much() {
    let database = migrated().await;
    let store = open(&database);
    let measured = async || {
        let measured = store.measure_rejects().await.unwrap();
        (measured.rows, measured.bytes)
    };
    assert_eq!(measured().await, (0, 0));
    let large = vec![0; 1_000_000];
    store.insert_rejects(&[reject(1, &large), reject(2, b"12")]).await.unwrap();
    assert_eq!(measured().await, (2, 1_000_002));

    // Five of these fill a page, so this is twice what is looked at.
    super::owner(
        &database,
        "truncate rejected_messages; \
         insert into rejected_messages (channel, sequence, sha256, reason, detail, payload) \
         select 'orders', n, sha256(''), 'empty', '', decode(repeat('00', 1400), 'hex') \
         from generate_series(1, 20000) as n",
    )
    .await;
    let (rows, bytes) = measured().await;
    assert!((18_000..22_000).contains(&rows), "{rows}");
    assert!((25_200_000..30_800_000).contains(&bytes), "{bytes}");
}

//! The relational face of the documents.

use sqlx::{Connection, PgConnection};
use waybill::store::NewOrder;

use super::{migrated, open};

const MODEL: &str = include_str!("../../../data/model.json");

/// One row of each view as text, which says what the typed columns hold.
async fn rows(url: &str, query: &'static str) -> Vec<String> {
    let mut connection = PgConnection::connect(url).await.expect("it connects");
    let utc = sqlx::query("set time zone 'UTC'");
    utc.execute(&mut connection).await.expect("UTC is known");
    sqlx::query_scalar(query).fetch_all(&mut connection).await.expect(query)
}

#[tokio::test]
async fn the_views_show_every_field_of_the_model() {
    let database = migrated().await;
    let document = MODEL.as_bytes();
    let model = NewOrder { uid: "b563feb7b2b84b6test", document, sequence: 5, source: None };
    open(&database).insert_orders(&[model]).await.unwrap();

    let details = "select (row(v.*)::text) from (select order_uid, track_number, entry, locale, \
        internal_signature, customer_id, delivery_service, shardkey, sm_id, date_created, \
        date_created_text, oof_shard, channel_sequence from order_details) v";
    assert_eq!(
        rows(&database.url, details).await,
        ["(b563feb7b2b84b6test,WBILMTESTTRACK,WBIL,en,\"\",test,meest,9,99,\
         \"2021-11-26 06:22:19+00\",2021-11-26T06:22:19Z,1,5)"]
    );
    assert_eq!(
        rows(&database.url, "select row(v.*)::text from order_deliveries v").await,
        ["(b563feb7b2b84b6test,\"Test Testov\",+9720000000,2639809,\"Kiryat Mozkin\",\
         \"Ploshad Mira 15\",Kraiot,test@gmail.com)"]
    );
    assert_eq!(
        rows(&database.url, "select row(v.*)::text from order_payments v").await,
        ["(b563feb7b2b84b6test,b563feb7b2b84b6test,\"\",USD,wbpay,1817,1637907727,\
         \"2021-11-26 06:22:07+00\",alpha,1500,317,0)"]
    );
    assert_eq!(
        rows(&database.url, "select row(v.*)::text from order_items v").await,
        ["(b563feb7b2b84b6test,1,9934930,WBILMTESTTRACK,453,ab4219087a764ae0btest,Mascaras,30,0,\
         317,2389212,\"Vivienne Sabo\",202)"]
    );
}

/// What is stored for `date_created`, and what the view makes of it.
const DATES: [(&str, Option<&str>); 14] = [
    ("2021-11-26T06:22:19Z", Some("2021-11-26 06:22:19+00")),
    ("2021-11-26t06:22:19z", Some("2021-11-26 06:22:19+00")),
    ("2021-11-26 06:22:19-00:00", Some("2021-11-26 06:22:19+00")),
    ("2021-11-26T06:22:19.1234567890123456789+03:30", Some("2021-11-26 02:52:19.123456+00")),
    ("2021-11-26T06:22:19+23:59", Some("2021-11-25 06:23:19+00")),
    ("2021-11-26T06:22:19-23:59", Some("2021-11-27 06:21:19+00")),
    ("1990-12-31T23:59:60Z", Some("1991-01-01 00:00:00+00")),
    ("1990-12-31T15:59:60.25-08:00", Some("1991-01-01 00:00:00.25+00")),
    ("2024-02-29T00:00:00Z", Some("2024-02-29 00:00:00+00")),
    ("9999-12-31T23:59:60-23:59", Some("10000-01-01 23:59:00+00")),
    ("0001-01-01T00:00:00+23:59", Some("0001-12-31 00:01:00+00 BC")),
    ("0000-01-01T00:00:00Z", None),
    ("2023-02-29T00:00:00Z", None),
    ("yesterday", None),
];

#[tokio::test]
async fn every_date_reads_as_a_moment_or_as_null_and_none_raises() {
    let database = migrated().await;
    let documents = DATES.map(|(date, _)| MODEL.replace("2021-11-26T06:22:19Z", date));
    let uids: [String; DATES.len()] = std::array::from_fn(|n| format!("{n:02}"));
    let batch: Vec<_> = std::iter::zip(&uids, &documents)
        .map(|(uid, document)| super::order(uid, document, 1))
        .collect();
    open(&database).insert_orders(&batch).await.unwrap();
    let query = "select date_created_text || '|' || coalesce(date_created::text, 'null') \
        from order_details order by order_uid";
    let expected = DATES.map(|(date, moment)| format!("{date}|{}", moment.unwrap_or("null")));
    assert_eq!(rows(&database.url, query).await, expected);

    // What a database may have set for old programs changes how the views' own text is read.
    let name = &database.name;
    for setting in ["standard_conforming_strings = off", "IntervalStyle = sql_standard"] {
        super::owner(&database, &format!("alter database {name} set {setting}")).await;
    }
    assert_eq!(rows(&database.url, query).await, expected);
}

#[tokio::test]
async fn every_number_and_any_count_of_items_can_be_read() {
    let database = migrated().await;
    let paid = [
        i64::MIN,
        -210_866_803_201,
        -210_866_803_200,
        -1,
        9_224_318_015_999,
        9_224_318_016_000,
        i64::MAX,
    ];
    let documents = paid.map(|at| MODEL.replace("1637907727", &at.to_string()));
    let uids = paid.map(|at| at.to_string());
    let mut batch: Vec<_> = std::iter::zip(&uids, &documents)
        .map(|(uid, document)| super::order(uid, document, 1))
        .collect();
    let (head, tail) = MODEL.split_once('[').unwrap();
    let (item, tail) = tail.split_once(']').unwrap();
    let none = format!("{head}[]{tail}");
    // Of an unknown part, anything is valid that json can hold and jsonb cannot.
    let two = format!("{head}[{item},{item}]{tail}").replacen('{', "{\"extra\":1e999999,", 1);
    batch.extend([super::order("none", &none, 2), super::order("two", &two, 3)]);
    open(&database).insert_orders(&batch).await.unwrap();

    let moments = "select payment_dt || '|' || coalesce(paid_at::text, 'null') \
        from order_payments where order_uid not in ('none', 'two') order by payment_dt";
    assert_eq!(
        rows(&database.url, moments).await,
        [
            "-9223372036854775808|null",
            "-210866803201|null",
            "-210866803200|4714-11-24 00:00:00+00 BC",
            "-1|1969-12-31 23:59:59+00",
            "9224318015999|294276-12-31 23:59:59+00",
            "9224318016000|null",
            "9223372036854775807|null",
        ]
    );
    let items = "select order_uid || '|' || position from order_items \
        where order_uid in ('none', 'two') order by order_uid, position";
    assert_eq!(rows(&database.url, items).await, ["two|1", "two|2"]);
}

#[tokio::test]
async fn every_table_view_and_column_that_needs_one_has_a_comment() {
    let database = migrated().await;
    let silent = "select relname::text from pg_class where relnamespace = 'public'::regnamespace \
        and relkind in ('r', 'v') and relname <> '_sqlx_migrations' \
        and obj_description(oid, 'pg_class') is null \
        union all select attname::text from pg_attribute \
        where attrelid in ('orders'::regclass, 'rejected_messages'::regclass) and attnum > 0 \
        and col_description(attrelid, attnum) is null";
    assert_eq!(rows(&database.url, silent).await, Vec::<String>::new());
}

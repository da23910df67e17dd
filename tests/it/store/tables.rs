//! What is taken for the tables of the migrations, and what is not.

use testbed::{Database, Postgres};
use waybill::digest::Sha256Digest;
use waybill::store::{Claim, Class, Error, Found, Outcome, Store};

use super::{CONNECT_TIMEOUT, execute, migrated, open, order, owner};

async fn superuser(sql: &str) {
    let url = Postgres::shared().await.expect("Postgres").superuser_url();
    execute(&url, sql).await.expect(sql);
}

/// Everything that reads says the same and nothing else.
async fn is_refused(store: &Store, told: &str) {
    let claim =
        Claim { sequence: 1, sha256: Sha256Digest::of(b"a"), uid: Some("a"), payload: b"a" };
    for error in [
        store.find("a").await.expect_err("the tables are not ours"),
        store.ping().await.expect_err("the tables are not ours"),
        store.check_access(false).await.expect_err("the tables are not ours"),
        store.cursor_now().await.expect_err("the tables are not ours"),
        store.documents(&["a".to_owned()]).await.expect_err("the tables are not ours"),
        store.compare("orders", &[claim]).await.expect_err("the tables are not ours"),
        store.rejected_among(&[Sha256Digest::of(b"a")]).await.expect_err("the tables are not ours"),
        store.insert_orders(&[order("a", "{}", 1)]).await.expect_err("the tables are not ours"),
    ] {
        assert_eq!(error.class(), Class::Configuration, "{error:?}");
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[tokio::test]
async fn what_is_not_the_table_that_the_migrations_made_is_refused() {
    for (change, told) in [
        ("alter table orders enable row level security", "row-level security hides rows of orders"),
        (
            "alter table rejected_messages enable row level security;
             create policy all_of_it on rejected_messages using (true)",
            "row-level security hides rows of rejected_messages",
        ),
        (
            "alter table orders rename to older; create view orders as select * from older",
            "orders is not an ordinary table",
        ),
        (
            "drop table orders cascade; create table orders (order_uid text) partition by hash (order_uid)",
            "orders is not an ordinary table",
        ),
        ("alter table orders set unlogged", "orders is emptied by a crash"),
        ("create table more () inherits (orders)", "orders is part of an inheritance"),
        (
            "alter table orders drop constraint orders_pkey",
            "orders has no unique index on order_uid",
        ),
        (
            "alter table rejected_messages alter column sequence type integer",
            "rejected_messages has no column sequence of type bigint",
        ),
        ("alter table orders rename to mislaid", "orders is missing"),
        ("drop table _sqlx_migrations", "_sqlx_migrations is missing"),
    ] {
        let database = migrated().await;
        owner(&database, change).await;
        is_refused(&open(&database), told).await;
    }
    let database = migrated().await;
    owner(
        &database,
        &format!("revoke usage on schema public from public, {}", database.runtime_role),
    )
    .await;
    is_refused(&open(&database), "there are none in any schema that this role may use").await;
}

#[tokio::test]
async fn row_level_security_that_comes_later_is_an_error_and_no_shorter_answer() {
    let database = migrated().await;
    let store = Store::new(&database.url, 1, CONNECT_TIMEOUT).unwrap();
    store.insert_orders(&[order("a", "{}", 1)]).await.expect("stored");
    assert_eq!(store.find("a").await.unwrap(), Found::Document(b"{}".to_vec()));
    owner(&database, "alter table orders enable row level security").await;
    // On the open connection, then on a new one.
    for told in ["row-level security policy for table", "row-level security hides rows"] {
        let error = store.find("a").await.expect_err("the tables are not ours");
        assert_eq!(error.class(), Class::Configuration, "{error:?}");
        assert!(error.to_string().contains(told), "{error}");
    }
    // The owner, who is exempt, sees all of them, until even that is forced.
    let owner_store = Store::new(&database.owner_url, 1, CONNECT_TIMEOUT).unwrap();
    assert_eq!(owner_store.find("a").await.unwrap(), Found::Document(b"{}".to_vec()));
    owner(&database, "alter table orders force row level security").await;
    assert_eq!(
        owner_store.find("a").await.expect_err("the tables are not ours").class(),
        Class::Configuration
    );
    superuser(&format!("alter role {} bypassrls", database.runtime_role)).await;
    assert_eq!(store.find("a").await.unwrap(), Found::Document(b"{}".to_vec()));
}

/// Runs SQL in another schema that the role's path names first.
async fn shadowed(sql: &str) -> Database {
    let database = migrated().await;
    open(&database).insert_orders(&[order("a", "{}", 1)]).await.expect("stored");
    let role = &database.runtime_role;
    owner(&database, &format!("create schema other; grant usage on schema other to {role}; {sql}"))
        .await;
    let path = "set search_path = other, public";
    superuser(&format!("alter role {role} in database {} {path}", database.name)).await;
    database
}

#[tokio::test]
async fn another_table_of_that_name_is_not_taken_for_the_orders() {
    let others = "create table other.orders (order_uid text primary key, document bytea);
        create table other._sqlx_migrations (version bigint primary key);
        grant all on all tables in schema other to public";
    let database = shadowed(others).await;
    let store = open(&database);
    assert_eq!(store.find("a").await.unwrap(), Found::Document(b"{}".to_vec()));
    let outcomes = store.insert_orders(&[order("b", "{}", 1)]).await.expect("stored");
    assert_eq!(outcomes, [Outcome::Stored]);
    owner(&database, "do $$ begin assert (select count(*) from orders) = 2; end $$").await;
}

#[tokio::test]
async fn an_empty_copy_of_the_tables_is_not_taken_for_them() {
    let copy = "create table other.orders (like orders including all);
        create table other.rejected_messages (like rejected_messages including all);
        create table other.erasures (like erasures including all);
        create table other._sqlx_migrations (like _sqlx_migrations including all);
        grant all on all tables in schema other to public";
    let database = shadowed(copy).await;
    is_refused(&open(&database), "several schemas with tables of waybill: other, public").await;
}

#[tokio::test]
async fn a_missing_grant_is_told_before_anything_is_done() {
    for (lacks, of, writes) in [
        ("SELECT", "orders", false),
        ("SELECT", "rejected_messages", false),
        ("SELECT", "erasures", false),
        ("INSERT", "orders", true),
        ("INSERT", "rejected_messages", true),
        ("DELETE", "rejected_messages", true),
    ] {
        let database = migrated().await;
        let store = open(&database);
        owner(&database, &format!("revoke {lacks} on {of} from {}", database.runtime_role)).await;
        let error = store.check_access(true).await.expect_err("the tables are not ours");
        assert!(matches!(error, Error::MissingGrants(_)), "{error:?}");
        assert_eq!(error.class(), Class::Configuration);
        assert!(error.to_string().contains(&format!("{lacks} on {of}")), "{error}");
        assert_eq!(store.check_access(false).await.is_ok(), writes, "{lacks} on {of}");
        owner(&database, &format!("grant {lacks} on {of} to {}", database.runtime_role)).await;
        store.check_access(true).await.unwrap();
    }
}

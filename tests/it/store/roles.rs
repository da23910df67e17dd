//! What the runtime role may do, and what it may not.

use testbed::Postgres;

use super::{execute, migrate, migrated, open, order};

async fn refusal(url: &str, sql: &str) -> Option<String> {
    let error = execute(url, sql).await.err()?;
    Some(error.as_database_error()?.code()?.into_owned())
}

#[tokio::test]
async fn the_runtime_role_may_add_orders_but_never_change_or_remove_one() {
    let database = migrated().await;
    open(&database).insert_orders(&[order("a", "{}", 1)]).await.unwrap();
    for illegal in [
        "update orders set document = ''",
        "delete from orders",
        "truncate orders",
        "drop table orders",
        "update rejected_messages set detail = ''",
        "truncate rejected_messages",
        "insert into _sqlx_migrations default values",
        "create table mine (n int)",
    ] {
        assert_eq!(refusal(&database.url, illegal).await.as_deref(), Some("42501"), "{illegal}");
    }
    for valid in [
        "select * from orders",
        "select * from order_details",
        "select * from order_deliveries",
        "select * from order_payments",
        "select * from order_items",
        "select * from _sqlx_migrations",
        "delete from rejected_messages",
    ] {
        execute(&database.url, valid).await.expect(valid);
    }
}

#[tokio::test]
async fn a_role_is_granted_by_its_name_whatever_that_is() {
    let database = migrated().await;
    let superuser = Postgres::shared().await.unwrap().superuser_url();
    for (index, name) in [
        r#"Odd'; drop table orders; -- "%1$I""#,
        "svc@project.iam",
        "Á b",
        "current_user",
        "Public",
    ]
    .into_iter()
    .enumerate()
    {
        grants_to(&database, &superuser, name, &format!("odd_{index}")).await;
    }
}

async fn grants_to(database: &testbed::Database, superuser: &str, name: &str, free: &str) {
    let quoted = format!("\"{}\"", name.replace('"', "\"\""));
    execute(superuser, &format!("create role {quoted}")).await.expect("done");
    let odd = testbed::Database { runtime_role: name.to_owned(), ..database.clone() };
    migrate(&odd).await;

    let url = database.owner_url.parse::<sqlx::postgres::PgConnectOptions>().expect("done");
    let mut connection = sqlx::ConnectOptions::connect(&url).await.expect("done");
    let rights: (bool, bool) = sqlx::query_as(
        "select has_table_privilege($1, 'orders', 'insert'), \
         has_table_privilege($1, 'orders', 'update')",
    )
    .bind(name)
    .fetch_one(&mut connection)
    .await
    .expect("done");
    assert_eq!(rights, (true, false));
    execute(superuser, &format!("alter role {quoted} rename to {free}")).await.expect("done");
}

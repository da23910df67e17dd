//! Bringing the schema up to date.

use testbed::Postgres;
use waybill::store::{Class, MIGRATOR, Roles};

use super::{CONNECT_TIMEOUT, LOCK_TIMEOUT, execute, migrate, migrated, open, order, owner};

#[tokio::test]
async fn replicas_that_start_together_migrate_once() {
    let database = Postgres::shared().await.unwrap().database().await.unwrap();
    // Slow grants overlap, and two on one table at once would fail.
    let slow = "create function dawdle() returns event_trigger language plpgsql as $$
        begin perform pg_sleep(0.05); end $$;
        create event trigger dawdle on ddl_command_end when tag in ('GRANT')
        execute function dawdle()";
    let superuser = Postgres::shared().await.unwrap().superuser_url();
    let (server, _) = superuser.rsplit_once('/').unwrap();
    execute(&format!("{server}/{}", database.name), slow).await.unwrap();
    tokio::join!(migrate(&database), migrate(&database), migrate(&database), migrate(&database));
    let applied = format!(
        "do $$ begin assert (select count(*) from _sqlx_migrations where success) = {}; end $$",
        MIGRATOR.iter().count()
    );
    owner(&database, &applied).await;
    open(&database).insert_orders(&[order("a", "{}", 1)]).await.unwrap();
}

#[tokio::test]
async fn an_older_version_starts_on_a_newer_schema() {
    let database = migrated().await;
    owner(&database, "insert into _sqlx_migrations values (9999, 'later', now(), true, '', 0)")
        .await;
    migrate(&database).await;
}

#[tokio::test]
async fn a_migration_that_was_changed_afterwards_is_noticed() {
    let database = migrated().await;
    owner(&database, "update _sqlx_migrations set checksum = '' where version = 1").await;
    let error = waybill::store::migrate(
        &database.owner_url,
        Roles::default(),
        CONNECT_TIMEOUT,
        LOCK_TIMEOUT,
    )
    .await;
    let error = error.unwrap_err();
    assert_eq!(error.class(), Class::Configuration, "{error:?}");
}

#[tokio::test]
async fn a_role_that_may_not_migrate_is_the_operators_fault() {
    let database = Postgres::shared().await.unwrap().database().await.unwrap();
    let error =
        waybill::store::migrate(&database.url, Roles::default(), CONNECT_TIMEOUT, LOCK_TIMEOUT)
            .await
            .unwrap_err();
    assert_eq!(error.class(), Class::Configuration, "{error:?}");
}

#[tokio::test]
async fn large_documents_are_compressed_with_lz4_where_there_is_lz4() {
    let database = migrated().await;
    let check = "do $$ begin
        if 'lz4' = any ((select enumvals from pg_settings where name = 'default_toast_compression')::text[])
        then assert (select attcompression = 'l' from pg_attribute
            where attrelid = 'orders'::regclass and attname = 'document'); end if; end $$";
    execute(&database.owner_url, check).await.unwrap();
}

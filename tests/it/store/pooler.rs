//! Through a PgBouncer.

use testbed::{PgBouncer, PoolMode, Postgres, eventually};
use waybill::store::{Class, Error, Found, Outcome, Roles};

use super::{CONNECT_TIMEOUT, LOCK_TIMEOUT, migrate, migrated, open, order};

#[tokio::test]
async fn a_pooler_in_session_mode_is_as_good_as_none() {
    let postgres = Postgres::shared().await.unwrap();
    let database = postgres.database().await.unwrap();
    let pooler = PgBouncer::start(postgres, &database, PoolMode::Session).await.unwrap();
    let there = pooler.database();
    // Sessions are used again and again, each time by another client.
    for uid in ["a", "b", "c"] {
        migrate(&there).await;
        let store = open(&there);
        store.check_access(true).await.unwrap();
        let finds = (0..8).map(|_| store.find("nobody"));
        futures_util::future::try_join_all(finds).await.unwrap();
        let outcomes = store.insert_orders(&[order(uid, "{}", 1)]).await.unwrap();
        assert_eq!(outcomes, [Outcome::Stored]);
        assert_eq!(store.find(uid).await.unwrap(), Found::Document(b"{}".to_vec()));
        store.close().await;
    }
}

#[tokio::test]
async fn a_pooler_that_shares_its_sessions_is_refused() {
    let postgres = Postgres::shared().await.unwrap();
    for mode in [PoolMode::Transaction, PoolMode::Statement] {
        let database = migrated().await;
        let pooler = PgBouncer::start(postgres, &database, mode).await.unwrap();
        let there = pooler.database();
        let refusals = [
            waybill::store::migrate(
                &there.owner_url,
                Roles::default(),
                CONNECT_TIMEOUT,
                LOCK_TIMEOUT,
            )
            .await
            .unwrap_err(),
            open(&there).check_access(true).await.unwrap_err(),
            // Who does not ask first is told by a session that has another's mark.
            open(&there).find("a").await.unwrap_err(),
        ];
        for error in refusals {
            assert!(matches!(error, Error::SharedSession), "{mode:?}: {error:?}");
            assert_eq!(error.class(), Class::Configuration);
            assert!(error.to_string().contains("pool_mode = session"), "{error}");
        }
        let locks = "select count(*) from pg_locks where locktype = 'advisory' \
             and database = (select oid from pg_database where datname = current_database())";
        assert_eq!(postgres.psql(&database.owner_url, locks).await.unwrap(), "0");
    }
}

#[tokio::test]
async fn a_pooler_that_is_set_to_session_mode_is_used_again() {
    let postgres = Postgres::shared().await.unwrap();
    let database = migrated().await;
    let mut pooler = PgBouncer::start(postgres, &database, PoolMode::Transaction).await.unwrap();
    let store = open(&pooler.database());
    assert!(matches!(store.check_access(true).await.unwrap_err(), Error::SharedSession));
    pooler.reload(PoolMode::Session).unwrap();
    eventually("the store may be used", CONNECT_TIMEOUT, async || {
        store.check_access(true).await.ok()
    })
    .await;
    assert_eq!(store.insert_orders(&[order("a", "{}", 1)]).await.unwrap(), [Outcome::Stored]);
}

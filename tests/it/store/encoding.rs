//! Databases whose text is not UTF-8.

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use testbed::Postgres;
use waybill::store::{Class, MIGRATOR, Roles, Store};

use super::{CONNECT_TIMEOUT, LOCK_TIMEOUT, execute};

#[tokio::test]
async fn another_encoding_than_utf8_is_refused_with_the_command_that_makes_a_right_one() {
    let superuser = Postgres::shared().await.expect("Postgres").superuser_url();
    let (server, _) = superuser.rsplit_once('/').expect("a database in the URL");
    for encoding in ["SQL_ASCII", "LATIN1", "EUC_JP"] {
        let name = format!("of {encoding}");
        let create = format!(
            "create database \"{name}\" encoding '{encoding}' template template0 locale 'C'"
        );
        execute(&superuser, &create).await.expect(&create);
        let url = format!("{server}/of%20{encoding}");

        let error =
            waybill::store::migrate(&url, Roles::default(), CONNECT_TIMEOUT, LOCK_TIMEOUT).await;
        let error = error.expect_err(encoding);
        assert_eq!(error.class(), Class::Configuration, "{error:?}");
        let text = error.to_string();
        let reason = format!("the database {name} has the encoding {encoding} and must have UTF8");
        assert!(text.contains(&reason), "{text}");
        assert!(text.contains("encoding 'UTF8' template template0"), "{text}");
        let tables = "do $$ begin assert to_regclass('orders') is null; end $$";
        execute(&url, tables).await.expect("nothing was made");

        // A schema that an earlier version made there.
        let mut connection = PgConnection::connect(&url).await.expect("connected");
        MIGRATOR.run(&mut connection).await.expect("migrated");
        connection.close().await.expect("closed");
        let store = Store::new(&url, 2, CONNECT_TIMEOUT).expect("a URL");
        let error = store.check_access(true).await.expect_err(encoding);
        assert!(error.to_string().contains(&reason), "{error}");
        store.close().await;
        execute(&superuser, &format!("drop database \"{name}\"")).await.expect("dropped");
    }
}

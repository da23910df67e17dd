//! What a session rests on, whoever has set it otherwise.

use testbed::{Database, Postgres};
use waybill::store::{Class, Error, Outcome, SETTINGS, Store};

use super::{CONNECT_TIMEOUT, execute, migrated, open, order, owner};

/// A value for each setting with which a promise would break.
const HOSTILE: [(&str, &str); SETTINGS.len()] = [
    ("client_min_messages", "error"),
    ("row_security", "on"),
    ("statement_timeout", "5s"),
    ("lock_timeout", "0"),
    ("transaction_timeout", "5s"),
    ("default_transaction_isolation", "serializable"),
    ("client_encoding", "LATIN1"),
    ("DateStyle", "SQL, DMY"),
    ("TimeZone", "Asia/Kathmandu"),
];

/// Keeps the settings of the session that inserts an order.
const SPY: &str = "
    create table seen (name text, value text);
    create function spy() returns trigger language plpgsql security definer as $$
    begin
        insert into public.seen
        select name, current_setting(name) from pg_settings;
        return new;
    end $$;
    create trigger spy after insert on orders for each row execute function spy()";

async fn superuser(sql: &str) {
    let url = Postgres::shared().await.expect("Postgres").superuser_url();
    execute(&url, sql).await.expect(sql);
}

async fn ask(database: &Database, sql: &str) -> String {
    Postgres::shared().await.expect("Postgres").psql(&database.owner_url, sql).await.expect(sql)
}

/// Stores an order and says what the session of that had set.
async fn settings_of_a_write(database: &Database, store: &Store, uid: &str) {
    owner(database, "truncate seen").await;
    let outcomes = store.insert_orders(&[order(uid, "{}", 1)]).await.expect("stored");
    assert_eq!(outcomes, [Outcome::Stored]);
    for (name, value, _) in SETTINGS {
        let seen = ask(database, &format!("select value from seen where name = '{name}'")).await;
        // Empty where this Postgres does not know the setting yet.
        let known = format!("select current_setting('{name}', true) is not null");
        if ask(database, &known).await == "t" {
            assert_eq!(seen, value, "{name}");
        }
    }
    let path = ask(database, "select value from seen where name = 'search_path'").await;
    assert_eq!(path, "pg_catalog, public, pg_temp");
}

#[tokio::test]
async fn every_setting_is_fixed_whoever_has_set_it_otherwise() {
    let database = migrated().await;
    owner(&database, SPY).await;
    let version =
        ask(&database, "select current_setting('server_version_num')::int >= 170000").await;
    let hostile: Vec<_> = HOSTILE
        .into_iter()
        .filter(|(name, _)| *name != "transaction_timeout" || version == "t")
        .collect();
    for (name, _, _) in SETTINGS {
        assert!(HOSTILE.iter().any(|(hostile, _)| *hostile == name), "{name} is not tried");
    }

    let by = async |whom: &str| {
        for (name, value) in &hostile {
            superuser(
                &format!("alter {whom} set {name} = '{value}'").replace("'SQL, DMY'", "SQL, DMY"),
            )
            .await;
        }
    };
    by(&format!("role {}", database.runtime_role)).await;
    settings_of_a_write(&database, &open(&database), "role").await;
    superuser(&format!("alter role {} reset all", database.runtime_role)).await;
    by(&format!("database {}", database.name)).await;
    settings_of_a_write(&database, &open(&database), "database").await;
    superuser(&format!("alter database {} reset all", database.name)).await;

    let options: Vec<_> = hostile
        .iter()
        .map(|(name, value)| format!("-c%20{name}%3D{}", value.replace(' ', "%5C%20")))
        .collect();
    let url = format!("{}?options={}", database.url, options.join("%20"));
    let store = Store::new(&url, 2, CONNECT_TIMEOUT).unwrap();
    settings_of_a_write(&database, &store, "url").await;
}

#[tokio::test]
async fn what_only_a_superuser_may_turn_off_is_refused() {
    for name in ["zero_damaged_pages", "ignore_checksum_failure"] {
        let database = migrated().await;
        superuser(&format!("alter role {} set {name} = on", database.runtime_role)).await;
        let store = open(&database);
        let error = store.find("a").await.expect_err("the tables are not ours");
        assert!(matches!(error, Error::UnsafeSetting(found) if found == name), "{error:?}");
        assert_eq!(error.class(), Class::Configuration);
        superuser(&format!("alter role {} reset {name}", database.runtime_role)).await;
        store.find("a").await.unwrap();
    }
}

#[test]
fn the_manual_names_every_setting_with_value_and_reason() {
    let manual = include_str!("../../../docs/operations.md");
    for (name, value, why) in SETTINGS {
        let line = format!("| `{name}` | `{value}` | {why} |");
        assert!(manual.contains(&line), "missing in docs/operations.md: {line}");
    }
}

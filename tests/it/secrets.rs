//! Secrets in every place that can hold one: none is ever logged, whichever library logs.

use std::fs;

use testbed::{BrokerOptions, Postgres, eventually};

use crate::service::{PATIENCE, World};

/// Long and found in no other text.
const SECRETS: [&str; 4] = ["hunter2", "Tr0ub4dor", "c0rrecthorse", "b4tterystaple"];

fn holds_none(log: &str) {
    for secret in SECRETS {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is in the log");
    }
}

#[tokio::test]
async fn no_secret_is_logged_at_any_level() {
    let postgres = Postgres::shared().await.expect("Postgres");
    let configuration = Some("authorization { user: me, password: hunter2 }".to_owned());
    let broker = BrokerOptions { configuration, ..BrokerOptions::default() };
    let world = World::with(broker, postgres).await;
    let role = &world.database.runtime_role;
    let change = format!("alter role {role} password 'Tr0ub4dor'");
    postgres.psql(&postgres.superuser_url(), &change).await.expect("changed");
    let (login, place) = world.database.url.rsplit_once('@').expect("a login");
    let (user, _) = login.rsplit_once(':').expect("a password");
    let file = world.path().join("url");
    let url = |password: &str| {
        format!("{user}:{password}@{place}?sslpassword=c0rrecthorse&connect_timeout=77")
    };
    fs::write(&file, url("Tr0ub4dor")).expect("written");

    let mut command = world.command(&["serve"]);
    command
        .env_remove("WAYBILL_DATABASE__URL")
        .env("WAYBILL_DATABASE__URL_FILE", &file)
        .env("WAYBILL_BROKER__URL", format!("nats://me:hunter2@127.0.0.1:{}", world.broker.port()))
        .env("WAYBILL_BROKER__MONITOR_URL", world.broker.monitor_url())
        .env("WAYBILL_TELEMETRY__OTLP_ENDPOINT", "http://127.0.0.1:1")
        .env("WAYBILL_TELEMETRY__TRACE_SAMPLE_RATIO", "1")
        .env("WAYBILL_TELEMETRY__LOG_FILTER", "trace,async_nats=trace");
    let mut replica = world.launch("verbose", command).await;
    replica.until_ready().await;
    eventually("the session is live", PATIENCE, async || {
        replica.admin("/readyz?verbose").await.text().contains("session live").then_some(())
    })
    .await;
    // A URL whose password is wrong, then one that is none.
    fs::write(&file, url("b4tterystaple")).expect("written");
    let told = async |text: &str| {
        eventually(text, PATIENCE, async || replica.process.log().contains(text).then_some(()))
            .await;
    };
    told("use the new content").await;
    fs::write(&file, "postgres://me:12?b4tterystaple@host/db").expect("written");
    told("must be percent-encoded").await;
    assert_eq!(replica.stop().await, Some(0));
    let log = replica.process.log();
    assert!(log.contains("TRACE"), "the log is not as verbose as it can be");
    holds_none(&log);
    // Most connections are opened again and again; the note is about the URL.
    let notes = log.matches("are ignored: `connect_timeout`, `sslpassword`").count();
    assert_eq!(notes, 1, "{log}");
}

#[tokio::test]
async fn parameters_of_the_url_are_told_once_and_without_their_values() {
    let world = World::new().await;
    let file = world.path().join("url");
    let parameters = "channel_binding=prefer&connect_timeout=10&sslpassword=hunter2";
    fs::write(&file, format!("{}?{parameters}\n", world.database.url)).expect("written");
    let mut command = world.command(&["serve"]);
    command.env_remove("WAYBILL_DATABASE__URL").env("WAYBILL_DATABASE__URL_FILE", &file);
    let mut check = world.command(&["config", "check"]);
    check.env_remove("WAYBILL_DATABASE__URL").env("WAYBILL_DATABASE__URL_FILE", &file);
    let note = "parameters of the URL in `database.url_file` are ignored: `channel_binding`, \
                `connect_timeout`, `sslpassword`";

    let checked = tokio::process::Command::from(check).output().await.expect("it runs");
    assert_eq!(String::from_utf8_lossy(&checked.stderr), format!("note: {note}\n"));
    assert_eq!(String::from_utf8_lossy(&checked.stdout), "settings are fine\n");

    let mut replica = world.launch("noted", command).await;
    replica.until_ready().await;
    // The file is read again, and its connections are opened anew.
    fs::write(&file, format!("{}?{parameters}&keepalives=1", world.database.url)).expect("written");
    eventually("the new URL is noted", PATIENCE, async || {
        replica.process.log().contains("`keepalives`").then_some(())
    })
    .await;
    assert_eq!(replica.stop().await, Some(0));
    let log = replica.process.log();
    assert_eq!(log.matches(&format!("{note}\"")).count(), 1, "{log}");
    assert!(!log.contains("unrecognized"), "the driver got what it does not know: {log}");
    holds_none(&log);
}

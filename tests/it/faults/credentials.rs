//! A password that is changed while the service runs.

use std::fs;

use testbed::{Postgres, eventually};

use super::{all_are_well, met, orders};
use crate::service::{PATIENCE, Replica, World};

async fn told(replica: &Replica, text: &str) {
    eventually(text, PATIENCE, async || replica.process.log().contains(text).then_some(())).await;
}

#[tokio::test]
async fn a_password_changed_in_the_url_file_needs_no_restart() {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let file = world.path().join("database-url");
    fs::write(&file, format!("{}\n", world.database.url)).expect("written");
    let mut command = world.command(&["serve"]);
    command.env_remove("WAYBILL_DATABASE__URL").env("WAYBILL_DATABASE__URL_FILE", &file);
    let replica = world.launch("rotated", command).await;
    replica.until_ready().await;
    let mut all = orders("before", 20);
    world.publish_raw(all.clone()).await;
    world.until_drained().await;

    // As an operator may do it at worst: the file is away, then torn, then whole.
    fs::remove_file(&file).expect("removed");
    let role = &world.database.runtime_role;
    let change = format!(
        "alter role {role} password 'another'; \
         select pg_terminate_backend(pid) from pg_stat_activity where usename = '{role}'"
    );
    postgres.psql(&postgres.superuser_url(), &change).await.expect("changed");
    let during = orders("during", 20);
    world.publish_raw(during.clone()).await;
    all.extend(during);
    met(&replica, "transient").await;
    told(&replica, "cannot read ").await;
    fs::write(&file, "postgres").expect("written");
    told(&replica, "holds no valid URL").await;
    let (login, place) = world.database.url.rsplit_once('@').expect("a login");
    let (user, _) = login.rsplit_once(':').expect("a password");
    fs::write(&file, format!("{user}:another@{place}")).expect("written");

    all_are_well(&world, postgres, &replica, &all).await;
    let log = replica.process.log();
    let warnings = log.matches("go on with the URL known").count();
    assert_eq!(warnings, 2, "each trouble is told once: {log}");
    assert!(!log.contains(":another@"), "the password is in the log");
}

//! Replicas that start while Postgres is away: when they are ready, and what they answer.

use http::StatusCode;
use http::header::RETRY_AFTER;
use testbed::{Direction, Postgres, Proxy, eventually};

use crate::service::{PATIENCE, Replica, World, order};

const SOON: [(&str, &str); 3] = [
    ("WAYBILL_CACHE__COLD_START_AFTER", "1s"),
    ("WAYBILL_DATABASE__CONNECT_TIMEOUT", "500ms"),
    ("WAYBILL_TELEMETRY__LOG_FILTER", "info,waybill::cache=debug"),
];

/// Ready with a cold cache, and honest about it.
async fn is_cold(replica: &Replica) {
    replica.until_ready().await;
    let told = replica.admin("/readyz?verbose").await;
    assert!(told.text().contains("[-] cache: ready, cache not warmed: "), "{}", told.text());
    assert_eq!(replica.metric("waybill_ready").await.to_string(), "1");
    assert_eq!(replica.metric("waybill_cache_warmed").await.to_string(), "0");
    let reply = replica.order("stored").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "never 404");
    assert!(reply.headers.contains_key(RETRY_AFTER));
}

async fn is_warm(replica: &Replica) {
    eventually("the cache is warm", PATIENCE, async || {
        (replica.metric("waybill_cache_warmed").await > 0.5).then_some(())
    })
    .await;
    assert_eq!(replica.admin("/readyz").await.text(), "ready\n");
    assert_eq!(replica.order("stored").await.body, order("stored"));
}

/// A world with one order in its own Postgres, which is away.
async fn away() -> (World, Postgres) {
    let mut postgres = Postgres::start().await.expect("a Postgres of its own");
    let world = World::on(&postgres).await;
    let mut before = world.serve("before").await;
    world.publish_raw([order("stored")]).await;
    world.until_drained().await;
    before.stop().await;
    postgres.stop().await.expect("stopped");
    (world, postgres)
}

#[tokio::test]
async fn a_replica_that_cannot_reach_postgres_is_ready_after_a_while_and_warms_up_later() {
    let (world, mut postgres) = away().await;
    let replica = world.start("cold", &SOON).await;
    is_cold(&replica).await;
    postgres.start_again().await.expect("back");
    is_warm(&replica).await;
}

#[tokio::test]
async fn a_postgres_that_says_nothing_is_away_too() {
    let postgres = Postgres::shared().await.expect("Postgres");
    let mut world = World::on(postgres).await;
    let mut before = world.serve("before").await;
    world.publish_raw([order("stored")]).await;
    world.until_drained().await;
    before.stop().await;
    let server = (std::net::Ipv4Addr::LOCALHOST, postgres.port()).into();
    let mut proxy = Proxy::start(server).await.expect("a proxy");
    for url in [&mut world.database.url, &mut world.database.owner_url] {
        *url = url.replace(&format!(":{}/", postgres.port()), &format!(":{}/", proxy.port()));
    }
    proxy.black_hole(Direction::ToClient);
    let replica = world.start("cold", &SOON).await;
    is_cold(&replica).await;
    proxy.heal().await.expect("healed");
    is_warm(&replica).await;
}

#[tokio::test]
async fn a_postgres_that_is_back_and_refuses_is_no_reason_to_stay_ready() {
    let mut postgres = Postgres::start().await.expect("a Postgres of its own");
    let world = World::on(&postgres).await;
    world.serve("before").await.stop().await;
    let role = &world.database.runtime_role;
    let superuser = postgres.superuser_url();
    postgres.psql(&superuser, &format!("alter role {role} nologin")).await.expect("locked out");
    postgres.stop().await.expect("stopped");
    let replica = world.start("cold", &SOON).await;
    is_cold(&replica).await;
    postgres.start_again().await.expect("back");
    eventually("it is not ready any more", PATIENCE, async || {
        (replica.admin("/readyz").await.status == StatusCode::SERVICE_UNAVAILABLE).then_some(())
    })
    .await;
    postgres.psql(&superuser, &format!("alter role {role} login")).await.expect("let in");
    replica.until_ready().await;
}

#[tokio::test]
async fn what_looks_like_a_wrong_setting_is_waited_for_without_being_ready() {
    let postgres = Postgres::shared().await.expect("Postgres");
    let world = World::on(postgres).await;
    let (login, place) = world.database.owner_url.rsplit_once('@').expect("a login");
    let user = login.rsplit_once(':').expect("a password").0;
    for (name, url) in [
        ("wrong-password", format!("{user}:wrong@{place}")),
        ("wrong-host", format!("{login}@no-such-host.invalid:5432/none")),
    ] {
        let mut settings = SOON.to_vec();
        settings.push(("WAYBILL_DATABASE__MIGRATE_URL", &url));
        settings.push(("WAYBILL_DATABASE__URL", &url));
        let replica = world.start(name, &settings).await;
        // Looks come every second here.
        eventually(
            "it looked often enough to be ready, if this were a reason",
            PATIENCE,
            async || {
                let looks = replica.process.log().matches("Postgres can be reached").count();
                (looks > 3).then_some(())
            },
        )
        .await;
        assert_eq!(replica.admin("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[tokio::test]
async fn turned_off_it_waits_for_ever() {
    let (world, mut postgres) = away().await;
    let never = [("WAYBILL_CACHE__COLD_START_AFTER", "0s"), SOON[1], SOON[2]];
    let (waits, cold) = (world.start("waits", &never).await, world.start("cold", &SOON).await);
    is_cold(&cold).await;
    assert_eq!(waits.admin("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    postgres.start_again().await.expect("back");
    is_warm(&waits).await;
}

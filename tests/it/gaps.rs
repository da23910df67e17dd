//! What the broker deletes before anybody took it is noticed, told and remembered.

use std::time::Duration;

use testbed::{BrokerOptions, Postgres, eventually};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::service::{PATIENCE, World, order};

/// A broker that keeps ten messages.
async fn forgetful_world(postgres: &Postgres) -> World {
    let options = BrokerOptions { max_messages: Some(10), ..BrokerOptions::default() };
    World::with(options, postgres).await
}

async fn until_stored(world: &World, postgres: &Postgres, count: &str) {
    eventually("what is left is stored", PATIENCE, async || {
        let stored = world.sql(postgres, "select count(*) from orders").await;
        (stored == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_retention_took_from_the_group_is_told_for_as_long_as_the_process_lives() {
    let postgres = Postgres::shared().await.expect("Postgres");
    let world = forgetful_world(postgres).await;
    let monitor = world.broker.monitor_url();
    let mut first = world.start("first", &[("WAYBILL_BROKER__MONITOR_URL", &monitor)]).await;
    first.until_ready().await;
    world.publish_raw((1..=5).map(|n| order(&format!("order-{n}")))).await;
    world.until_drained().await;
    assert!(!first.admin("/readyz?verbose").await.text().contains("lost"));
    assert_eq!(first.stop().await, Some(0));

    // With nobody there 41 to 50 stay, and the group has taken 1 to 5. The monitor takes its
    // time: a service that does not wait for it has moved the group past the gap by then.
    world.publish_raw((6..=50).map(|n| order(&format!("order-{n}")))).await;
    let slow = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", slow.local_addr().expect("an address"));
    let moved = async {
        while world.lag().await != Some((0, 0)) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let slow_monitor = async {
        let (mut client, _) = slow.accept().await.expect("the service asks");
        let moved = timeout(Duration::from_secs(1), moved).await;
        let mut server =
            TcpStream::connect(monitor.trim_start_matches("http://")).await.expect("the monitor");
        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        moved
    };
    let settings = [("WAYBILL_BROKER__MONITOR_URL", address.as_str())];
    let (second, moved) = tokio::join!(world.start("second", &settings), slow_monitor);
    let second = second.expecting("Lost to retention");
    assert!(moved.is_err(), "nothing is taken before the first look");
    until_stored(&world, postgres, "15").await;
    second.until_ready().await;
    let ready = second.admin("/readyz?verbose").await;
    let entry = "[-] lost to retention: sequences 6–40\n";
    assert!(ready.text().contains(entry), "{}", ready.text());
    assert_eq!(ready.status, 200, "what is stored is served");
    let lost = second.metric("waybill_stan_lost_to_retention_messages").await;
    assert!((lost - 35.0).abs() < 0.5, "{lost}");
    let log = second.process.log();
    assert_eq!(log.matches("Lost to retention: sequences 6–40").count(), 1, "{log}");
}

#[tokio::test]
async fn a_monitor_that_does_not_answer_keeps_nobody_from_work() {
    let postgres = Postgres::shared().await.expect("Postgres");
    let world = forgetful_world(postgres).await;
    world.publish_raw([order("one")]).await;
    let nobody = [("WAYBILL_BROKER__MONITOR_URL", "http://127.0.0.1:9")];
    let replica = world.start("alone", &nobody).await;
    replica.until_ready().await;
    until_stored(&world, postgres, "1").await;
    let ready = replica.admin("/readyz?verbose").await;
    let entry = "[-] broker's monitor: no answer since ";
    assert!(ready.text().contains(entry), "{}", ready.text());
    assert_eq!(ready.status, 200);
    let log = replica.process.log();
    assert_eq!(log.matches("The broker's monitor does not answer").count(), 1, "{log}");
}

#[tokio::test]
async fn what_the_monitor_told_is_absent_while_it_does_not_answer() {
    let postgres = Postgres::shared().await.expect("Postgres");
    let mut world = World::on(postgres).await;
    let monitor = world.broker.monitor_url();
    let replica = world.start("watcher", &[("WAYBILL_BROKER__MONITOR_URL", &monitor)]).await;
    replica.until_ready().await;
    let shown = async || {
        let metrics = replica.admin("/metrics").await;
        let value = |name: &str| {
            let line = metrics.text().lines().find(|line| line.starts_with(name))?;
            line.rsplit_once(' ').map(|(_, value)| value.to_owned())
        };
        let pending = value("waybill_stan_subscription_pending_messages ");
        (value("waybill_stan_monitor_up "), pending)
    };
    let become_so = async |up: &str, pending: Option<&str>| {
        let expected = (Some(up.to_owned()), pending.map(str::to_owned));
        eventually("the metrics follow the monitor", PATIENCE, async || {
            (shown().await == expected).then_some(())
        })
        .await;
    };
    become_so("1", Some("0")).await;
    world.broker.kill().expect("killed");
    become_so("0", None).await;
    world.broker.start_again().await.expect("it starts");
    become_so("1", Some("0")).await;
    let log = replica.process.log();
    assert_eq!(log.matches("The broker's monitor answers again").count(), 1, "{log}");
    let ready = replica.admin("/readyz?verbose").await;
    assert!(ready.text().contains("[+] broker's monitor: answers\n"), "{}", ready.text());
}

/// A replica stores five orders and stops, three more are confirmed, and `lose` makes the broker
/// forget the channel; the next replica must say so.
async fn assert_new_channel_is_told(options: BrokerOptions, lose: impl AsyncFnOnce(&mut World)) {
    let postgres = Postgres::shared().await.expect("Postgres");
    let mut world = World::with(options, postgres).await;
    let monitor = world.broker.monitor_url();
    let settings = [("WAYBILL_BROKER__MONITOR_URL", monitor.as_str())];
    let mut first = world.start("first", &settings).await;
    first.until_ready().await;
    world.publish_raw((1..=5).map(|n| order(&format!("order-{n}")))).await;
    until_stored(&world, postgres, "5").await;
    assert_eq!(first.stop().await, Some(0));
    world.publish_raw((6..=8).map(|n| order(&format!("order-{n}")))).await;
    lose(&mut world).await;
    let second = world.start("second", &settings).await.expecting("The channel began anew");
    // From here on the channel has a subscriber, so it is not deleted once more.
    eventually("the group is there", PATIENCE, async || world.lag().await).await;
    world.publish_raw([order("order-9")]).await;
    until_stored(&world, postgres, "6").await;
    let entry = "[-] the channel began anew: its newest sequence was 5 or more before and was 1 at";
    eventually("the new channel is told of", PATIENCE, async || {
        let ready = second.admin("/readyz?verbose").await;
        ready.text().contains(entry).then_some(())
    })
    .await;
    let resets = second.metric("waybill_stan_channel_resets_total").await;
    assert!((resets - 1.0).abs() < 0.5, "{resets}");
    let log = second.process.log();
    assert_eq!(log.matches("The channel began anew").count(), 1, "{log}");
}

#[tokio::test]
async fn a_channel_deleted_for_inactivity_that_begins_anew_is_told() {
    let inactivity = Some(Duration::from_secs(3));
    let options = BrokerOptions { max_inactivity: inactivity, ..BrokerOptions::default() };
    assert_new_channel_is_told(options, async |world: &mut World| {
        eventually("the broker deletes the channel", PATIENCE, async || {
            let channel = world.broker.channel("orders").await.ok()?;
            (channel.last_seq == 0).then_some(())
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_broker_with_a_new_store_is_told() {
    assert_new_channel_is_told(BrokerOptions::default(), async |world: &mut World| {
        world.broker.stop().await.expect("it stops");
        world.broker.wipe().expect("its store is removed");
        world.broker.start_again().await.expect("it starts");
    })
    .await;
}

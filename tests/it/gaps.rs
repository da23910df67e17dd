//! What the broker deletes before anybody took it is noticed, told and remembered.

use testbed::{BrokerOptions, Postgres, eventually};

use crate::service::{PATIENCE, World, order};

#[tokio::test]
async fn what_retention_took_from_the_group_is_told_for_as_long_as_the_process_lives() {
    let postgres = Postgres::shared().await.expect("Postgres");
    let options = BrokerOptions { max_messages: 10, ..BrokerOptions::default() };
    let world = World::with(options, postgres).await;
    let monitor = world.broker.monitor_url();
    let settings = [("WAYBILL_BROKER__MONITOR_URL", monitor.as_str())];
    let mut first = world.start("first", &settings).await;
    first.until_ready().await;
    world.throw((1..=5).map(|n| order(&format!("order-{n}")))).await;
    world.until_drained().await;
    assert!(!first.admin("/readyz?verbose").await.text().contains("lost"));
    assert_eq!(first.stop().await, Some(0));

    // With nobody there 41 to 50 stay, and the group has taken 1 to 5.
    world.throw((6..=50).map(|n| order(&format!("order-{n}")))).await;
    let second = world.start("second", &settings).await;
    second.until_ready().await;
    eventually("what is left is stored", PATIENCE, async || {
        let stored = world.sql(postgres, "select count(*) from orders").await;
        (stored == "15").then_some(())
    })
    .await;
    let ready = second.admin("/readyz?verbose").await;
    let entry = "[-] lost to retention: sequences 6–40\n";
    assert!(ready.text().contains(entry), "{}", ready.text());
    assert_eq!(ready.status, 200, "what is stored is served");
    let lost = second.metric("waybill_stan_lost_to_retention_messages").await;
    assert!((lost - 35.0).abs() < 0.5, "{lost}");
    let log = second.process.log();
    assert_eq!(log.matches("Lost to retention: sequences 6–40").count(), 1, "{log}");
}

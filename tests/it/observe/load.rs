//! A load of which all is known, with a short outage of Postgres and one of the broker.

use bytes::Bytes;
use http::StatusCode;
use testbed::{Postgres, eventually};

use crate::service::{PATIENCE, Replica, World, order};

/// Orders published while all is well; one more comes while Postgres is away.
const ORDERS: u32 = 40;
const DUPLICATES: u32 = 7;
const CONFLICTS: u32 = 3;
const NOT_JSON: u32 = 4;
const NOT_AN_OBJECT: u32 = 2;
/// Lookups of orders that nobody published, of pages, and of unknown orders in the outage.
const ABSENT: u32 = 10;
const PAGES: u32 = 5;
const CANNOT_TELL: u32 = 3;

const REJECTS: u32 = CONFLICTS + NOT_JSON + NOT_AN_OBJECT;
const MESSAGES: u32 = ORDERS + 1 + DUPLICATES + REJECTS;
/// Each order is asked for once at each replica, of which one has it in memory.
const HITS: u32 = ORDERS + PAGES;
const MISSES: u32 = ORDERS + ABSENT + CANNOT_TELL;
const REQUESTS: u32 = HITS + MISSES;

/// Counters as they are after the load, whatever was scraped when.
pub(super) fn counted() -> impl Iterator<Item = (&'static str, f64)> {
    [
        ("sum(waybill_ingest_messages_total{result='stored'})", ORDERS + 1),
        ("sum(waybill_ingest_messages_total{result='duplicate'})", DUPLICATES),
        ("sum(waybill_ingest_messages_total{result='conflict'})", CONFLICTS),
        ("sum(waybill_ingest_messages_total{result='refused'})", NOT_JSON + NOT_AN_OBJECT),
        ("sum(waybill_ingest_rejected_total)", REJECTS),
        ("sum(waybill_ingest_rejected_total{reason='not_json'})", NOT_JSON),
        ("sum(waybill_ingest_rejected_total{reason='not_an_object'})", NOT_AN_OBJECT),
        ("sum(waybill_ingest_rejected_total{reason='conflict'})", CONFLICTS),
        ("sum(waybill_ingest_end_to_end_seconds_count)", MESSAGES),
        ("sum(waybill_cache_hits_total)", HITS),
        ("sum(waybill_cache_misses_total)", MISSES),
        ("sum(waybill_http_requests_total{route='order_api',code='200'})", 2 * ORDERS),
        ("sum(waybill_http_requests_total{route='order_api',code='404'})", ABSENT),
        ("sum(waybill_http_requests_total{code=~'5..'})", CANNOT_TELL),
        // Each replica measures it once a minute.
        ("min(waybill_rejects_kept)", REJECTS),
    ]
    .into_iter()
    .map(|(query, value)| (query, f64::from(value)))
}

/// What a panel must show.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) dashboard: &'static str,
    pub(super) panel: &'static str,
    /// Of several series the one with this label.
    pub(super) label: Option<(&'static str, &'static str)>,
    pub(super) value: f64,
    /// As a share of the value: rates and increases are extrapolated to the whole window.
    pub(super) tolerance: f64,
}

/// What panels must show after the load.
pub(super) fn shown() -> impl Iterator<Item = Shown> {
    let share = |part, whole| f64::from(part) / f64::from(whole);
    let answered = 1.0 - share(CANNOT_TELL, REQUESTS);
    let live = Some(("state", "live"));
    let not_json = Some(("reason", "not_json"));
    [
        ("waybill / service", "Ready replicas", None, 2.0, 0.0),
        ("waybill / service", "Availability", None, answered, 0.01),
        ("waybill / service", "Hits", None, share(HITS, REQUESTS), 0.05),
        ("waybill / ingest", "Live sessions", None, 2.0, 0.0),
        ("waybill / ingest", "Waiting", None, 0.0, 0.0),
        ("waybill / ingest", "Refused", None, share(REJECTS, MESSAGES), 0.05),
        ("waybill / ingest", "Deleted by the broker", None, 0.0, 0.0),
        ("waybill / dependencies", "Builds", None, 2.0, 0.0),
        ("waybill / dependencies", "Restarts", None, 0.0, 0.0),
        ("waybill / dependencies", "Sessions by state", live, 2.0, 0.0),
        ("waybill / load", "Success", None, answered, 0.01),
        ("waybill / rejects", "Kept", None, f64::from(REJECTS), 0.0),
        ("waybill / rejects", "New", None, f64::from(REJECTS), 0.1),
        ("waybill / rejects", "Reasons", not_json, f64::from(NOT_JSON), 0.1),
    ]
    .into_iter()
    .map(|(dashboard, panel, label, value, tolerance)| Shown {
        dashboard,
        panel,
        label,
        value,
        tolerance,
    })
}

/// Publishes and looks up.
pub(super) async fn run(world: &mut World, postgres: &mut Postgres, replicas: &[Replica; 2]) {
    world.publish_raw((0..ORDERS).map(|n| order(&uid(n)))).await;
    world.until_drained().await;
    // Before the copies: who gets a copy of an order has it in memory too.
    look_up(replicas).await;
    publish_others(world).await;
    lose_postgres(world, postgres, replicas).await;
    lose_the_broker(world, replicas).await;
}

fn uid(n: u32) -> String {
    format!("order-{n}")
}

/// Copies, other bytes under an id that is taken, and what is no order.
async fn publish_others(world: &World) {
    let text = |text: &'static str| Bytes::from_static(text.as_bytes());
    let other = |order: Bytes| Bytes::from([&b" "[..], &order[..]].concat());
    let rest = (0..DUPLICATES)
        .map(|n| order(&uid(n)))
        .chain((0..CONFLICTS).map(|n| other(order(&uid(n)))))
        .chain((0..NOT_JSON).map(|_| text("no order")))
        .chain((0..NOT_AN_OBJECT).map(|_| text("[]")));
    world.publish_raw(rest).await;
    world.until_drained().await;
}

async fn look_up(replicas: &[Replica; 2]) {
    for replica in replicas {
        for n in 0..ORDERS {
            assert_eq!(replica.order(&uid(n)).await.status, StatusCode::OK);
        }
    }
    let [first, _] = replicas;
    for n in 0..ABSENT {
        let reply = first.order(&format!("nobody-{n}")).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND);
    }
    for n in 0..PAGES {
        assert_eq!(first.get(&format!("/orders/{}", uid(n))).await.status, StatusCode::OK);
    }
}

async fn lose_postgres(world: &World, postgres: &mut Postgres, replicas: &[Replica; 2]) {
    postgres.stop().await.expect("stopped");
    world.publish_raw([order("in-the-outage")]).await;
    eventually("a write that fails", PATIENCE, async || {
        let mut failed = 0.0;
        for replica in replicas {
            failed += replica.metric(r#"waybill_ingest_errors_total{class="transient"}"#).await;
        }
        (failed > 0.0).then_some(())
    })
    .await;
    for n in 0..CANNOT_TELL {
        let reply = replicas[0].order(&format!("perhaps-{n}")).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    postgres.start_again().await.expect("started");
    world.until_drained().await;
}

async fn lose_the_broker(world: &mut World, replicas: &[Replica; 2]) {
    // In order: one that is killed forgets acknowledgements that it has not written yet, and then
    // there would be duplicates of which nobody knows how many.
    world.broker.stop().await.expect("stopped");
    for replica in replicas {
        until_connected(replica, 0.0).await;
    }
    world.broker.start_again().await.expect("started");
    for replica in replicas {
        until_connected(replica, 1.0).await;
    }
}

async fn until_connected(replica: &Replica, connected: f64) {
    eventually("the session is as the broker is", PATIENCE, async || {
        let found = replica.measured("waybill_stan_connected").await?;
        (found.to_bits() == connected.to_bits()).then_some(())
    })
    .await;
}

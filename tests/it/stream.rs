//! Orders off a stream of JetStream, alone and beside the channel of NATS Streaming.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;
use testbed::{NatsOptions, NatsServer, Postgres, eventually};

use crate::faults::while_locked;
use crate::hostile::table::{Expected, cases};
use crate::service::{PATIENCE, Replica, World, order};

/// The `max_payload` of the server, 1 MiB, less room for headers.
const MOST_THE_SERVER_TAKES: usize = (1 << 20) - 1_000;

/// A world with a server of streams beside the broker.
pub(crate) struct Streams {
    pub(crate) world: World,
    pub(crate) nats: NatsServer,
}

impl Streams {
    pub(crate) async fn new() -> Self {
        let nats = NatsServer::start(NatsOptions::default()).await.expect("a nats-server");
        Self { world: World::new().await, nats }
    }

    /// A ready replica that reads the stream, and the channel where `broker` says so.
    pub(crate) async fn serve(&self, name: &str, broker: bool) -> Replica {
        self.serve_with(name, broker, &[]).await
    }

    /// As [`Streams::serve`], with more settings.
    pub(crate) async fn serve_with(
        &self,
        name: &str,
        broker: bool,
        settings: &[(&str, &str)],
    ) -> Replica {
        let url = self.nats.url();
        let ours = [
            ("WAYBILL_JETSTREAM__URL", &*url),
            ("WAYBILL_JETSTREAM__ACK_WAIT", "1s"),
            ("WAYBILL_BROKER__ENABLED", if broker { "true" } else { "false" }),
        ];
        let replica = self.world.start(name, &[&ours, settings].concat()).await;
        replica.until_ready().await;
        replica
    }

    pub(crate) async fn connection(&self) -> jetstream::Connection {
        let options = jetstream::Options::new(&self.nats.url(), "test");
        jetstream::Connection::connect(options).await.expect("a connection")
    }

    /// Publishes to the stream, which a replica has made or makes by itself.
    pub(crate) async fn publish(&self, payloads: impl IntoIterator<Item = Bytes>) {
        let connection = self.connection().await;
        let consumer = jetstream::ConsumerOptions::new("ORDERS", "orders", "waybill");
        connection.ensure(&consumer).await.expect("a stream");
        self.publish_as_it_is(payloads).await;
    }

    /// Publishes to the stream, whatever its settings.
    pub(crate) async fn publish_as_it_is(&self, payloads: impl IntoIterator<Item = Bytes>) {
        let connection = self.connection().await;
        let publisher = connection.publisher("orders").await.expect("a publisher");
        for payload in payloads {
            let ack = publisher.publish(payload, jetstream::Terms::default()).await;
            ack.expect("sent").await.expect("stored");
        }
    }

    /// Waits until the replicas have acknowledged all that is in the stream.
    pub(crate) async fn until_drained(&self) {
        let stream = self.connection().await.stream("ORDERS").expect("a name");
        eventually("the stream is drained", PATIENCE, async || {
            let consumer = stream.consumer_info("waybill").await.ok()?;
            (consumer.num_pending + consumer.num_ack_pending == 0).then_some(())
        })
        .await;
    }

    pub(crate) async fn sql(&self, sql: &str) -> String {
        self.world.sql(Postgres::shared().await.expect("Postgres"), sql).await
    }
}

#[tokio::test]
async fn orders_of_a_stream_alone_are_stored_and_served_and_say_so() {
    let streams = Streams::new().await;
    let replica = streams.serve("alone", false).await;
    streams.publish((0..1_500).map(|n| order(&format!("order-{n}")))).await;
    streams.until_drained().await;
    for uid in ["order-0", "order-1499"] {
        let reply = replica.order(uid).await;
        assert_eq!((reply.status, reply.body), (StatusCode::OK, order(uid)));
    }
    let sources = "select source, count(*), min(channel_sequence), max(channel_sequence) \
                   from orders group by source";
    assert_eq!(streams.sql(sources).await, "jetstream:ORDERS|1500|1|1500");
    let ready = replica.admin("/readyz?verbose").await;
    assert!(ready.text().contains("[+] stream: session live"), "{}", ready.text());
    assert!(!ready.text().contains("broker"), "{}", ready.text());
    assert_eq!(replica.measured("waybill_jetstream_connected").await, Some(1.0));
    assert_eq!(replica.measured("waybill_stan_connected").await, None);
    let newest = replica.admin("/orders.json?limit=1").await;
    let newest: Value = serde_json::from_slice(&newest.body).expect("JSON");
    assert_eq!(newest["orders"][0]["source"], "jetstream:ORDERS");
}

#[tokio::test]
async fn every_hostile_message_of_a_stream_has_its_outcome() {
    let streams = Streams::new().await;
    let _replica = streams.serve("brave", false).await;
    let mut cases = cases();
    cases.retain(|case| case.payload.len() < MOST_THE_SERVER_TAKES);
    streams.publish(cases.iter().map(|case| Bytes::from(case.payload.clone()))).await;
    streams.until_drained().await;
    let rows = "select channel, sequence, reason from rejected_messages order by sequence";
    let rows = streams.sql(rows).await;
    let mut refused = 0;
    for (sequence, case) in (1..).zip(&cases) {
        if let Expected::Refused(reason) = &case.expected {
            let row = format!("jetstream:ORDERS|{sequence}|{reason}");
            assert!(rows.lines().any(|line| line == row), "{}: no {row}", case.name);
            refused += 1;
        }
    }
    assert_eq!(rows.lines().count(), refused);
}

/// The same sequence of two sources means two messages, and an order has one id whatever it came
/// by.
#[tokio::test]
async fn the_first_write_wins_across_the_channel_and_the_stream() {
    let streams = Streams::new().await;
    let replica = streams.serve("both", true).await;
    let other = |uid: &str| {
        let text = String::from_utf8(order(uid).to_vec()).expect("UTF-8");
        Bytes::from(text.replacen("Test Testov", "Another", 1))
    };
    streams.world.publish_raw([order("same"), order("first"), Bytes::from("junk")]).await;
    streams.world.until_drained().await;
    streams.publish([order("same"), other("first"), Bytes::from("junk"), order("moved")]).await;
    streams.until_drained().await;
    streams.world.publish_raw([other("moved")]).await;
    streams.world.until_drained().await;
    for uid in ["same", "first", "moved"] {
        assert_eq!(replica.order(uid).await.body, order(uid), "{uid}");
    }
    let orders = "select order_uid, source, channel_sequence from orders order by order_uid";
    assert_eq!(streams.sql(orders).await, "first||2\nmoved|jetstream:ORDERS|4\nsame||1");
    let rejects = "select channel, sequence, reason from rejected_messages order by 1, 2";
    assert_eq!(
        streams.sql(rejects).await,
        "jetstream:ORDERS|2|conflict\njetstream:ORDERS|3|not_json\norders|3|not_json\norders|4|conflict"
    );
    let stored = "waybill_ingest_messages_total{result=\"duplicate\"}";
    assert_eq!(replica.measured(stored).await, Some(1.0));
}

#[tokio::test]
async fn what_a_killed_replica_held_comes_to_another() {
    let streams = Streams::new().await;
    let mut killed = streams.serve("killed", false).await;
    // It asks Postgres what is stored before it takes anything.
    eventually("it reads the stream", PATIENCE, async || {
        (killed.measured("waybill_jetstream_connected").await == Some(1.0)).then_some(())
    })
    .await;
    // Nothing can be stored, so that it holds what it takes.
    let postgres = Postgres::shared().await.expect("Postgres");
    let killing = async {
        streams.publish((0..40).map(|n| order(&format!("held-{n}")))).await;
        eventually("it holds messages", PATIENCE, async || {
            (killed.metric("waybill_ingest_in_hand_messages").await >= 40.0).then_some(())
        })
        .await;
        killed.process.kill().expect("killed");
    };
    while_locked(&streams.world, postgres, Box::pin(killing)).await;
    let replica = streams.serve("heir", false).await;
    streams.until_drained().await;
    assert_eq!(streams.sql("select count(*) from orders").await, "40");
    assert_eq!(replica.order("held-39").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_server_that_is_away_is_told_and_orders_flow_when_it_is_back() {
    let mut streams = Streams::new().await;
    let replica = streams.serve("patient", true).await;
    streams.publish([order("before")]).await;
    streams.until_drained().await;
    streams.nats.kill().expect("killed");
    eventually("it is told", PATIENCE, async || {
        let ready = replica.admin("/readyz?verbose").await;
        ready.text().contains("[-] stream: ").then_some(())
    })
    .await;
    assert_eq!(replica.admin("/readyz").await.status, StatusCode::OK, "lookups are answered");
    // The channel is another source, which goes on.
    streams.world.publish_raw([order("beside")]).await;
    streams.world.until_drained().await;
    streams.nats.start_again().await.expect("it starts again");
    streams.publish([order("after")]).await;
    let told = Duration::from_secs(20);
    eventually("orders flow again", told, async || {
        (replica.order("after").await.status == StatusCode::OK).then_some(())
    })
    .await;
    assert_eq!(replica.order("beside").await.status, StatusCode::OK);
}

/// Replicas of the version before write the table without knowing of sources.
#[tokio::test]
async fn a_replica_of_before_stores_beside_this_one() {
    let streams = Streams::new().await;
    let replica = streams.serve("new", true).await;
    let old = "insert into orders (order_uid, document, channel_sequence) \
               select * from unnest(array['old'], array['{}'::bytea], array[7::bigint]) \
                   as new (uid, document, sequence) \
               on conflict do nothing returning order_uid";
    let postgres = Postgres::shared().await.expect("Postgres");
    let url = &streams.world.database.url;
    let inserted = postgres.psql(url, old).await.expect("inserted");
    assert!(inserted.starts_with("old"), "{inserted}");
    eventually("it is followed", PATIENCE, async || {
        (replica.order("old").await.status == StatusCode::OK).then_some(())
    })
    .await;
    assert_eq!(streams.sql("select source is null from orders").await, "t");
}

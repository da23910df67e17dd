//! `waybill publish` to a stream: what is stored, and what comes of a stream that is full or not
//! there, and of a server that is lost.

use std::collections::HashSet;

use futures_util::TryStreamExt as _;
use jetstream::{ConsumerOptions, StreamInfo, Terms};
use testbed::{NatsOptions, NatsServer, Process, eventually};

use super::{doubtful, end, messages, receipt, start_with};
use crate::service::{MODEL, PATIENCE, World, hex};
use crate::stream::Streams;

impl Streams {
    /// Makes the stream as a replica does.
    async fn make(&self) {
        let consumer = ConsumerOptions::new("ORDERS", "orders", "waybill");
        self.connection().await.ensure(&consumer).await.expect("a stream");
    }

    async fn info(&self) -> StreamInfo {
        let stream = self.connection().await.stream("ORDERS").expect("a name");
        stream.info().await.expect("a stream")
    }

    fn start(&self, arguments: &[&str]) -> Process {
        start_with(&self.world, ("WAYBILL_JETSTREAM__URL", &self.nats.url()), arguments)
    }

    /// Runs `waybill publish` to its end: the exit code and what it said.
    async fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        end(&mut self.start(arguments)).await
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex(&sha2::Sha256::digest(bytes))
}

#[tokio::test]
async fn messages_come_in_order_and_each_of_the_receipt_is_there_once() {
    let streams = Streams::new().await;
    streams.make().await;
    let lines: Vec<String> = (1..=3_000).map(|n| format!("message {n}")).collect();
    let file = streams.world.path().join("lines.ndjson");
    std::fs::write(file, lines.join("\n")).expect("a file");
    let arguments = ["--to", "jetstream", "lines.ndjson", "--receipt", "receipt"];
    let (code, log) = streams.run(&arguments).await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("3,000 confirmed, 0 failed"), "{log}");
    let connection = streams.connection().await;
    let stream = connection.stream("ORDERS").expect("a name");
    let stored: Vec<_> = stream.read(1..=3_000).try_collect().await.expect("read");
    assert!(stored.iter().map(|message| &message.data[..]).eq(lines.iter().map(String::as_bytes)));
    let sums: Vec<String> = stored.iter().map(|message| sha256(&message.data)).collect();
    // In the order in which they were confirmed.
    let confirmed: HashSet<String> = receipt(&streams.world).into_iter().collect();
    assert!(confirmed == sums.iter().cloned().collect(), "{} sums", confirmed.len());
    assert_eq!(confirmed.len(), 3_000);

    // The id of a message is its SHA-256, so that it is not stored again.
    let publisher = connection.publisher("orders").await.expect("a publisher");
    let terms = Terms { message_id: Some(&sums[7]), ..Terms::default() };
    let again = publisher.publish("anything".into(), terms).await.expect("sent");
    let again = again.await.expect("an answer");
    assert_eq!((again.sequence, again.duplicate), (8, true));
    assert_eq!(messages(&streams.world.broker).await, 0, "the channel has none of it");
}

#[tokio::test]
async fn the_stream_is_the_default_only_where_the_channel_is_not_read() {
    let streams = Streams::new().await;
    streams.make().await;
    let model = streams.world.path().join("model.json");
    std::fs::write(&model, MODEL).expect("a file");
    let (code, log) = streams.run(&["model.json"]).await;
    assert_eq!((code, messages(&streams.world.broker).await), (Some(0), 1), "{log}");
    let alone = ["model.json", "--set", "broker.enabled=false"];
    let (code, log) = streams.run(&alone).await;
    assert_eq!((code, streams.info().await.messages), (Some(0), 1), "{log}");
    let (code, log) = streams.run(&[&alone[..], &["--to", "stan"]].concat()).await;
    assert_eq!((code, messages(&streams.world.broker).await), (Some(0), 2), "{log}");
    for (arguments, said) in [
        (["--channel", "other", "--to", "jetstream"], "--channel is for --to stan"),
        (["--set", "jetstream.url=", "--to", "jetstream"], "`jetstream.url`"),
    ] {
        let (code, log) = streams.run(&[&["model.json"], &arguments[..]].concat()).await;
        assert_eq!(code, Some(64), "{log}");
        assert!(log.contains(said), "{log}");
    }
    let (code, _, log) = streams.world.run(&["publish", "model.json", "--to", "jetstream"]).await;
    assert_eq!(code, 64, "{log}");
    assert!(log.contains("`jetstream.url` is not set and must name the servers"), "{log}");
}

#[tokio::test]
async fn a_full_stream_is_named_and_nothing_is_confirmed_that_it_did_not_take() {
    let streams = Streams::new().await;
    let client = jetstream::async_nats::connect(streams.nats.url()).await.expect("a client");
    let full = r#"{"name":"ORDERS","subjects":["orders"],"max_msgs":3,"discard":"new"}"#;
    client.request("$JS.API.STREAM.CREATE.ORDERS", full.into()).await.expect("a stream");
    let arguments =
        ["--to", "jetstream", "--generate", "5", "--receipt", "receipt", "--retry-for", "1s"];
    let (code, log) = streams.run(&arguments).await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("the stream takes no more: maximum messages exceeded (10077)"), "{log}");
    assert!(log.contains("given up after 1s") && log.contains("3 confirmed, "), "{log}");
    assert_eq!((receipt(&streams.world).len(), streams.info().await.messages), (3, 3));
}

#[tokio::test]
async fn a_stream_that_is_not_there_is_waited_for_but_not_for_ever() {
    let streams = Streams::new().await;
    let arguments = ["--to", "jetstream", "--generate", "10"];
    let mut publish = streams.start(&arguments);
    let told = "no stream takes messages of subject orders, that of `jetstream.subject`; retrying";
    eventually("publish tells", PATIENCE, async || publish.log().contains(told).then_some(()))
        .await;
    streams.make().await;
    let (code, log) = end(&mut publish).await;
    assert_eq!((code, streams.info().await.messages), (Some(0), 10), "{log}");

    let nobody = [&arguments[..], &["--retry-for", "0s", "--set", "jetstream.subject=x"]].concat();
    let (code, log) = streams.run(&nobody).await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("no stream takes messages of subject x"), "{log}");
}

#[tokio::test]
async fn everything_is_confirmed_though_the_server_is_killed_and_nothing_is_stored_twice() {
    let mut streams = Streams::new().await;
    streams.make().await;
    let arguments =
        ["--to", "jetstream", "--generate", "3000", "--rate", "1500", "--receipt", "receipt"];
    let mut publish = streams.start(&arguments);
    eventually("some are stored", PATIENCE, async || {
        (streams.info().await.messages >= 500).then_some(())
    })
    .await;
    streams.nats.kill().expect("killed");
    eventually("publish tells", PATIENCE, async || {
        publish.log().contains("retrying for 1m").then_some(())
    })
    .await;
    streams.nats.start_again().await.expect("it is back");
    let (code, log) = end(&mut publish).await;
    assert!(log.contains("3,000 confirmed, 0 failed"), "{log}");
    assert_eq!((code, receipt(&streams.world).len()), (Some(0), 3_000), "{log}");
    assert_eq!(streams.info().await.messages, 3_000, "{} were in doubt", doubtful(&log));
}

#[tokio::test]
async fn what_is_given_up_when_the_server_is_lost_is_named() {
    let mut streams = Streams::new().await;
    streams.make().await;
    let endless = ["--to", "jetstream", "--generate", "100000", "--rate", "500"];
    let arguments = [&endless[..], &["--receipt", "receipt", "--retry-for", "1s"]].concat();
    let mut publish = streams.start(&arguments);
    eventually("some are stored", PATIENCE, async || {
        (streams.info().await.messages >= 100).then_some(())
    })
    .await;
    streams.nats.kill().expect("killed");
    let (code, log) = end(&mut publish).await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("given up after 1s"), "{log}");
    assert!(log.contains("what comes after was not sent"), "{log}");
    let lines = receipt(&streams.world).len().to_string();
    assert!(log.contains(&format!("{lines} confirmed, ")), "{lines} lines; {log}");

    let (code, log) =
        streams.run(&["--to", "jetstream", "--generate", "1", "--retry-for", "0s"]).await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains(&format!("cannot connect to {}", streams.nats.url())), "{log}");
}

/// Where a stream is replicated, a server refuses a message while another one of the same id is
/// being stored: it is no outage, and no failure.
#[tokio::test]
async fn copies_that_come_while_the_first_is_being_replicated_are_confirmed_too() {
    let servers = NatsServer::start_cluster(NatsOptions::default()).await.expect("a cluster");
    let urls: Vec<String> = servers.iter().map(NatsServer::url).collect();
    let urls = urls.join(",");
    let options = jetstream::Options::new(&urls, "test");
    let connection = jetstream::Connection::connect(options).await.expect("a connection");
    let mut consumer = ConsumerOptions::new("ORDERS", "orders", "waybill");
    consumer.replicas = 3;
    connection.ensure(&consumer).await.expect("a stream");
    let world = World::new().await;
    std::fs::write(world.path().join("same.ndjson"), "the same\n".repeat(500)).expect("a file");
    let arguments = ["--to", "jetstream", "same.ndjson"];
    let mut publish = start_with(&world, ("WAYBILL_JETSTREAM__URL", &urls), &arguments);
    let (code, log) = end(&mut publish).await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("500 confirmed, 0 failed"), "{log}");
    assert!(!log.contains("retrying"), "{log}");
    let stream = connection.stream("ORDERS").expect("a name");
    assert_eq!(stream.info().await.expect("info").messages, 1);
}

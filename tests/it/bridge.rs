//! `waybill bridge`: the channel is copied into a stream, sequence by sequence, and nothing is lost
//! or written twice on the way.

use std::process::Command;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use jetstream::{Connection, Stream, StreamOptions, Terms};
use serde_json::{Value, json};
use testbed::{
    BrokerOptions, Direction, NatsOptions, NatsServer, Postgres, Process, Proxy, Signal, eventually,
};

use crate::service::{PATIENCE, World, order};

mod faults;

/// A world with a server of streams beside the broker.
struct Servers {
    world: World,
    nats: NatsServer,
}

impl Servers {
    async fn new() -> Self {
        Self::with(BrokerOptions::default()).await
    }

    async fn with(broker: BrokerOptions) -> Self {
        let postgres = Postgres::shared().await.expect("Postgres");
        let nats = NatsServer::start(NatsOptions::default()).await.expect("a nats-server");
        Self { world: World::with(broker, postgres).await, nats }
    }

    fn url(&self) -> String {
        format!("jetstream.url={}", self.nats.url())
    }

    fn monitor(&self) -> String {
        format!("broker.monitor_url={}", self.world.broker.monitor_url())
    }

    /// Runs the command with `--once` to its end: the exit code, the report and standard error.
    async fn once(&self) -> (i32, Value, String) {
        let (url, monitor) = (self.url(), self.monitor());
        let arguments = ["bridge", "--once", "--output", "json", "--set", &url, "--set", &monitor];
        let (code, stdout, stderr) = self.world.run(&arguments).await;
        let report = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}"));
        (code, report, stderr)
    }

    /// A run that ends with both sides equal; its report.
    async fn equal(&self) -> Value {
        let (code, report, stderr) = self.once().await;
        assert_eq!((code, &report["comparison"]["equal"]), (0, &json!(true)), "{report}{stderr}");
        let comparison = &report["comparison"];
        assert_eq!(comparison["channel_sha256"], comparison["stream_sha256"]);
        report
    }

    fn command(&self, url: &str) -> Command {
        let url = format!("jetstream.url={url}");
        self.world.command(&["bridge", "--set", &url, "--set", &self.monitor()])
    }

    /// One that follows the channel.
    fn follow(&self, name: &str) -> Process {
        self.follow_at(name, &self.nats.url())
    }

    fn follow_at(&self, name: &str, url: &str) -> Process {
        let log = self.world.path().join(format!("{name}.log"));
        Process::spawn(name, &self.command(url), &log).expect("it starts")
    }

    async fn connection(&self) -> Connection {
        let options = jetstream::Options::new(&self.nats.url(), "test");
        Connection::connect(options).await.expect("a connection")
    }

    async fn stream(&self) -> Stream {
        self.connection().await.stream("ORDERS_STAN").expect("a name")
    }

    /// Waits until the stream ends with a sequence.
    async fn until_copied(&self, last: u64) {
        let stream = self.stream().await;
        eventually(&format!("a copy up to {last}"), PATIENCE, async || {
            (stream.info().await.ok()?.last_sequence >= last).then_some(())
        })
        .await;
    }

    /// What the stream holds, by sequences.
    async fn stored(&self) -> Vec<(u64, Bytes)> {
        let stream = self.stream().await;
        let info = stream.info().await.expect("info");
        let read = stream.read(info.first_sequence..=info.last_sequence);
        let read = read.map_ok(|message| (message.sequence, message.data));
        read.try_collect().await.expect("read")
    }

    /// Makes the stream as the command does, and writes to it.
    async fn write(&self, messages: impl IntoIterator<Item = (&str, Bytes)>) {
        let connection = self.connection().await;
        let mut options = StreamOptions::new("ORDERS_STAN", &["ORDERS_STAN", "ORDERS_STAN.gap"]);
        options.deny_purge = true;
        connection.ensure_stream(&options).await.expect("a stream");
        let messages_of = connection.publisher("ORDERS_STAN").await.expect("a publisher");
        let gaps_of = connection.publisher("ORDERS_STAN.gap").await.expect("a publisher");
        let mut acks = Vec::new();
        for (subject, data) in messages {
            let publisher = if subject == "ORDERS_STAN" { &messages_of } else { &gaps_of };
            acks.push(publisher.publish(data, Terms::default()).await.expect("sent"));
        }
        for ack in acks {
            ack.await.expect("stored");
        }
    }
}

fn numbered(range: std::ops::RangeInclusive<u64>) -> impl Iterator<Item = Bytes> {
    range.map(|number| order(&format!("order-{number}")))
}

fn copies(range: std::ops::RangeInclusive<u64>) -> impl Iterator<Item = (u64, Bytes)> {
    range.clone().zip(numbered(range))
}

async fn ended(process: &mut Process) -> Option<i32> {
    let status =
        eventually("it ends", PATIENCE, async || process.status().expect("a status")).await;
    status.code()
}

async fn stop(process: &mut Process) {
    let status = process.stop(Signal::TERM, PATIENCE).await.expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", process.log());
}

#[tokio::test]
async fn every_message_is_copied_under_its_sequence_and_a_later_run_copies_the_rest() {
    let servers = Servers::new().await;
    let large = Bytes::from(vec![b'x'; 900_000]);
    let junk = [Bytes::from_static(b"no order"), Bytes::from_static(&[0, 255]), large];
    let first: Vec<Bytes> = numbered(1..=200).chain(junk).chain(numbered(1..=1)).collect();
    servers.world.publish_raw(first.clone()).await;
    let report = servers.equal().await;
    assert_eq!(report["copied"], 204);
    assert_eq!((&report["gaps"], &report["last"]), (&json!(0), &json!(204)));
    assert_eq!(report["comparison"]["messages"], 204);
    assert!(servers.stored().await.into_iter().eq((1..).zip(first)));
    let again = servers.equal().await;
    assert_eq!(again["copied"], 0);
    assert_eq!(again["comparison"]["stream_sha256"], report["comparison"]["stream_sha256"]);
    servers.world.publish_raw(numbered(301..=310)).await;
    let rest = servers.equal().await;
    assert_eq!((&rest["copied"], &rest["last"]), (&json!(10), &json!(214)));
    assert_ne!(rest["comparison"]["stream_sha256"], report["comparison"]["stream_sha256"]);
    let info = servers.stream().await.info().await.expect("info");
    assert_eq!((info.first_sequence, info.messages, info.deleted), (1, 214, 0));
    assert_eq!(info.subjects, ["ORDERS_STAN", "ORDERS_STAN.gap"]);
}

#[tokio::test]
async fn for_people_it_says_that_both_sides_are_equal_or_where_they_are_not() {
    let servers = Servers::new().await;
    servers.world.publish_raw(numbered(1..=20)).await;
    let (url, stream) = (servers.url(), "ORDERS_STAN");
    // Without the monitor, the broker itself tells where the channel ends.
    let arguments = ["bridge", "--once", "--set", &url];
    let (code, stdout, stderr) = servers.world.run(&arguments).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    let copied = format!("orders -> {stream}: 20 messages copied, 0 gaps, up to sequence 20\n");
    let equal = "equal: 20 messages, sequences 1 to 20, SHA-256 ";
    assert!(stdout.starts_with(&format!("{copied}{equal}")), "{stdout}");
    for sequence in [7, 8] {
        assert!(servers.stream().await.delete(sequence).await.expect("deleted"));
    }
    let (code, stdout, stderr) = servers.world.run(&arguments).await;
    assert_eq!(code, 1, "{stdout}{stderr}");
    let differs = "not equal: of 20 messages, sequences 1 to 20, 2 missing in the stream, \
                   0 differ: sequences 7–8\n";
    assert!(stdout.contains(differs), "{stdout}");
}

/// Beyond what is compared before anything is copied: the last 4,096 messages.
#[tokio::test]
async fn other_bytes_under_a_sequence_are_found_though_both_sides_end_alike() {
    const LAST: u64 = 4_110;
    let servers = Servers::new().await;
    let small = |number: u64| Bytes::from(number.to_string());
    servers.world.publish_raw((1..=LAST).map(small)).await;
    let tampered = (1..=LAST).map(|sequence| match sequence {
        4 => ("ORDERS_STAN", small(5)),
        // The same bytes, as a filler of a gap.
        6 => ("ORDERS_STAN.gap", small(6)),
        _ => ("ORDERS_STAN", small(sequence)),
    });
    servers.write(tampered).await;
    let (code, report, stderr) = servers.once().await;
    assert_eq!((code, &report["copied"]), (1, &json!(0)), "{report}{stderr}");
    let comparison = &report["comparison"];
    assert_eq!((&comparison["equal"], &comparison["at"]), (&json!(false), &json!("4, 6")));
    // The filler was deleted as one that an earlier run had left.
    assert_eq!((&comparison["differing"], &comparison["missing"]), (&json!(1), &json!(1)));
    assert_ne!(comparison["channel_sha256"], comparison["stream_sha256"]);
}

#[tokio::test]
async fn a_sequence_that_the_channel_lost_is_a_gap_in_the_stream_too() {
    let options = BrokerOptions { max_messages: Some(10), ..BrokerOptions::default() };
    let servers = Servers::with(options).await;
    servers.world.publish_raw(numbered(1..=30)).await;
    let report = servers.equal().await;
    assert_eq!((&report["copied"], &report["gaps"]), (&json!(10), &json!(0)));
    let info = servers.stream().await.info().await.expect("info");
    assert_eq!((info.first_sequence, info.last_sequence, info.messages), (21, 30, 10));
    // More than are on their way at a time.
    servers.world.publish(&["--generate", "5000"]).await;
    servers.world.publish_raw(numbered(5_031..=5_040)).await;
    let report = servers.equal().await;
    assert_eq!((&report["copied"], &report["gaps"]), (&json!(10), &json!(5_000)));
    assert_eq!(report["comparison"]["messages"], 10);
    let info = servers.stream().await.info().await.expect("info");
    assert_eq!((info.messages, info.deleted, info.last_sequence), (20, 5_000, 5_040));
    assert!(servers.stored().await.into_iter().eq(copies(21..=30).chain(copies(5_031..=5_040))));
}

#[tokio::test]
async fn a_filler_that_a_killed_bridge_has_left_is_deleted_by_the_next() {
    let options = BrokerOptions { max_messages: Some(5), ..BrokerOptions::default() };
    let servers = Servers::with(options).await;
    servers.world.publish_raw(numbered(1..=12)).await;
    let filler = ("ORDERS_STAN.gap", Bytes::new());
    let before = numbered(1..=5).map(|data| ("ORDERS_STAN", data));
    servers.write(before.chain([filler])).await;
    let report = servers.equal().await;
    assert_eq!((&report["copied"], &report["gaps"]), (&json!(5), &json!(1)));
    assert!(servers.stored().await.into_iter().eq(copies(1..=5).chain(copies(8..=12))));
    let info = servers.stream().await.info().await.expect("info");
    assert_eq!((info.messages, info.deleted), (10, 2));
}

#[tokio::test]
async fn of_an_empty_channel_an_empty_stream_is_made_and_the_first_message_gets_its_number() {
    let servers = Servers::new().await;
    let report = servers.equal().await;
    assert_eq!((&report["copied"], &report["comparison"]["messages"]), (&json!(0), &json!(0)));
    let info = servers.stream().await.info().await.expect("info");
    assert_eq!((info.messages, info.last_sequence), (0, 0));
    servers.world.publish_raw(numbered(1..=3)).await;
    assert_eq!(servers.equal().await["copied"], 3);
    assert!(servers.stored().await.into_iter().eq(copies(1..=3)));
}

#[tokio::test]
async fn settings_and_streams_that_cannot_do_are_refused_with_the_reason() {
    let servers = Servers::new().await;
    let (code, _, stderr) = servers.world.run(&["bridge", "--once"]).await;
    assert_eq!(code, 64, "{stderr}");
    assert!(stderr.contains("`jetstream.url` is not set"), "{stderr}");
    let url = servers.url();
    let (code, _, stderr) = servers.world.run(&["bridge", "--stream", "a.b", "--set", &url]).await;
    assert_eq!(code, 64, "{stderr}");
    assert!(stderr.contains("must be 1 to 128 printable"), "{stderr}");
    // The stream that orders are published to.
    let consumer = jetstream::ConsumerOptions::new("ORDERS", "orders", "waybill");
    servers.connection().await.ensure(&consumer).await.expect("a stream");
    servers.world.publish_raw(numbered(1..=1)).await;
    let arguments = ["bridge", "--once", "--stream", "ORDERS", "--set", &url];
    let (code, _, stderr) = servers.world.run(&arguments).await;
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("stream ORDERS has deny_purge = false"), "{stderr}");
}

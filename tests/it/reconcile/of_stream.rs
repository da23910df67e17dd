//! `waybill reconcile --source jetstream`: of the stream of the settings, and of an archive of the
//! channel.

use bytes::Bytes;
use serde_json::json;
use testbed::{NatsServer, Postgres};

use super::{mix, report, sequences};
use crate::service::order;
use crate::stream::Streams;

impl Streams {
    /// Runs `waybill reconcile` with the stream's servers in its settings.
    async fn reconcile(&self, arguments: &[&str]) -> (i32, String, String) {
        let url = format!("jetstream.url={}", self.nats.url());
        let command = ["reconcile", "--set", &url, "--report", "report"];
        self.world.run(&[&command[..], arguments].concat()).await
    }

    /// The rows that count, to compare the database with itself.
    async fn content(&self) -> String {
        let orders = "select order_uid, source, channel_sequence, encode(document, 'hex') \
                      from orders order by 1";
        let rejects = "select channel, sequence, reason, formatting_only, detail, \
                       encode(payload, 'hex') from rejected_messages order by 1, 2";
        format!("{}\n{}", self.sql(orders).await, self.sql(rejects).await)
    }
}

/// Makes a stream of these settings, as JSON, and publishes to its subject.
async fn archive(nats: &NatsServer, config: serde_json::Value, payloads: Vec<Bytes>) {
    let client = jetstream::async_nats::connect(nats.url()).await.expect("a client");
    let name = config["name"].as_str().expect("a name");
    let create = format!("$JS.API.STREAM.CREATE.{name}");
    let made = client.request(create, config.to_string().into()).await.expect("an answer");
    assert!(!made.payload.starts_with(b"{\"error"), "{made:?}");
    let subject = config["subjects"][0].as_str().expect("a subject").to_owned();
    for payload in payloads {
        client.request(subject.clone(), payload).await.expect("stored");
    }
}

#[tokio::test]
async fn what_is_lost_of_a_stream_is_found_and_put_back_as_it_was() {
    let streams = Streams::new().await;
    let settings = [("WAYBILL_INGEST__WRITERS", "1")];
    let replica = streams.serve_with("steady", false, &settings).await;
    streams.publish(mix()).await;
    streams.until_drained().await;
    let check = ["--set", "broker.enabled=false"];
    let (code, stdout, stderr) = streams.reconcile(&check).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.starts_with("10 present, 0 missing, 0 differing, 0 gone\n"), "{stdout}");

    let before = streams.content().await;
    let restored = "delete from orders where order_uid in ('a', 'd'); \
                    delete from rejected_messages where sequence in (3, 5, 8)";
    streams.sql(restored).await;
    let source = ["--source", "jetstream"];
    let (code, stdout, stderr) = streams.reconcile(&source).await;
    assert_eq!(code, 1, "{stdout}{stderr}");
    let found = report(&streams.world);
    assert_eq!(sequences(&found, "missing"), [1, 3, 4, 5, 9]);
    assert_eq!(sequences(&found, "differing"), [8]);

    let (code, stdout, stderr) = streams.reconcile(&[&source[..], &["--repair"]].concat()).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    let put_back = "put back: 2 orders, 3 rejects; stored meanwhile: 0 orders\n";
    assert!(stdout.contains(put_back), "{stdout}");
    assert_eq!(streams.content().await, before, "with the stream as its source");
    assert!(replica.metric("waybill_jetstream_session_rebuilds_total").await < 0.5);

    // The channel, which is the default where it is read, has none of it.
    let monitor = format!("broker.monitor_url={}", streams.world.broker.monitor_url());
    let (code, _, stderr) = streams.reconcile(&["--set", &monitor]).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("nothing in the channel from 1 on"), "{stderr}");
}

#[tokio::test]
async fn what_a_stream_has_deleted_is_gone_and_other_subjects_are_nobodys() {
    let streams = Streams::new().await;
    let config = json!({
        "name": "ORDERS", "subjects": ["orders", "other"], "first_seq": 1001, "discard": "new",
    });
    let orders = (1001..=1020).map(|n| order(&format!("order-{n}"))).collect();
    archive(&streams.nats, config, orders).await;
    let _replica = streams.serve("steady", false).await;
    streams.until_drained().await;
    let connection = streams.connection().await;
    let other = connection.publisher("other").await.expect("a publisher");
    for _ in 0..2 {
        let ack = other.publish(order("of-others"), jetstream::Terms::default()).await;
        ack.expect("sent").await.expect("stored");
    }
    let stream = connection.stream("ORDERS").expect("a name");
    for sequence in [1001, 1005, 1006, 1020] {
        assert!(stream.delete(sequence).await.expect("an answer"));
    }
    streams.sql("delete from orders where channel_sequence = 1017").await;
    let (code, stdout, stderr) = streams.reconcile(&["--source", "jetstream"]).await;
    assert_eq!(code, 1, "{stdout}{stderr}");
    assert!(stdout.starts_with("15 present, 1 missing, 0 differing, 1,004 gone\n"), "{stdout}");
    assert!(stderr.contains("looking at sequences 1 to 1022"), "{stderr}");
    let gone = "not in the stream any more: sequences 1–1001, 1005–1006, 1020\n";
    assert!(stdout.contains(gone), "{stdout}");
    assert_eq!(sequences(&report(&streams.world), "missing"), [1017]);

    let part = ["--source", "jetstream", "--from", "1018", "--to", "1019"];
    let (code, stdout, _) = streams.reconcile(&part).await;
    assert_eq!((code, stdout.as_str()), (0, "2 present, 0 missing, 0 differing, 0 gone\n"));
}

#[tokio::test]
async fn an_archive_is_compared_and_repaired_as_the_channel() {
    let streams = Streams::new().await;
    let postgres = Postgres::shared().await.expect("Postgres");
    let _replica = streams.world.start("steady", &[("WAYBILL_INGEST__WRITERS", "1")]).await;
    let channel = [vec![order("first"), order("second")], mix()].concat();
    streams.world.publish_raw(channel.clone()).await;
    streams.world.until_drained().await;
    let config = json!({"name": "ORDERS_STAN", "subjects": ["archive"], "first_seq": 3});
    archive(&streams.nats, config, channel[2..].to_vec()).await;

    let before = streams.content().await;
    let restored = "delete from orders where order_uid in ('a', 'd'); \
                    delete from rejected_messages where sequence in (5, 7)";
    streams.world.sql(postgres, restored).await;
    let repair = ["--source", "jetstream", "--stream", "ORDERS_STAN", "--repair"];
    let (code, stdout, stderr) = streams.reconcile(&repair).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains("put back: 2 orders, 2 rejects"), "{stdout}");
    assert!(stdout.contains("not in the stream any more: sequences 1–2\n"), "{stdout}");
    assert_eq!(streams.content().await, before, "as the channel left it");
}

#[tokio::test]
async fn a_stream_that_is_not_there_ends_it_and_a_server_that_is_away_is_waited_for() {
    let mut streams = Streams::new().await;
    let source = ["--source", "jetstream"];
    let (code, _, stderr) = streams.reconcile(&source).await;
    assert_eq!(code, 1, "{stderr}");
    let said = "error: stream ORDERS: the server refused the stream info request: \
                stream not found (10059); go on with --from 1\n";
    assert!(stderr.ends_with(said), "{stderr}");
    for (arguments, said) in [
        (vec!["--stream", "X"], "--stream is for --source jetstream"),
        (vec!["--source", "stan", "--stream", "X"], "--stream is for --source jetstream"),
    ] {
        let (code, _, stderr) = streams.reconcile(&arguments).await;
        assert_eq!(code, 64, "{stderr}");
        assert!(stderr.contains(said), "{stderr}");
    }
    let (code, _, stderr) = streams.world.run(&[&["reconcile"][..], &source].concat()).await;
    assert_eq!(code, 64, "{stderr}");
    assert!(stderr.contains("`jetstream.url` is not set"), "{stderr}");

    let replica = streams.serve("steady", false).await;
    streams.publish((1..=3).map(|n| order(&format!("order-{n}")))).await;
    streams.until_drained().await;
    drop(replica);
    streams.nats.kill().expect("killed");
    let short = [&source[..], &["--patience", "500ms"]].concat();
    let (code, stdout, stderr) = streams.reconcile(&short).await;
    assert_eq!(code, 1, "{stdout}{stderr}");
    assert!(stdout.starts_with("0 present, 0 missing"), "{stdout}");
    assert!(stderr.contains("trying again in 200ms"), "{stderr}");
    assert!(stderr.contains("given up after 500ms"), "{stderr}");

    let url = format!("jetstream.url={}", streams.nats.url());
    let command = ["reconcile", "--set", &url, "--source", "jetstream"];
    let waiting = streams.world.run(&command);
    let ((code, stdout, stderr), started) = tokio::join!(waiting, streams.nats.start_again());
    started.expect("started");
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.starts_with("3 present, 0 missing"), "{stdout}");
}

//! The messages of erased orders, in the stream that they came from.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::{Value, json};
use testbed::{Process, Signal, eventually};

use crate::service::{PATIENCE, order};
use crate::stream::Streams;

impl Streams {
    /// Runs `waybill erase` with the stream's servers in its settings.
    async fn erase(&self, arguments: &[&str]) -> (i32, String, String) {
        let url = format!("jetstream.url={}", self.nats.url());
        self.world.run(&[&["erase", "--set", &url], arguments].concat()).await
    }

    /// `waybill erase` in the background, which has erased the order and deletes its message now.
    async fn until_erased(&self, uid: &str) -> Process {
        let url = format!("jetstream.url={}", self.nats.url());
        let command = self.world.command(&["erase", "--set", &url, uid, "--reason", "x"]);
        let log = self.world.path().join(format!("erase-{uid}.log"));
        let process = Process::spawn("erase", &command, &log).expect("it starts");
        let row = format!("select count(*) from orders where order_uid = '{uid}'");
        eventually("it is erased", PATIENCE, async || (self.sql(&row).await == "0").then_some(()))
            .await;
        process
    }

    /// The sequences that the stream still has, up to this one.
    async fn left(&self, last: u64) -> Vec<u64> {
        let stream = self.connection().await.stream("ORDERS").expect("a name");
        let mut left = Vec::new();
        for sequence in 1..=last {
            left.extend(stream.get(sequence).await.expect("an answer").map(|it| it.sequence));
        }
        left
    }

    /// How many files of the server have these bytes.
    fn files_with(&self, text: &str) -> usize {
        let folder = PathBuf::from(format!("/proc/{}/cwd/store", self.nats.id()));
        let (mut files, mut folders) = (0, vec![folder]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files += usize::from(has(&path, text.as_bytes()));
                }
            }
        }
        files
    }
}

fn has(file: &Path, bytes: &[u8]) -> bool {
    let content = std::fs::read(file).unwrap_or_default();
    content.windows(bytes.len()).any(|window| window == bytes)
}

#[tokio::test]
async fn what_came_from_a_stream_is_deleted_there_and_overwritten() {
    let streams = Streams::new().await;
    let _replica = streams.serve("steady", true).await;
    let rival = [&order("victim")[..], b" "].concat();
    let broken = Bytes::from_static(b"{\"order_uid\": \"victim\", \"cut off");
    streams.publish([order("other"), order("victim"), rival.into(), broken, order("more")]).await;
    streams.until_drained().await;
    // Of the channel, under the sequence of another message of the stream.
    streams.world.publish_raw([order("of-the-channel")]).await;
    streams.world.until_drained().await;
    assert!(streams.files_with("victim") > 0, "the server's files are looked into");

    let arguments = ["victim", "of-the-channel", "never-seen", "--reason", "request 1"];
    let (code, text, errors) = streams.erase(&arguments).await;
    assert_eq!(code, 0, "{text}{errors}");
    let told = "2 erased, 1 not stored, 0 erased before; 2 rejects deleted\n\
                3 messages deleted from streams\n";
    assert!(text.ends_with(told), "{text}");
    assert_eq!(streams.left(5).await, [1, 5]);
    assert_eq!(streams.files_with("victim"), 0, "it is overwritten");
    assert!(streams.files_with("other") > 0);
}

#[tokio::test]
async fn a_message_that_cannot_be_deleted_is_named_and_the_order_is_erased() {
    let mut streams = Streams::new().await;
    let replica = streams.serve("steady", false).await;
    streams.publish(["a", "b"].map(order)).await;
    streams.until_drained().await;
    let (code, text, errors) = streams.world.run(&["erase", "a", "--reason", "x"]).await;
    assert_eq!(code, 1, "{text}{errors}");
    let told = "a: erased\n1 erased, 0 not stored, 0 erased before; 0 rejects deleted\n\
                NOT deleted: message 1 of stream ORDERS: `jetstream.url` is not set\n";
    assert_eq!(text, told);

    drop(replica);
    streams.nats.kill().expect("killed");
    let json = ["b", "--reason", "x", "--output", "json", "--patience", "500ms"];
    let (code, text, errors) = streams.erase(&json).await;
    assert_eq!(code, 1, "{text}{errors}");
    let told: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (&told["orders"][0]["result"], &told["messages_deleted"]),
        (&json!("erased"), &json!(0))
    );
    let left = &told["messages_left"][0];
    assert_eq!((&left["stream"], &left["sequence"]), (&json!("ORDERS"), &json!(2)), "{told}");
}

/// The order is erased by then, and its row cannot tell any more where the message is.
#[tokio::test]
async fn a_server_that_is_away_is_waited_for_until_somebody_interrupts() {
    let mut streams = Streams::new().await;
    let replica = streams.serve("steady", false).await;
    streams.publish(["a", "b", "c"].map(order)).await;
    streams.until_drained().await;
    drop(replica);
    streams.nats.kill().expect("killed");
    let mut interrupted = streams.until_erased("a").await;
    let status = interrupted.stop(Signal::TERM, PATIENCE).await.expect("it ends");
    assert_eq!(status.code(), Some(143), "{}", interrupted.log());
    let told = "NOT deleted: message 1 of stream ORDERS: interrupted\n";
    assert!(interrupted.log().ends_with(told), "{}", interrupted.log());

    let mut waiting = streams.until_erased("c").await;
    streams.nats.start_again().await.expect("started");
    let status = eventually("it ends", PATIENCE, async || waiting.status().expect("a status"));
    assert_eq!(status.await.code(), Some(0), "{}", waiting.log());
    let told = "1 message deleted from streams\n";
    assert!(waiting.log().ends_with(told), "{}", waiting.log());
    assert_eq!(streams.left(3).await, [1, 2]);
}

#[tokio::test]
async fn what_a_restored_backup_brings_back_is_deleted_from_the_stream_too() {
    let streams = Streams::new().await;
    let _replica = streams.serve("steady", false).await;
    streams.publish(["a", "b"].map(order)).await;
    streams.until_drained().await;
    let (code, ..) = streams.world.run(&["erase", "never-seen", "--reason", "x"]).await;
    assert_eq!(code, 0);
    let uid_sha256 = streams.sql("select encode(sha256('a'), 'hex')").await;
    let line = json!({ "uid_sha256": uid_sha256, "erased_at": null, "reason": "x" });
    std::fs::write(streams.world.path().join("erasures"), line.to_string()).expect("written");
    let (code, text, errors) = streams.erase(&["--apply", "erasures"]).await;
    assert_eq!(code, 0, "{text}{errors}");
    let told = "1 erasure, 1 of them new on record; 1 order and 0 rejects deleted\n\
                1 message deleted from streams\n";
    assert_eq!(text, told);
    assert_eq!(streams.left(2).await, [2]);
}

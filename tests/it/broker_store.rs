//! A store of NATS Streaming after a loss of power: what the broker makes of it, and what
//! `scripts/mend-broker-store` does.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use stan::{Connection, Options, StartPosition, SubscriptionOptions};
use testbed::broker::CLUSTER_ID;
use testbed::{Broker, BrokerOptions};
use tokio::time::timeout;

use crate::service::PATIENCE;

const CHANNEL: &str = "orders";

/// What a file of the store begins with, in bytes.
const VERSION: usize = 4;

/// What a record begins with, in bytes: its length and its checksum.
const HEADER: usize = 8;

/// A broker that has confirmed the messages 1 to 3 to a client that is still there, and stopped.
async fn with_three_messages() -> Broker {
    let mut broker = Broker::start(BrokerOptions::default()).await.expect("a broker");
    let connection = connect(&broker, "first").await;
    let mut group = SubscriptionOptions::plain(CHANNEL);
    group.durable_name = Some("waybill".to_owned());
    let group = connection.subscribe(group).await.expect("subscribed");
    for text in ["1", "2", "3"] {
        connection.publish(CHANNEL, text.into()).await.expect("confirmed");
    }
    broker.stop().await.expect("stopped");
    drop(group);
    broker
}

async fn connect(broker: &Broker, name: &str) -> Connection {
    let options = Options::new(&broker.url(), CLUSTER_ID, name);
    Connection::connect(options).await.expect("a connection")
}

fn file(broker: &Broker, name: &str) -> PathBuf {
    broker.store_directory().join(name)
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().append(true).open(path).expect("there");
    file.write_all(bytes).expect("written");
}

/// The first record of a file, to be written once more.
fn record(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).expect("there");
    let word = bytes[VERSION..VERSION + 4].try_into().expect("four bytes");
    let length = (u32::from_le_bytes(word) & 0x00FF_FFFF) as usize;
    bytes[VERSION..VERSION + HEADER + length].to_vec()
}

/// A record of which the last byte is missing.
fn cut_off(path: &Path) -> Vec<u8> {
    let mut record = record(path);
    record.pop();
    record
}

/// A record of which the sectors before the last byte never reached the disk.
fn torn(path: &Path) -> Vec<u8> {
    let mut record = record(path);
    let end = record.len() - 1;
    record[HEADER..end].fill(0);
    record
}

/// Of messages the broker reads the index, and the messages themselves only if that is damaged.
fn damage_index(broker: &Broker) {
    append(&file(broker, "orders/msgs.1.idx"), b"torn");
}

fn mend(broker: &Broker) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/mend-broker-store");
    let mended = Command::new(script).arg(broker.store_directory()).output().expect("it runs");
    assert!(mended.status.success(), "{}", String::from_utf8_lossy(&mended.stderr));
    String::from_utf8(mended.stdout).expect("UTF-8")
}

/// All that the channel has, with its sequences.
async fn messages(broker: &Broker) -> Vec<(u64, String)> {
    let last = broker.channel(CHANNEL).await.expect("the monitor").last_seq;
    let connection = connect(broker, "reader").await;
    let mut all = SubscriptionOptions::plain(CHANNEL);
    all.start_position = StartPosition::First;
    let all = connection.subscribe(all).await.expect("subscribed");
    let mut messages = Vec::new();
    while messages.last().is_none_or(|(sequence, _)| *sequence < last) {
        let message =
            timeout(PATIENCE, all.messages().recv()).await.expect("in time").expect("a message");
        messages.push((message.sequence, String::from_utf8_lossy(&message.data).into_owned()));
        message.ack();
    }
    connection.close().await.expect("closed");
    messages
}

fn numbered(texts: &[&str]) -> Vec<(u64, String)> {
    (1..).zip(texts.iter().map(|text| (*text).to_owned())).collect()
}

#[tokio::test]
async fn an_end_that_was_cut_off_is_mended_by_an_option_of_the_broker() {
    for name in ["clients.dat", "orders/subs.dat", "orders/msgs.1.dat"] {
        let mut broker = with_three_messages().await;
        let path = file(&broker, name);
        append(&path, &cut_off(&path));
        damage_index(&broker);
        broker.start_again().await.unwrap_err();
        assert!(broker.log().contains("unexpected EOF"), "{name}: {}", broker.log());

        broker.truncate_bad_ends().await.expect("it starts with the option");
        broker.start_again().await.expect("it starts without");
        assert_eq!(messages(&broker).await, numbered(&["1", "2", "3"]), "{name}");
    }
}

#[tokio::test]
async fn a_torn_record_is_mended_by_the_script_alone() {
    for name in ["clients.dat", "orders/subs.dat", "orders/msgs.1.dat"] {
        let mut broker = with_three_messages().await;
        let path = file(&broker, name);
        append(&path, &torn(&path));
        damage_index(&broker);
        broker.start_again().await.unwrap_err();
        assert!(broker.log().contains("corrupted data"), "{name}: {}", broker.log());
        broker.truncate_bad_ends().await.unwrap_err();

        let said = mend(&broker);
        assert!(said.contains(name), "{said}");
        broker.start_again().await.expect("it starts");
        assert_eq!(messages(&broker).await, numbered(&["1", "2", "3"]), "{name}");
        broker.stop().await.expect("stopped");
        assert_eq!(mend(&broker), "", "{name} is whole");
    }
}

/// The broker goes on behind what is torn, as long as the index names nothing of it. What it has
/// confirmed since then is lost at the next loss of power that damages the index, or it does not
/// start; unless the store was mended between the two.
#[tokio::test]
async fn what_is_confirmed_behind_a_torn_record_is_kept_by_the_script_alone() {
    let zeros: fn(&Path) -> Vec<u8> = |_| vec![0; 64];
    for (ending, starts) in [(torn as fn(&Path) -> _, false), (cut_off, false), (zeros, true)] {
        let mut broker = with_three_messages().await;
        let path = file(&broker, "orders/msgs.1.dat");
        append(&path, &ending(&path));
        broker.start_again().await.expect("the index is whole");
        let connection = connect(&broker, "second").await;
        connection.publish(CHANNEL, "4".into()).await.expect("confirmed");
        broker.stop().await.expect("stopped");
        damage_index(&broker);
        let copy = fs::read(&path).expect("there");
        assert_eq!(broker.start_again().await.is_ok(), starts, "{}", broker.log());
        if starts {
            assert_eq!(messages(&broker).await, numbered(&["1", "2", "3"]), "4 is lost");
            broker.stop().await.expect("stopped");
        }

        fs::write(&path, copy).expect("written");
        assert!(mend(&broker).contains("4 whole records kept"));
        broker.start_again().await.expect("it starts");
        assert_eq!(messages(&broker).await, numbered(&["1", "2", "3", "4"]));
    }
}

/// The broker stores a sequence once more when the index did not name it yet. When it then makes the
/// index anew, it takes them for two messages, and finds none behind them where it looks.
#[tokio::test]
async fn of_two_messages_of_one_sequence_the_script_keeps_the_later() {
    let mut broker = with_three_messages().await;
    let path = file(&broker, "orders/msgs.1.dat");
    let index = file(&broker, "orders/msgs.1.idx");
    let named = fs::read(&index).expect("there");
    broker.start_again().await.expect("it starts");
    let unconfirmed = connect(&broker, "second").await;
    for text in ["never confirmed", "nor this"] {
        unconfirmed.publish(CHANNEL, text.into()).await.expect("it is as if it were not");
    }
    broker.stop().await.expect("stopped");
    fs::write(&index, named).expect("written");
    broker.start_again().await.expect("it starts");
    connect(&broker, "third").await.publish(CHANNEL, "4".into()).await.expect("confirmed");
    assert_eq!(messages(&broker).await, numbered(&["1", "2", "3", "4"]));
    broker.stop().await.expect("stopped");

    damage_index(&broker);
    let copy = fs::read(&path).expect("there");
    broker.start_again().await.expect("it starts");
    let channel = broker.channel(CHANNEL).await.expect("the monitor");
    assert!(channel.msgs > 4, "{channel:?}");
    broker.stop().await.expect("stopped");

    fs::write(&path, copy).expect("written");
    assert!(mend(&broker).contains("4 whole records kept"));
    broker.start_again().await.expect("it starts");
    assert_eq!(messages(&broker).await, numbered(&["1", "2", "3", "4"]));
}

#[tokio::test]
async fn what_the_index_does_not_name_is_not_stored_a_second_time_after_the_script() {
    let mut broker = with_three_messages().await;
    let index = file(&broker, "orders/msgs.1.idx");
    let named = fs::read(&index).expect("there");
    fs::write(&index, &named[..named.len() - 32]).expect("written");
    assert!(mend(&broker).contains("msgs.1.idx: deleted"));
    broker.start_again().await.expect("it starts");
    connect(&broker, "second").await.publish(CHANNEL, "4".into()).await.expect("confirmed");
    assert_eq!(messages(&broker).await, numbered(&["1", "2", "3", "4"]));
    broker.stop().await.expect("stopped");
    assert_eq!(mend(&broker), "", "all is whole");
}

//! A store of NATS Streaming after a loss of power: what the broker makes of it, and what
//! `waybill repair-broker-store` does.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use stan::{Connection, Message, Options, StartPosition, Subscription, SubscriptionOptions};
use testbed::broker::CLUSTER_ID;
use testbed::{Broker, BrokerOptions};
use tokio::time::timeout;

use crate::service::PATIENCE;

mod late_acks;

const CHANNEL: &str = "orders";

/// What a file of the store begins with, in bytes.
const VERSION: usize = 4;

/// What a record begins with, in bytes: its length and its checksum.
const HEADER: usize = 8;

/// A broker that has confirmed the messages 1 to 3 to a client that is still there, and stopped.
async fn with_three_messages() -> Broker {
    let mut broker = Broker::start(BrokerOptions::default()).await.expect("a broker");
    let connection = connect(&broker, "first").await;
    let group = connection.subscribe(group()).await.expect("subscribed");
    for text in ["1", "2", "3"] {
        connection.publish(CHANNEL, text.into()).await.expect("confirmed");
    }
    broker.stop().await.expect("stopped");
    drop(group);
    broker
}

/// A durable group, which stays where it is when its members go.
fn group() -> SubscriptionOptions {
    let mut group = SubscriptionOptions::plain(CHANNEL);
    group.durable_name = Some("waybill".to_owned());
    group.queue_group = Some("waybill".to_owned());
    group.start_position = StartPosition::First;
    group
}

async fn next(subscription: &Subscription) -> Message {
    timeout(PATIENCE, subscription.messages().recv()).await.expect("in time").expect("a message")
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

/// What the command says, but where there is nothing to repair.
fn repair(broker: &Broker) -> String {
    let (success, said, complaint) = run(&broker.store_directory());
    assert!(success, "{complaint}");
    if said.ends_with(": nothing to repair\n") { String::new() } else { said }
}

fn run(store: &Path) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waybill"));
    let output = command.arg("repair-broker-store").arg(store).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.success(), text(output.stdout), text(output.stderr))
}

/// Puts back what a file was, has it repaired and the broker started.
async fn repaired_from(broker: &mut Broker, path: &Path, copy: &[u8]) {
    fs::write(path, copy).expect("written");
    let said = repair(broker);
    assert!(said.contains("kept 4 records"), "{said}");
    broker.start_again().await.expect("it starts");
    assert_eq!(messages(broker).await, numbered(&["1", "2", "3", "4"]));
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
        let message = next(&all).await;
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
async fn an_end_that_was_cut_off_is_removed_by_an_option_of_the_broker_too() {
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
async fn a_torn_record_is_removed_by_the_repair_alone() {
    for name in ["clients.dat", "orders/subs.dat", "orders/msgs.1.dat"] {
        let mut broker = with_three_messages().await;
        let path = file(&broker, name);
        append(&path, &torn(&path));
        damage_index(&broker);
        broker.start_again().await.unwrap_err();
        assert!(broker.log().contains("corrupted data"), "{name}: {}", broker.log());
        broker.truncate_bad_ends().await.unwrap_err();

        let said = repair(&broker);
        assert!(said.contains(name), "{said}");
        broker.start_again().await.expect("it starts");
        assert_eq!(messages(&broker).await, numbered(&["1", "2", "3"]), "{name}");
        broker.stop().await.expect("stopped");
        assert_eq!(repair(&broker), "", "{name} is whole");
    }
}

/// The broker goes on behind what is torn, as long as the index names nothing of it. What it has
/// confirmed since then is lost at the next loss of power that damages the index, or it does not
/// start; unless the store was repaired between the two.
#[tokio::test]
async fn what_is_confirmed_behind_a_torn_record_is_kept_by_the_repair_alone() {
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

        repaired_from(&mut broker, &path, &copy).await;
    }
}

/// The broker stores a sequence once more when the index did not name it yet. When it then makes the
/// index anew, it takes them for two messages, and finds none behind them where it looks.
#[tokio::test]
async fn of_two_messages_of_one_sequence_the_repair_keeps_the_later() {
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

    repaired_from(&mut broker, &path, &copy).await;
}

#[tokio::test]
async fn what_the_index_does_not_name_is_not_stored_again_after_the_repair() {
    let mut broker = with_three_messages().await;
    let index = file(&broker, "orders/msgs.1.idx");
    let named = fs::read(&index).expect("there");
    fs::write(&index, &named[..named.len() - 32]).expect("written");
    assert!(repair(&broker).contains("msgs.1.idx: deleted"));
    broker.start_again().await.expect("it starts");
    connect(&broker, "second").await.publish(CHANNEL, "4".into()).await.expect("confirmed");
    assert_eq!(messages(&broker).await, numbered(&["1", "2", "3", "4"]));
    broker.stop().await.expect("stopped");
    assert_eq!(repair(&broker), "", "all is whole");
}

/// A message may be delivered before it is synced, and its delivery be noted where it is not lost.
/// The next message that gets its sequence is confirmed, and the broker takes it for delivered.
#[tokio::test]
async fn what_gets_the_sequence_of_a_lost_message_is_delivered_after_the_repair_alone() {
    for is_repaired in [false, true] {
        let mut broker = Broker::start(BrokerOptions::default()).await.expect("a broker");
        let connection = connect(&broker, "first").await;
        let group = connection.subscribe(group()).await.expect("subscribed");
        for text in ["1", "2", "3"] {
            connection.publish(CHANNEL, text.into()).await.expect("confirmed");
            next(&group).await.ack();
        }
        connection.close().await.expect("closed");
        broker.stop().await.expect("stopped");
        let path = file(&broker, "orders/msgs.1.dat");
        let messages = fs::read(&path).expect("there");
        let last = record(&path).len();
        fs::write(&path, &messages[..messages.len() - last]).expect("written");
        fs::remove_file(file(&broker, "orders/msgs.1.idx")).expect("there");

        if is_repaired {
            assert!(repair(&broker).contains("subs.dat: kept"));
            assert_eq!(repair(&broker), "", "it is repaired");
        }
        broker.start_again().await.expect("it starts");
        let connection = connect(&broker, "second").await;
        connection.publish(CHANNEL, "another third".into()).await.expect("confirmed");
        if is_repaired {
            let group = connection.subscribe(self::group()).await.expect("subscribed");
            // The first acknowledgements may be forgotten as well.
            while next(&group).await.data != "another third" {}
        } else {
            let channel = broker.channel(CHANNEL).await.expect("the monitor");
            let group = &channel.subscriptions[0];
            assert_eq!((channel.last_seq, group.last_sent, group.pending_count), (3, 3, 0));
        }
    }
}

/// The broker does not sync what it knows of clients, and does not recover a member of a group whose
/// client it does not know: what that had not acknowledged is forgotten.
#[tokio::test]
async fn what_a_member_had_whose_client_is_lost_is_delivered_after_the_repair_alone() {
    for is_repaired in [false, true] {
        let mut broker = Broker::start(BrokerOptions::default()).await.expect("a broker");
        let first = connect(&broker, "first").await;
        let known = fs::read(file(&broker, "clients.dat")).expect("there");
        let second = connect(&broker, "second").await;
        let members = (
            first.subscribe(group()).await.expect("subscribed"),
            second.subscribe(group()).await.expect("subscribed"),
        );
        for text in ["1", "2", "3", "4"] {
            first.publish(CHANNEL, text.into()).await.expect("confirmed");
        }
        broker.stop().await.expect("stopped");
        drop((members, first, second));
        fs::write(file(&broker, "clients.dat"), known).expect("written");

        if is_repaired {
            assert!(repair(&broker).contains("added 1 record"));
            assert_eq!(repair(&broker), "", "it is repaired");
        }
        broker.start_again().await.expect("it starts");
        let channel = broker.channel(CHANNEL).await.expect("the monitor");
        let waiting: u64 = channel.subscriptions.iter().map(|member| member.pending_count).sum();
        assert_eq!(waiting == 4, is_repaired, "{channel:?}");
        if is_repaired {
            // The others are found dead, and what they had goes to this one.
            let third = connect(&broker, "third").await;
            let group = third.subscribe(group()).await.expect("subscribed");
            let mut left = BTreeSet::from([1, 2, 3, 4]);
            while !left.is_empty() {
                left.remove(&next(&group).await.sequence);
            }
        }
    }
}

#[tokio::test]
async fn only_a_store_is_repaired() {
    let place = tempfile::tempdir().expect("a directory");
    let (success, said, _) = run(&place.path().join("store"));
    assert!(success && said.ends_with("/store: there is no store yet\n"), "{said}");
    let mut relative = Command::new(env!("CARGO_BIN_EXE_waybill"));
    relative.args(["repair-broker-store", "store"]).current_dir(place.path());
    assert!(
        relative.output().expect("it runs").status.success(),
        "the directory is the current one"
    );
    let (success, _, complaint) = run(&place.path().join("mistyped/store"));
    assert!(!success && complaint.contains("does not exist"), "{complaint}");
    let file = place.path().join("file");
    fs::write(&file, "").expect("written");
    let (success, _, complaint) = run(&file);
    assert!(!success && complaint.contains("is not a directory"), "{complaint}");
}

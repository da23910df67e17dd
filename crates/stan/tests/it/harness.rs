//! What the tests share: a broker, clients with names of their own, and waiting.

use std::time::Duration;

use stan::ConnectionState;
use stan::{
    Connection, Lost, Message, Messages, Options, Session, StartPosition, Subscription,
    SubscriptionOptions,
};
use testbed::{Broker, BrokerOptions, eventually};
use tokio::time::timeout;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn broker() -> Broker {
    Broker::start(BrokerOptions::default()).await.expect("a broker")
}

pub(crate) async fn forgetful_broker() -> Broker {
    let options = BrokerOptions { keeps_messages: false, ..BrokerOptions::default() };
    Broker::start(options).await.expect("a broker")
}

pub(crate) fn options(url: &str, client_id: &str) -> Options {
    let mut options = Options::new(url, testbed::broker::CLUSTER_ID, client_id);
    options.ping_interval = Duration::from_secs(1);
    options.ping_max_out = 3;
    options
}

pub(crate) fn group() -> SubscriptionOptions {
    let mut group = SubscriptionOptions::durable_queue("orders", "workers", "workers");
    group.start_position = StartPosition::First;
    group.ack_wait = Duration::from_secs(30);
    group
}

pub(crate) async fn session(broker: &Broker, client_id: &str) -> Session {
    Session::supervise(options(&broker.url(), client_id), group()).await.expect("a session")
}

pub(crate) async fn publish(broker: &Broker, texts: impl IntoIterator<Item = String>) {
    let publisher = Connection::connect(options(&broker.url(), "publisher")).await;
    let publisher = publisher.expect("a connection");
    let mut acks = Vec::new();
    for text in texts {
        acks.push(publisher.publish_async("orders", text.into()).await.expect("sent"));
    }
    for ack in acks {
        ack.await.expect("acknowledged");
    }
    publisher.close().await.expect("closed");
}

pub(crate) fn numbered(range: std::ops::Range<u32>) -> impl Iterator<Item = String> {
    range.map(|n| format!("message {n}"))
}

pub(crate) async fn take(messages: &Messages) -> Message {
    timeout(PATIENCE, messages.recv()).await.expect("in time").expect("an open stream")
}

/// The group's undelivered and unacknowledged messages and its live members.
pub(crate) async fn lag(broker: &Broker) -> (u64, u64, usize) {
    lag_of(broker, "workers:workers").await
}

async fn lag_of(broker: &Broker, group: &str) -> (u64, u64, usize) {
    let channel = broker.channel("orders").await.expect("the channel's state");
    let members = channel.subscriptions.iter().filter(|member| member.queue_name == group);
    let members: Vec<_> = members.collect();
    let sent = members.iter().map(|member| member.last_sent).max().unwrap_or(0);
    let unacked = members.iter().map(|member| member.pending_count).sum();
    let live = members.iter().filter(|member| !member.is_offline).count();
    (channel.last_seq.saturating_sub(sent), unacked, live)
}

pub(crate) async fn eventually_lag(broker: &Broker, what: &str, expected: (u64, u64, usize)) {
    eventually_lag_of(broker, "workers:workers", what, expected).await;
}

pub(crate) async fn eventually_lag_of(
    broker: &Broker,
    group: &str,
    what: &str,
    expected: (u64, u64, usize),
) {
    let probe = async || (lag_of(broker, group).await == expected).then_some(());
    eventually(what, PATIENCE, probe).await;
}

pub(crate) async fn connect(broker: &Broker, client_id: &str) -> Connection {
    Connection::connect(options(&broker.url(), client_id)).await.expect("a connection")
}

pub(crate) async fn take_many(messages: &Messages, count: usize) -> Vec<Message> {
    let mut taken = Vec::with_capacity(count);
    while taken.len() < count {
        taken.push(take(messages).await);
    }
    taken
}

pub(crate) fn sequences(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.sequence).collect()
}

pub(crate) fn ack_all(messages: Vec<Message>) {
    messages.into_iter().for_each(Message::ack);
}

/// What subscriptions to the channel have sent and not acknowledged, live or not.
pub(crate) async fn pending(broker: &Broker) -> u64 {
    let channel = broker.channel("orders").await.expect("the channel's state");
    channel.subscriptions.iter().map(|subscription| subscription.pending_count).sum()
}

pub(crate) async fn eventually_pending(broker: &Broker, what: &str, expected: u64) {
    eventually(what, PATIENCE, async || (pending(broker).await == expected).then_some(())).await;
}

/// How many subscriptions the channel has whose clients are there.
pub(crate) async fn eventually_live(broker: &Broker, what: &str, expected: usize) {
    eventually(what, PATIENCE, async || {
        let channel = broker.channel("orders").await.ok()?;
        let live = channel.subscriptions.iter().filter(|one| !one.is_offline).count();
        (live == expected).then_some(())
    })
    .await;
}

/// Takes `count` messages from the members of a group, however the server shares them out.
pub(crate) async fn take_from_all(members: &[&Subscription], count: usize) -> Vec<Message> {
    let mut taken = Vec::new();
    eventually("the group has it all", PATIENCE, async || {
        for member in members {
            while member.depth().messages > 0 {
                taken.push(take(&member.messages()).await);
            }
        }
        (taken.len() >= count).then_some(())
    })
    .await;
    taken
}

/// Waits until a connection is lost; answers why.
pub(crate) async fn until_lost(connection: &Connection) -> Lost {
    let mut state = connection.state();
    let lost = state.wait_for(|state| matches!(state, ConnectionState::Lost(_)));
    match *timeout(PATIENCE, lost).await.expect("noticed in time").expect("a connection") {
        ConnectionState::Lost(lost) => lost,
        state => panic!("{state:?}"),
    }
}

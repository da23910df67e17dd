//! What the tests share: a server, its API as others use it, sessions, and waiting.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use jetstream::async_nats::{self, Client};
use jetstream::{
    Connection, ConsumerInfo, ConsumerOptions, Message, Messages, Options, Session, SessionState,
    Terms,
};
use serde_json::{Value, json};
use testbed::{NatsOptions, NatsServer, Proxy, eventually};
use tokio::time::timeout;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How long a session may stall after a fault has ended, with the options of [`options`]: a pull
/// that is overdue, an info request that nobody answers, dialling, and a pause between attempts.
pub(crate) const STALL: Duration = Duration::from_secs(8);

pub(crate) async fn server() -> NatsServer {
    NatsServer::start(NatsOptions::default()).await.expect("a server")
}

pub(crate) fn options(url: &str) -> Options {
    let mut options = Options::new(url, "tested");
    options.request_timeout = Duration::from_secs(1);
    options
}

pub(crate) fn workers() -> ConsumerOptions {
    let mut workers = ConsumerOptions::new("ORDERS", "orders", "workers");
    // Longer than any test may take: what comes earlier was not waited for.
    workers.ack_wait = Duration::from_mins(2);
    workers
}

pub(crate) async fn session(url: &str, consumer: ConsumerOptions) -> Session {
    Session::supervise(options(url), consumer).await.expect("a session")
}

/// A session that is live.
pub(crate) async fn live(url: &str, consumer: ConsumerOptions) -> Session {
    let session = session(url, consumer).await;
    until_live(&session).await;
    session
}

pub(crate) async fn until_live(session: &Session) {
    until(session, |state| *state == SessionState::Live).await;
}

/// Waits for a state; answers it.
pub(crate) async fn until(
    session: &Session,
    is: impl FnMut(&SessionState) -> bool,
) -> SessionState {
    let mut state = session.monitor().state();
    let awaited = timeout(PATIENCE, state.wait_for(is)).await;
    awaited.expect("in time").expect("the session lives").clone()
}

pub(crate) async fn connect(url: &str) -> Connection {
    Connection::connect(options(url)).await.expect("a connection")
}

/// Publishes each text, and waits until all are stored.
pub(crate) async fn publish(url: &str, texts: impl IntoIterator<Item = String>) {
    let publisher = connect(url).await.publisher("orders").await.expect("a publisher");
    let mut acks = Vec::new();
    for text in texts {
        acks.push(publisher.publish(text.into(), Terms::default()).await.expect("sent"));
    }
    for ack in acks {
        ack.await.expect("stored");
    }
}

pub(crate) fn numbered(range: std::ops::Range<u32>) -> impl Iterator<Item = String> {
    range.map(|number| format!("message {number}"))
}

pub(crate) async fn take(messages: &Messages) -> Message {
    timeout(PATIENCE, messages.recv()).await.expect("in time").expect("an open stream")
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

pub(crate) async fn consumer_info(url: &str) -> Option<ConsumerInfo> {
    let stream = connect(url).await.stream("ORDERS").expect("a name");
    stream.consumer_info("workers").await.ok()
}

/// Waits until all up to a message are acknowledged and no other is delivered.
pub(crate) async fn until_acked(url: &str, sequence: u64) {
    let probe = async || {
        let info = consumer_info(url).await?;
        (info.ack_floor == sequence && info.num_ack_pending == 0).then_some(())
    };
    eventually(&format!("acks up to {sequence}"), PATIENCE, probe).await;
}

/// A client of NATS, for what this crate does not do.
pub(crate) async fn nats(url: &str) -> Client {
    async_nats::connect(url).await.expect("a client")
}

/// Asks the API under `$JS.API`; the answer must not refuse.
pub(crate) async fn api(url: &str, operation: &str, request: Value) -> Value {
    let subject = format!("$JS.API.{operation}");
    let request = if request.is_null() { String::new() } else { request.to_string() };
    let answer = nats(url).await.request(subject, request.into()).await;
    let answer = serde_json::from_slice(&answer.expect("an answer").payload);
    let answer: Value = answer.expect("JSON");
    assert!(answer["error"].is_null(), "{operation}: {answer}");
    answer
}

/// The stream that a session would make.
pub(crate) fn stream_config() -> Value {
    json!({
        "name": "ORDERS", "subjects": ["orders"], "retention": "limits", "storage": "file",
        "discard": "new", "max_msgs": -1, "max_bytes": -1, "max_age": 0, "num_replicas": 1,
    })
}

/// The consumer that a session would make.
pub(crate) fn consumer_config() -> Value {
    json!({
        "durable_name": "workers", "deliver_policy": "all", "ack_policy": "explicit",
        "max_deliver": -1, "filter_subject": "orders",
    })
}

/// A server, and a proxy before it.
pub(crate) async fn behind_proxy() -> (NatsServer, Proxy) {
    let server = server().await;
    let proxy = Proxy::start(address(&server)).await.expect("a proxy");
    (server, proxy)
}

pub(crate) fn address(server: &NatsServer) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, server.port()).into()
}

pub(crate) fn url(proxy: &Proxy) -> String {
    format!("nats://127.0.0.1:{}", proxy.port())
}

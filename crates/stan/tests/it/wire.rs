//! A look at the wire: a plain NATS client beside the one under test, and the protocol's
//! messages declared once more, so that a slip in the client's own declarations shows.

use bytes::Bytes;
use futures_util::StreamExt as _;
use stan::async_nats::{Client, Message, Subscriber};
use testbed::{Broker, eventually, http};
use tokio::time::timeout;

use crate::harness::PATIENCE;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ConnectRequest {
    #[prost(string, tag = "1")]
    pub(crate) client_id: String,
    #[prost(string, tag = "2")]
    pub(crate) heartbeat_inbox: String,
    #[prost(int32, tag = "3")]
    pub(crate) protocol: i32,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) conn_id: Vec<u8>,
    #[prost(int32, tag = "5")]
    pub(crate) ping_interval: i32,
    #[prost(int32, tag = "6")]
    pub(crate) ping_max_out: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ConnectResponse {
    #[prost(string, tag = "1")]
    pub(crate) pub_prefix: String,
    #[prost(string, tag = "2")]
    pub(crate) sub_requests: String,
    #[prost(string, tag = "3")]
    pub(crate) unsub_requests: String,
    #[prost(string, tag = "4")]
    pub(crate) close_requests: String,
    #[prost(string, tag = "5")]
    pub(crate) error: String,
    #[prost(string, tag = "6")]
    pub(crate) sub_close_requests: String,
    #[prost(string, tag = "7")]
    pub(crate) ping_requests: String,
    #[prost(int32, tag = "8")]
    pub(crate) ping_interval: i32,
    #[prost(int32, tag = "9")]
    pub(crate) ping_max_out: i32,
    #[prost(int32, tag = "10")]
    pub(crate) protocol: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Ping {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) conn_id: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PubMsg {
    #[prost(string, tag = "1")]
    pub(crate) client_id: String,
    #[prost(string, tag = "2")]
    pub(crate) guid: String,
    #[prost(string, tag = "3")]
    pub(crate) subject: String,
    #[prost(bytes = "vec", tag = "5")]
    pub(crate) data: Vec<u8>,
    #[prost(bytes = "vec", tag = "6")]
    pub(crate) conn_id: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PubAck {
    #[prost(string, tag = "1")]
    pub(crate) guid: String,
    #[prost(string, tag = "2")]
    pub(crate) error: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct MsgProto {
    #[prost(uint64, tag = "1")]
    pub(crate) sequence: u64,
    #[prost(string, tag = "2")]
    pub(crate) subject: String,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) data: Vec<u8>,
    #[prost(int64, tag = "5")]
    pub(crate) timestamp: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Ack {
    #[prost(string, tag = "1")]
    pub(crate) subject: String,
    #[prost(uint64, tag = "2")]
    pub(crate) sequence: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SubscriptionRequest {
    #[prost(string, tag = "1")]
    pub(crate) client_id: String,
    #[prost(string, tag = "2")]
    pub(crate) subject: String,
    #[prost(string, tag = "4")]
    pub(crate) inbox: String,
}

/// The answer to subscribe, unsubscribe and close-subscription requests.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SubscriptionResponse {
    #[prost(string, tag = "2")]
    pub(crate) ack_inbox: String,
    #[prost(string, tag = "3")]
    pub(crate) error: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct UnsubscribeRequest {
    #[prost(string, tag = "1")]
    pub(crate) client_id: String,
    #[prost(string, tag = "2")]
    pub(crate) subject: String,
    #[prost(string, tag = "3")]
    pub(crate) inbox: String,
}

/// What has only a text in field 1: close requests (the client id), and the answers to them and
/// to pings (the error).
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Text {
    #[prost(string, tag = "1")]
    pub(crate) text: String,
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    encoded(&Text { text: text.to_owned() })
}

pub(crate) fn encoded(message: &impl prost::Message) -> Vec<u8> {
    message.encode_to_vec()
}

pub(crate) fn decoded<M: prost::Message + Default>(message: &Message) -> M {
    M::decode(message.payload.clone()).expect("a message of this kind")
}

/// A NATS client of the broker's, which STAN knows nothing of.
pub(crate) async fn nats(broker: &Broker) -> Client {
    stan::async_nats::connect(broker.url()).await.expect("nats is up")
}

/// What goes over some subjects, whoever sends it.
pub(crate) struct Tap {
    client: Client,
    heard: Subscriber,
}

impl Tap {
    /// Hears all that is sent on `subject` after this returns.
    pub(crate) async fn on(broker: &Broker, subject: &str) -> Self {
        let client = nats(broker).await;
        let heard = client.subscribe(subject.to_owned()).await.expect("subscribed");
        let tap = Self { client, heard };
        tap.round_trip().await;
        tap
    }

    /// The server handles what comes on one link in order, so when this is back, all that was
    /// sent before is handled.
    async fn round_trip(&self) {
        let inbox = self.client.new_inbox();
        let mut echo = self.client.subscribe(inbox.clone()).await.expect("subscribed");
        self.client.publish(inbox, Bytes::new()).await.expect("sent");
        timeout(PATIENCE, echo.next()).await.expect("in time").expect("an echo");
    }

    pub(crate) async fn next(&mut self) -> Message {
        timeout(PATIENCE, self.heard.next()).await.expect("heard in time").expect("connected")
    }

    /// How many messages came that were not taken yet.
    pub(crate) async fn count(&mut self) -> usize {
        // Its answer comes on the same link after all that the server has sent us before.
        self.round_trip().await;
        let mut count = 0;
        while timeout(std::time::Duration::ZERO, self.heard.next()).await.is_ok() {
            count += 1;
        }
        count
    }
}

/// The NATS server's own count: links of clients with such a name, and the subscriptions of all
/// but the streaming server itself, which subscribes inboxes as it needs them.
pub(crate) async fn links_and_subscriptions(broker: &Broker, name: &str) -> (usize, u64) {
    let monitor = broker.monitor_url();
    let port = monitor.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let (_, body) = http::get(port, "/connz").await.expect("an answer of the monitor");
    let body: serde_json::Value = serde_json::from_str(&body).expect("json");
    let (mut links, mut subscriptions) = (0, 0);
    for link in body["connections"].as_array().expect("a list") {
        let found = link["name"].as_str().unwrap_or_default();
        links += usize::from(found.starts_with(name));
        if !found.starts_with("_NSS-") {
            subscriptions += link["subscriptions"].as_u64().expect("a number");
        }
    }
    (links, subscriptions)
}

pub(crate) async fn until_links(broker: &Broker, name: &str, count: usize) {
    eventually("as many links as wanted", PATIENCE, async || {
        (links_and_subscriptions(broker, name).await.0 == count).then_some(())
    })
    .await;
}

pub(crate) async fn until_gone(broker: &Broker, name: &str) {
    until_links(broker, name, 0).await;
}

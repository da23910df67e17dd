//! A streaming server that answers subscriptions as the test says, on a real broker's NATS.

use bytes::Bytes;
use futures_util::StreamExt as _;
use prost::Message as _;
use stan::async_nats::{self, Client, Subscriber};
use stan::{Connection, Options};
use tokio::time::timeout;

use crate::bench::{PATIENCE, options};

#[derive(Clone, PartialEq, prost::Message)]
struct Welcome {
    #[prost(string, tag = "1")]
    pub_prefix: String,
    #[prost(string, tag = "2")]
    sub_requests: String,
    #[prost(string, tag = "3")]
    unsub_requests: String,
    #[prost(string, tag = "4")]
    close_requests: String,
    #[prost(string, tag = "6")]
    sub_close_requests: String,
}

/// A subscribe, unsubscribe or close-subscription request, as far as the tests look at it: the
/// inbox has another number in the first.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Subscribe {
    #[prost(string, tag = "1")]
    pub(crate) client_id: String,
    #[prost(string, tag = "2")]
    pub(crate) channel: String,
    #[prost(string, tag = "4")]
    pub(crate) inbox: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CloseSubscription {
    #[prost(string, tag = "1")]
    pub(crate) client_id: String,
    #[prost(string, tag = "2")]
    pub(crate) channel: String,
    #[prost(string, tag = "3")]
    pub(crate) inbox: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Answer {
    #[prost(string, tag = "2")]
    pub(crate) ack_inbox: String,
    #[prost(string, tag = "3")]
    pub(crate) error: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Delivery {
    #[prost(uint64, tag = "1")]
    pub(crate) sequence: u64,
    #[prost(string, tag = "2")]
    pub(crate) channel: String,
    #[prost(int64, tag = "5")]
    pub(crate) timestamp: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Ack {
    #[prost(string, tag = "1")]
    pub(crate) channel: String,
    #[prost(uint64, tag = "2")]
    pub(crate) sequence: u64,
}

/// Welcomes everybody to the cluster `fake`; the rest is up to the test.
pub(crate) struct Responder {
    pub(crate) client: Client,
    url: String,
    subscribes: Subscriber,
    closes: Subscriber,
    acks: Subscriber,
}

impl Responder {
    pub(crate) const ACK_INBOX: &str = "fake.acks";

    pub(crate) async fn start(url: &str) -> Self {
        let client = async_nats::connect(url).await.expect("nats");
        let mut connects = subscribe(&client, "_STAN.discover.fake").await;
        let responder = Self {
            url: url.to_owned(),
            subscribes: subscribe(&client, "fake.subscribe").await,
            closes: subscribe(&client, "fake.subclose").await,
            acks: subscribe(&client, Self::ACK_INBOX).await,
            client: client.clone(),
        };
        let welcome = Welcome {
            pub_prefix: "fake.publish".to_owned(),
            sub_requests: "fake.subscribe".to_owned(),
            unsub_requests: "fake.unsubscribe".to_owned(),
            close_requests: "fake.close".to_owned(),
            sub_close_requests: "fake.subclose".to_owned(),
        };
        tokio::spawn(async move {
            while let Some(request) = connects.next().await {
                respond(&client, &request, &welcome).await;
            }
        });
        // The server handles one link in order: what comes back proves the subscriptions made.
        let mut echo = subscribe(&responder.client, "fake.echo").await;
        responder.send("fake.echo", &Ack::default()).await;
        next(&mut echo).await;
        responder
    }

    pub(crate) fn options(&self) -> Options {
        let mut options = options(&self.url, "client-of-the-fake");
        "fake".clone_into(&mut options.cluster_id);
        options.request_timeout = std::time::Duration::from_millis(500);
        options
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection::connect(self.options()).await.expect("welcomed")
    }

    pub(crate) async fn next_subscribe(&mut self) -> (async_nats::Message, Subscribe) {
        let request = next(&mut self.subscribes).await;
        let subscribe = Subscribe::decode(request.payload.clone()).expect("a subscribe request");
        (request, subscribe)
    }

    pub(crate) async fn next_close(&mut self) -> (async_nats::Message, CloseSubscription) {
        let request = next(&mut self.closes).await;
        let close = CloseSubscription::decode(request.payload.clone()).expect("a close request");
        (request, close)
    }

    pub(crate) async fn next_ack(&mut self) -> Ack {
        let ack = next(&mut self.acks).await;
        Ack::decode(ack.payload).expect("an ack")
    }

    pub(crate) async fn welcome_subscriber(&self, request: &async_nats::Message) {
        let answer = Answer { ack_inbox: Self::ACK_INBOX.to_owned(), error: String::new() };
        respond(&self.client, request, &answer).await;
    }

    pub(crate) async fn respond(&self, request: &async_nats::Message, answer: &Answer) {
        respond(&self.client, request, answer).await;
    }

    pub(crate) async fn send(&self, subject: &str, message: &impl prost::Message) {
        let payload = Bytes::from(message.encode_to_vec());
        self.client.publish(subject.to_owned(), payload).await.expect("sent");
    }
}

async fn subscribe(client: &Client, subject: &str) -> Subscriber {
    client.subscribe(subject.to_owned()).await.expect("subscribed")
}

async fn next(subscriber: &mut Subscriber) -> async_nats::Message {
    timeout(PATIENCE, subscriber.next()).await.expect("in time").expect("nats lives")
}

async fn respond(client: &Client, request: &async_nats::Message, answer: &impl prost::Message) {
    let reply = request.reply.clone().expect("a request wants an answer");
    client.publish(reply, Bytes::from(answer.encode_to_vec())).await.expect("answered");
}

//! A streaming server that answers subscriptions as the test says, on a real broker's NATS.

use futures_util::StreamExt as _;
use stan::async_nats::{self, Client, Subscriber};
use stan::{Connection, Options};
use tokio::time::timeout;

use crate::harness::{PATIENCE, options};
use crate::wire::{
    Ack, ConnectResponse, SubscriptionRequest, SubscriptionResponse, UnsubscribeRequest, decoded,
    encoded,
};

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
        let welcome = ConnectResponse {
            pub_prefix: "fake.publish".to_owned(),
            sub_requests: "fake.subscribe".to_owned(),
            unsub_requests: "fake.unsubscribe".to_owned(),
            close_requests: "fake.close".to_owned(),
            sub_close_requests: "fake.subclose".to_owned(),
            ..ConnectResponse::default()
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

    pub(crate) async fn next_subscribe(&mut self) -> (async_nats::Message, SubscriptionRequest) {
        let request = next(&mut self.subscribes).await;
        let subscribe = decoded(&request);
        (request, subscribe)
    }

    pub(crate) async fn next_close(&mut self) -> (async_nats::Message, UnsubscribeRequest) {
        let request = next(&mut self.closes).await;
        let close = decoded(&request);
        (request, close)
    }

    pub(crate) async fn next_ack(&mut self) -> Ack {
        decoded(&next(&mut self.acks).await)
    }

    pub(crate) async fn welcome_subscriber(&self, request: &async_nats::Message) {
        let answer =
            SubscriptionResponse { ack_inbox: Self::ACK_INBOX.to_owned(), error: String::new() };
        respond(&self.client, request, &answer).await;
    }

    pub(crate) async fn respond(
        &self,
        request: &async_nats::Message,
        answer: &SubscriptionResponse,
    ) {
        respond(&self.client, request, answer).await;
    }

    pub(crate) async fn send(&self, subject: &str, message: &impl prost::Message) {
        self.client.publish(subject.to_owned(), encoded(message).into()).await.expect("sent");
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
    client.publish(reply, encoded(answer).into()).await.expect("answered");
}

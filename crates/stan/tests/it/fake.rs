//! A streaming server that does as the test says, on the real broker's NATS server: for what
//! the real one cannot be made to do.

use bytes::Bytes;
use stan::async_nats::{Client, Message};
use stan::{Connection, Options, Subscription, SubscriptionOptions};
use testbed::Broker;

use crate::wire::{self, ConnectResponse, SubscriptionRequest, SubscriptionResponse, Tap, encoded};

const CLUSTER_ID: &str = "fake";
pub(crate) const ACK_INBOX: &str = "_FAKE.acks";

/// Answers nothing by itself: each request waits until the test takes it.
pub(crate) struct Fake {
    pub(crate) client: Client,
    pub(crate) connects: Tap,
    pub(crate) pings: Tap,
    pub(crate) publishes: Tap,
    pub(crate) subscribes: Tap,
    pub(crate) unsubscribes: Tap,
    pub(crate) sub_closes: Tap,
    pub(crate) closes: Tap,
}

impl Fake {
    pub(crate) async fn start(broker: &Broker) -> Self {
        Self {
            client: wire::nats(broker).await,
            connects: Tap::on(broker, "_STAN.discover.fake").await,
            pings: Tap::on(broker, "_FAKE.ping").await,
            publishes: Tap::on(broker, "_FAKE.pub.>").await,
            subscribes: Tap::on(broker, "_FAKE.sub").await,
            unsubscribes: Tap::on(broker, "_FAKE.unsub").await,
            sub_closes: Tap::on(broker, "_FAKE.subclose").await,
            closes: Tap::on(broker, "_FAKE.close").await,
        }
    }

    /// What a server without pings answers to a connect request.
    pub(crate) fn welcome() -> ConnectResponse {
        ConnectResponse {
            pub_prefix: "_FAKE.pub".to_owned(),
            sub_requests: "_FAKE.sub".to_owned(),
            unsub_requests: "_FAKE.unsub".to_owned(),
            close_requests: "_FAKE.close".to_owned(),
            sub_close_requests: "_FAKE.subclose".to_owned(),
            ..ConnectResponse::default()
        }
    }

    /// What a server answers that wants a ping every second.
    pub(crate) fn welcome_with_pings() -> ConnectResponse {
        ConnectResponse {
            ping_requests: "_FAKE.ping".to_owned(),
            ping_interval: 1,
            ping_max_out: 2,
            protocol: 1,
            ..Self::welcome()
        }
    }

    pub(crate) async fn reply(&self, request: &Message, payload: impl Into<Bytes>) {
        let reply = request.reply.clone().expect("a request with a reply subject");
        self.client.publish(reply, payload.into()).await.expect("sent");
    }

    /// Has a client connect, with this answer.
    pub(crate) async fn connection(
        &mut self,
        options: Options,
        answer: &ConnectResponse,
    ) -> Connection {
        let (connection, ()) = tokio::join!(Connection::connect(options), async {
            let request = self.connects.next().await;
            self.reply(&request, encoded(answer)).await;
        });
        connection.expect("welcomed")
    }

    /// Has a client subscribe; answers the subscription and its delivery inbox.
    pub(crate) async fn subscription(&mut self, connection: &Connection) -> (Subscription, String) {
        let subscribing = connection.subscribe(SubscriptionOptions::plain("orders"));
        let (subscription, inbox) = tokio::join!(subscribing, async {
            let request = self.subscribes.next().await;
            self.reply(&request, encoded(&subscribed())).await;
            wire::decoded::<SubscriptionRequest>(&request).inbox
        });
        (subscription.expect("subscribed"), inbox)
    }
}

pub(crate) fn subscribed() -> SubscriptionResponse {
    SubscriptionResponse { ack_inbox: ACK_INBOX.to_owned(), error: String::new() }
}

/// Options of a client of the fake.
pub(crate) fn options(broker: &Broker, client_id: &str) -> Options {
    let mut options = crate::harness::options(&broker.url(), client_id);
    CLUSTER_ID.clone_into(&mut options.cluster_id);
    options
}

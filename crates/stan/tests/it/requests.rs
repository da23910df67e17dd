//! Requests: each failure names what failed, in the server's words, and closing is no race.

use std::time::Duration;

use stan::{Connection, Error, PublishError, SubscriptionOptions};
use stan::{ErrorKind, RequestKind};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::fake::{self, ACK_INBOX, Fake};
use crate::harness::{PATIENCE, broker, options, take};
use crate::wire::{
    self, Ack, MsgProto, SubscriptionRequest, Tap, UnsubscribeRequest, decoded, encoded, text,
    until_gone,
};

/// `TestTimeoutOnRequests`.
#[tokio::test]
async fn each_request_that_is_not_answered_names_itself() {
    let broker = broker().await;
    let mut fake = Fake::start(&broker).await;
    let mut hasty = fake::options(&broker, "asker");
    hasty.request_timeout = Duration::from_secs(1);
    let unconnected = Connection::connect(hasty.clone()).await.map(drop);
    fake.connects.next().await;
    let connection = fake.connection(hasty, &Fake::welcome()).await;
    let (to_close, _) = fake.subscription(&connection).await;
    let (to_end, _) = fake.subscription(&connection).await;
    let (unsubscribed, unclosed, unended) = tokio::join!(
        connection.subscribe(SubscriptionOptions::plain("orders")),
        to_close.close(),
        to_end.unsubscribe()
    );
    for (outcome, expected) in [
        (unconnected, RequestKind::Connect),
        (unsubscribed.map(drop), RequestKind::Subscribe),
        (unclosed, RequestKind::CloseSubscription),
        (unended, RequestKind::Unsubscribe),
        (connection.close().await, RequestKind::Close),
    ] {
        let error = outcome.expect_err("no answer");
        let named = matches!(&error, Error::Timeout { request, .. } if *request == expected);
        assert!(named && error.to_string().contains(&expected.to_string()), "{error}");
    }
}

/// `TestSubTimeout`: the server may have made the member, so it is told to drop it.
#[tokio::test]
async fn a_subscription_that_is_not_confirmed_is_closed_by_its_inbox() {
    let broker = broker().await;
    let mut fake = Fake::start(&broker).await;
    let mut hasty = fake::options(&broker, "asker");
    hasty.request_timeout = Duration::from_secs(1);
    let connection = fake.connection(hasty, &Fake::welcome()).await;
    let outcome = connection.subscribe(SubscriptionOptions::plain("orders")).await;
    assert!(matches!(outcome, Err(Error::Timeout { .. })), "{outcome:?}");
    let asked = decoded::<SubscriptionRequest>(&fake.subscribes.next().await);
    let closed = decoded::<UnsubscribeRequest>(&fake.sub_closes.next().await);
    assert_eq!((closed.client_id, closed.subject), (asked.client_id, asked.subject));
    assert_eq!(closed.inbox, asked.inbox);
}

/// `TestSubCloseError`: a server without close-subscription requests is not asked to
/// unsubscribe in their stead, which would delete the durable position.
#[tokio::test]
async fn a_server_that_cannot_close_subscriptions_is_not_asked_to_unsubscribe() {
    let broker = broker().await;
    let mut fake = Fake::start(&broker).await;
    let mut old = Fake::welcome();
    old.sub_close_requests.clear();
    let connection = fake.connection(fake::options(&broker, "asker"), &old).await;
    let (subscription, _) = fake.subscription(&connection).await;
    assert!(matches!(subscription.close().await, Err(Error::NotSupported)));
    drop(subscription);
    let (closed, ()) = tokio::join!(connection.close(), async {
        let request = fake.closes.next().await;
        fake.reply(&request, "").await;
    });
    closed.expect("closed");
    assert_eq!(fake.unsubscribes.count().await, 0);
}

/// `TestMsgsNotSentToSubBeforeSubReqResponse`, and worse: here one comes before it.
#[tokio::test]
async fn messages_around_the_subscribe_response_are_delivered_and_acked() {
    let broker = broker().await;
    let mut fake = Fake::start(&broker).await;
    let mut acks = Tap::on(&broker, ACK_INBOX).await;
    let connection = fake.connection(fake::options(&broker, "asker"), &Fake::welcome()).await;
    let subscribing = connection.subscribe(SubscriptionOptions::plain("orders"));
    let (subscription, ()) = tokio::join!(subscribing, async {
        let request = fake.subscribes.next().await;
        let inbox = decoded::<SubscriptionRequest>(&request).inbox;
        for sequence in 1..=3 {
            let message = MsgProto {
                sequence,
                subject: "orders".to_owned(),
                data: b"early".to_vec(),
                timestamp: 1,
            };
            let payload = encoded(&message).into();
            fake.client.publish(inbox.clone(), payload).await.expect("sent");
            if sequence == 1 {
                fake.reply(&request, encoded(&fake::subscribed())).await;
            }
        }
    });
    let subscription = subscription.expect("subscribed");
    let messages = subscription.messages();
    for sequence in 1..=3 {
        let message = take(&messages).await;
        assert_eq!(message.sequence, sequence);
        message.ack();
        let ack = decoded::<Ack>(&acks.next().await);
        assert_eq!((ack.subject.as_str(), ack.sequence), ("orders", sequence));
    }
}

/// `TestInvalidSubRequest` and `TestSubRequestsFailedIfClientClosed`.
#[tokio::test]
async fn refusals_come_in_the_servers_words_and_are_sorted() {
    let broker = broker().await;
    let mut unaware = options(&broker.url(), "asker");
    unaware.ping_interval = Duration::from_mins(10);
    let connection = Connection::connect(unaware).await.expect("open");
    let refusal = async |options| match connection.subscribe(options).await {
        Err(error) => (error.to_string(), error.kind()),
        Ok(_) => panic!("subscribed"),
    };
    for invalid in ["", "orders..new", "orders.>", "new orders"] {
        let (text, kind) = refusal(SubscriptionOptions::plain(invalid)).await;
        assert!(text.contains("must be 1 to 1024 bytes"), "{text}");
        assert_eq!(kind, ErrorKind::Permanent);
    }
    let mut durable = SubscriptionOptions::plain("orders");
    durable.durable_name = Some("mine".to_owned());
    let subscription = connection.subscribe(durable.clone()).await.expect("subscribed");
    let (text, kind) = refusal(SubscriptionOptions::plain("ORDERS")).await;
    assert!(text.contains("different cases not allowed"), "{text}");
    assert_eq!(kind, ErrorKind::Permanent);
    let (text, kind) = refusal(durable.clone()).await;
    assert!(text.ends_with("stan: duplicate durable registration"), "{text}");
    assert_eq!(kind, ErrorKind::Retryable, "the first may be an earlier one of ours");

    let forget = wire::text("asker");
    let nats = wire::nats(&broker).await;
    nats.request("_STAN.close.waybill", forget.into()).await.expect("forgotten");
    let (text, kind) = refusal(durable).await;
    assert!(text.ends_with("stan: unknown clientID"), "{text}");
    assert_eq!(kind, ErrorKind::SessionFatal);
    let error = subscription.close().await.expect_err("unknown");
    assert!(
        matches!(error, Error::Refused { request: RequestKind::CloseSubscription, .. }),
        "{error}"
    );
    let refused = connection.publish("orders", "x".into()).await;
    assert_eq!(refused, Err(PublishError::Refused("stan: invalid publish request".to_owned())));
}

/// The text of a refused close and unsubscribe is told, and either may be tried again.
#[tokio::test]
async fn a_refused_unsubscribe_can_be_tried_again() {
    let broker = broker().await;
    let mut fake = Fake::start(&broker).await;
    let connection = fake.connection(fake::options(&broker, "asker"), &Fake::welcome()).await;
    let (subscription, _) = fake.subscription(&connection).await;
    let refusal = encoded(&wire::SubscriptionResponse {
        error: "stan: not now".to_owned(),
        ..Default::default()
    });
    let (refused, ()) = tokio::join!(subscription.unsubscribe(), async {
        let request = fake.unsubscribes.next().await;
        fake.reply(&request, refusal).await;
    });
    let error = refused.expect_err("refused");
    assert!(error.to_string().ends_with("unsubscribe request: stan: not now"), "{error}");
    let (ended, ()) = tokio::join!(subscription.unsubscribe(), async {
        let request = fake.unsubscribes.next().await;
        assert_eq!(decoded::<UnsubscribeRequest>(&request).inbox, ACK_INBOX);
        fake.reply(&request, text("")).await;
    });
    ended.expect("unsubscribed");
    assert!(matches!(subscription.unsubscribe().await, Err(Error::Closed)));
}

/// `TestUnsubscribeWhileConnClosing`, `TestRaceOnSubscribeAndConnClose` and
/// `TestRaceAckOnClose`.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn closing_amid_publishes_subscribes_and_unsubscribes_ends_them_all() {
    let broker = broker().await;
    for round in 0..10 {
        let options = options(&broker.url(), &format!("racer-{round}"));
        let connection = Connection::connect(options).await.expect("open");
        let mut racers = JoinSet::new();
        for racer in 0..4 {
            let connection = connection.clone();
            racers.spawn(async move {
                while connection.publish("orders", "x".into()).await.is_ok() {}
                racer
            });
        }
        for racer in 4..8 {
            let connection = connection.clone();
            racers.spawn(async move {
                let plain = SubscriptionOptions::plain("orders");
                while let Ok(subscription) = connection.subscribe(plain.clone()).await {
                    if let Some(message) = subscription.messages().recv().await {
                        message.ack();
                    }
                    if subscription.unsubscribe().await.is_err() {
                        break;
                    }
                }
                racer
            });
        }
        let last = broker.channel("orders").await.expect("state").last_seq;
        testbed::eventually("the race is on", PATIENCE, async || {
            (broker.channel("orders").await.ok()?.last_seq > last + 20).then_some(())
        })
        .await;
        connection.close().await.expect("closed");
        while let Some(racer) = timeout(PATIENCE, racers.join_next()).await.expect("no deadlock") {
            racer.expect("no panic");
        }
    }
    until_gone(&broker, "racer").await;
    assert!(broker.clients().await.expect("clients").is_empty());
}

//! Connecting and closing: one client per name, nothing left behind, one close request.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use stan::ConnectionState;
use stan::{Connection, Error, PublishError, Session, SessionState, SubscriptionOptions};
use stan::{ErrorKind, RequestKind};
use testbed::{Direction, Proxy, eventually};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::fake::{self, Fake};
use crate::harness::{PATIENCE, broker, group, options};
use crate::wire::{ConnectRequest, Tap, decoded, links_and_subscriptions, text, until_gone};

/// `TestDupClientID`.
#[tokio::test]
async fn a_second_client_under_a_live_id_gets_the_servers_refusal() {
    let broker = broker().await;
    let first = Connection::connect(options(&broker.url(), "same")).await.expect("open");
    let second = Connection::connect(options(&broker.url(), "same")).await.expect_err("taken");
    assert!(second.to_string().contains("stan: clientID already registered"), "{second}");
    assert_eq!(second.kind(), ErrorKind::Retryable);
    first.publish("orders", "still mine".into()).await.expect("acknowledged");
}

/// `TestConnClosedOnConnectFailure`.
#[tokio::test]
async fn a_wrong_cluster_id_is_named_at_once() {
    let broker = broker().await;
    let mut wrong = options(&broker.url(), "publisher");
    wrong.cluster_id = "elsewhere".to_owned();
    wrong.request_timeout = PATIENCE;
    let began = Instant::now();
    let error = Connection::connect(wrong).await.expect_err("nobody answers");
    assert!(error.to_string().contains("cluster id wrong"), "{error}");
    assert!(began.elapsed() < PATIENCE, "a 503 must not cost the time-out");
    until_gone(&broker, "publisher").await;
}

/// `TestNATSSubscriptionLeakOnFailedConnect` and `TestNoMemoryLeak`.
#[tokio::test]
async fn connecting_and_failing_to_connect_leaves_no_link_subscription_or_task() {
    let broker = broker().await;
    let _silent = Fake::start(&broker).await;
    let holder = Connection::connect(options(&broker.url(), "holder")).await.expect("open");
    holder.publish("orders", "first".into()).await.expect("acknowledged");
    let left = async || {
        let (links, subscriptions) = links_and_subscriptions(&broker, "cycler").await;
        (links, subscriptions, Handle::current().metrics().num_alive_tasks())
    };
    let cycle = async |n: u32| {
        let options = options(&broker.url(), &format!("cycler-{n}"));
        let connection = Connection::connect(options.clone()).await.expect("open");
        connection.publish("orders", "x".into()).await.expect("acknowledged");
        let subscription = connection.subscribe(SubscriptionOptions::plain("orders")).await;
        let subscription = subscription.expect("subscribed");
        match n % 3 {
            0 => {
                subscription.close().await.expect("closed");
                connection.close().await.expect("closed");
            }
            1 => connection.close().await.expect("closed, and its subscription with it"),
            _ => {}
        }
        drop((subscription, connection));
        let mut failing = options;
        match n % 3 {
            0 => failing.cluster_id = "elsewhere".to_owned(),
            1 => {
                failing.cluster_id = fake::options(&broker, "x").cluster_id;
                failing.request_timeout = Duration::from_millis(50);
            }
            _ => failing.client_id = "holder".to_owned(),
        }
        Connection::connect(failing).await.expect_err("refused or not answered");
    };
    for n in 0..3 {
        cycle(n).await;
    }
    let before = eventually("all is quiet", PATIENCE, async || {
        let first = left().await;
        (first.0 == 0 && first == left().await).then_some(first)
    })
    .await;
    for n in 3..53 {
        cycle(n).await;
    }
    eventually("all is as before", PATIENCE, async || (left().await == before).then_some(())).await;
    let registered = async || broker.clients().await.expect("clients").len();
    eventually("only the holder is left", PATIENCE, async || {
        (registered().await == 1).then_some(())
    })
    .await;
    holder.close().await.expect("closed");
}

/// A long-lived connection pays nothing for subscriptions that are over.
#[tokio::test]
async fn subscriptions_that_are_over_leave_no_task_and_no_nats_subscription() {
    let broker = broker().await;
    let connection = Connection::connect(options(&broker.url(), "steady")).await.expect("open");
    let cycle = async || {
        let subscription = connection.subscribe(SubscriptionOptions::plain("orders")).await;
        subscription.expect("subscribed").close().await.expect("closed");
    };
    cycle().await;
    let left = async || {
        let subscriptions = links_and_subscriptions(&broker, "steady").await.1;
        (subscriptions, Handle::current().metrics().num_alive_tasks())
    };
    let before = eventually("all is quiet", PATIENCE, async || {
        let first = left().await;
        (first == left().await).then_some(first)
    })
    .await;
    for _ in 0..20 {
        cycle().await;
    }
    eventually("all is as before", PATIENCE, async || (left().await == before).then_some(())).await;
}

/// While NATS itself is away: what is dropped stops dialling after the time that a
/// registration would have lasted.
#[tokio::test]
async fn what_is_dropped_while_nats_is_away_leaves_no_task_though_it_stays_away() {
    let mut broker = broker().await;
    let tasks_before = Handle::current().metrics().num_alive_tasks();
    let hasty = |client_id| {
        let mut options = options(&broker.url(), client_id);
        options.ping_max_out = 2;
        options
    };
    let connection = Connection::connect(hasty("dropped")).await.expect("open");
    connection.publish("orders", "x".into()).await.expect("acknowledged");
    let subscription = connection.subscribe(SubscriptionOptions::plain("orders")).await;
    let session = Session::supervise(hasty("closed"), group()).await.expect("a session");
    let mut state = session.monitor().state();
    let live = state.wait_for(|state| *state == SessionState::Live);
    timeout(PATIENCE, live).await.expect("in time").expect("supervised");
    broker.kill().expect("killed");
    drop((subscription.expect("subscribed"), connection));
    session.close().await;
    eventually("their tasks have ended", PATIENCE, async || {
        (Handle::current().metrics().num_alive_tasks() <= tasks_before).then_some(())
    })
    .await;
}

/// One client of async-nats dials nine times here before it gives up; a session goes on.
#[tokio::test]
async fn a_session_dials_on_for_as_long_as_it_takes() {
    let broker = broker().await;
    let gate = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = gate.local_addr().expect("an address").port();
    let mut hasty = options(&format!("nats://127.0.0.1:{port}"), "steady");
    hasty.ping_max_out = 2;
    let session = Session::supervise(hasty, group()).await.expect("a session");
    for _ in 0..12 {
        let dialled = timeout(PATIENCE, gate.accept()).await.expect("dialled again");
        drop(dialled);
    }
    let broker_port = broker.port();
    let forwarding = tokio::spawn(async move {
        let (mut dialled, _) = gate.accept().await.expect("a client");
        let mut server = TcpStream::connect(("127.0.0.1", broker_port)).await.expect("a server");
        // It ends with either side; how, is no matter here.
        let _ = tokio::io::copy_bidirectional(&mut dialled, &mut server).await;
    });
    let mut state = session.monitor().state();
    let live = state.wait_for(|state| *state == SessionState::Live);
    timeout(PATIENCE, live).await.expect("in time").expect("supervised");
    session.close().await;
    forwarding.await.expect("no panic");
}

/// `TestPingsInvalidOptions`.
#[tokio::test]
async fn ping_options_out_of_range_are_refused_before_anything_is_dialled() {
    let good = options("nats://127.0.0.1:1", "anybody");
    for (interval_ms, max_out) in [(0, 3), (500, 3), (1_500, 3), (1_000, 0), (1_000, 1)] {
        let mut wrong = good.clone();
        wrong.ping_interval = Duration::from_millis(interval_ms);
        wrong.ping_max_out = max_out;
        let error = Connection::connect(wrong).await.expect_err("out of range");
        assert!(matches!(error, Error::InvalidOption(_)), "{interval_ms} {max_out}: {error}");
    }
    let error = Connection::connect(good).await.expect_err("nobody listens");
    assert!(matches!(error, Error::Nats(_)), "{error}");
}

/// `TestClose` and `TestDoubleClose`; `TestConnErrHandlerNotCalledOnNormalClose`.
#[tokio::test]
async fn close_is_said_once_and_is_no_loss_and_nothing_works_after_it() {
    let broker = broker().await;
    let mut closes = Tap::on(&broker, "_STAN.close.>").await;
    let connection = Connection::connect(options(&broker.url(), "leaver")).await.expect("open");
    let subscribing = async || connection.subscribe(SubscriptionOptions::plain("orders")).await;
    let subscription = subscribing().await.expect("subscribed");
    let mut state = connection.state();
    let mut states = vec![*state.borrow_and_update()];
    let states = tokio::spawn(async move {
        while state.changed().await.is_ok() {
            states.push(*state.borrow_and_update());
        }
        states.dedup();
        states
    });
    for closed in join_all((0..10).map(|_| connection.close())).await {
        closed.expect("closed, or closed already");
    }
    connection.close().await.expect("closed already");
    let late = connection.publish("orders", "late".into()).await;
    assert_eq!(late, Err(PublishError::ConnectionClosed));
    assert!(matches!(subscribing().await, Err(Error::Closed)));
    assert!(matches!(subscription.close().await, Err(Error::Closed)));
    assert!(matches!(subscription.unsubscribe().await, Err(Error::Closed)));
    assert!(subscription.messages().recv().await.is_none(), "the stream ends");
    drop((connection, subscription));
    until_gone(&broker, "leaver").await;
    assert_eq!(closes.count().await, 1);
    let states = states.await.expect("no panic");
    assert_eq!(states, [ConnectionState::Open, ConnectionState::Closed]);
}

/// `TestConnCloseError`.
#[tokio::test]
async fn a_refused_close_is_told_once_and_closes_our_side() {
    let broker = broker().await;
    let mut fake = Fake::start(&broker).await;
    let options = fake::options(&broker, "leaver");
    let connection = fake.connection(options, &Fake::welcome()).await;
    let (refused, ()) = tokio::join!(connection.close(), async {
        let request = fake.closes.next().await;
        fake.reply(&request, text("stan: not now")).await;
    });
    let Err(Error::Refused { request: RequestKind::Close, text }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(text, "stan: not now");
    connection.close().await.expect("closed already");
    drop(connection);
    until_gone(&broker, "leaver").await;
    assert_eq!(fake.closes.count().await, 0);
}

/// `TestClientsWithDupCID`.
#[tokio::test]
async fn of_many_that_replace_a_dead_client_one_wins() {
    let broker = broker().await;
    let proxy = Proxy::start(([127, 0, 0, 1], broker.port()).into()).await.expect("a proxy");
    let url = format!("nats://127.0.0.1:{}", proxy.port());
    let _dead = Connection::connect(options(&url, "same")).await.expect("open");
    // It hears nothing, so the server's probe takes its time and the others come in the midst.
    proxy.black_hole(Direction::ToClient);
    let all = (0..10).map(|_| Connection::connect(options(&broker.url(), "same")));
    let (won, lost): (Vec<_>, Vec<_>) = join_all(all).await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 9), "{lost:?}");
    for lost in lost {
        let error = lost.expect_err("a loser");
        assert!(error.to_string().contains("clientID already registered"), "{error}");
    }
    let winner = won.into_iter().next().and_then(Result::ok).expect("a winner");
    winner.publish("orders", "mine".into()).await.expect("acknowledged");
}

/// An answer that is none, or none of substance, or comes late, makes no connection.
#[tokio::test]
async fn a_garbled_an_empty_and_a_late_answer_make_no_connection() {
    let broker = broker().await;
    let mut fake = Fake::start(&broker).await;
    let patient = fake::options(&broker, "newcomer");
    for answer in [&b""[..], b"\xff\xff", b"\x0a\x7fshort"] {
        let (outcome, ()) = tokio::join!(Connection::connect(patient.clone()), async {
            let request = fake.connects.next().await;
            fake.reply(&request, answer).await;
        });
        assert!(
            matches!(outcome, Err(Error::InvalidAnswer { request: RequestKind::Connect, .. })),
            "{outcome:?}"
        );
    }
    let mut hasty = patient.clone();
    hasty.request_timeout = Duration::from_millis(200);
    let outcome = Connection::connect(hasty).await;
    assert!(matches!(outcome, Err(Error::Timeout { .. })), "{outcome:?}");
    let late = fake.connects.next().await;
    let abandoned = decoded::<ConnectRequest>(&late);
    fake.reply(&late, crate::wire::encoded(&Fake::welcome())).await;
    let connection = fake.connection(patient, &Fake::welcome()).await;
    assert_eq!(connection.state().borrow().to_owned(), ConnectionState::Open);
    // The server's probe of the abandoned attempt must find nobody, else we block ourselves.
    let probe = fake.client.request(abandoned.heartbeat_inbox, "".into()).await;
    assert!(probe.is_err(), "the abandoned attempt answers heartbeats");
}

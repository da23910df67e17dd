//! A session and a server that leaves requests unanswered, which the real one cannot be made to
//! do: a scripted one on its NATS server.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use stan::async_nats;
use stan::{Session, SessionState};
use testbed::{Proxy, eventually};
use tokio::time::timeout;

use crate::fake::subscribed;
use crate::harness::{PATIENCE, broker, group, options};
use crate::wire::{ConnectResponse, encoded};

fn welcome() -> Vec<u8> {
    encoded(&ConnectResponse {
        pub_prefix: "_MUTE.pub".to_owned(),
        sub_requests: "_MUTE.sub".to_owned(),
        close_requests: "_MUTE.close".to_owned(),
        sub_close_requests: "_MUTE.subclose".to_owned(),
        ping_requests: "_MUTE.ping".to_owned(),
        // So seldom that only what a session asks on purpose is noted.
        ping_interval: 600,
        ping_max_out: 3,
        protocol: 1,
        ..ConnectResponse::default()
    })
}

/// Answers all but the requests numbered in `mute`, and notes the subjects of all.
async fn serve(client: async_nats::Client, mute: &[usize], noted: &Mutex<Vec<String>>) {
    let connects = client.subscribe("_STAN.discover.mute").await.expect("subscribed");
    let others = client.subscribe("_MUTE.>").await.expect("subscribed");
    client.flush().await.expect("flushed");
    let mut requests = futures_util::stream::select(connects, others);
    while let Some(request) = requests.next().await {
        let subject = request.subject.rsplit('.').next().unwrap_or_default().to_owned();
        let answer = match subject.as_str() {
            "mute" => welcome(),
            "sub" => encoded(&subscribed()),
            _ => Vec::new(),
        };
        let number = {
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            noted.push(subject);
            noted.len()
        };
        if let (false, Some(reply)) = (mute.contains(&number), request.reply) {
            client.publish(reply, answer.into()).await.expect("sent");
        }
    }
}

/// Has a session subscribe twice, the second time after a cut; answers the requests it made.
async fn requests_with_these_unanswered(mute: &'static [usize]) -> Vec<String> {
    let broker = broker().await;
    let noted = Arc::new(Mutex::new(Vec::new()));
    let client = async_nats::connect(broker.url()).await.expect("a client");
    let server = tokio::spawn({
        let noted = Arc::clone(&noted);
        async move { serve(client, mute, &noted).await }
    });
    let count = |subject: &str| {
        let noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.iter().filter(|noted| *noted == subject).count()
    };
    let mut proxy = Proxy::start(([127, 0, 0, 1], broker.port()).into()).await.expect("a proxy");
    let mut options = options(&format!("nats://127.0.0.1:{}", proxy.port()), "steady");
    "mute".clone_into(&mut options.cluster_id);
    options.request_timeout = Duration::from_secs(1);
    let session = Session::supervise(options, group()).await.expect("a session");
    let mut state = session.monitor().state();
    let live = state.wait_for(|state| *state == SessionState::Live);
    timeout(PATIENCE, live).await.expect("in time").expect("supervised");
    let subscribed = count("sub");
    proxy.cut().await;
    let down = state.wait_for(|state| *state != SessionState::Live);
    timeout(PATIENCE, down).await.expect("in time").expect("supervised");
    proxy.heal().await.expect("healed");
    eventually("it subscribes again", PATIENCE, async || {
        (count("sub") > subscribed && *state.borrow() == SessionState::Live).then_some(())
    })
    .await;
    server.abort();
    noted.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[tokio::test]
async fn a_resumed_session_asks_whether_it_is_known_then_closes_then_subscribes() {
    let requests = requests_with_these_unanswered(&[]).await;
    assert_eq!(requests, ["mute", "sub", "ping", "subclose", "sub"]);
}

#[tokio::test]
async fn a_closing_without_an_answer_is_tried_again_before_anything_is_subscribed() {
    let requests = requests_with_these_unanswered(&[4]).await;
    assert_eq!(requests, ["mute", "sub", "ping", "subclose", "ping", "subclose", "sub"]);
}

/// `TestSubTimeout`: once in passing, once until it is confirmed.
#[tokio::test]
async fn a_subscribe_without_an_answer_is_closed_under_the_same_registration() {
    let requests = requests_with_these_unanswered(&[2]).await;
    let first = ["mute", "sub", "subclose", "ping", "subclose", "sub"];
    assert_eq!(requests[..6], first);
    assert_eq!(requests[6..], ["ping", "subclose", "sub"]);
}

#[tokio::test]
async fn a_session_stopped_while_it_registers_closes_what_it_gets() {
    let broker = broker().await;
    let client = async_nats::connect(broker.url()).await.expect("a client");
    let mut connects = client.subscribe("_STAN.discover.mute").await.expect("subscribed");
    let mut others = client.subscribe("_MUTE.>").await.expect("subscribed");
    client.flush().await.expect("flushed");
    let mut options = options(&broker.url(), "brief");
    "mute".clone_into(&mut options.cluster_id);
    let session = Session::supervise(options, group()).await.expect("a session");
    let connect = timeout(PATIENCE, connects.next()).await.expect("in time").expect("a request");
    let mut closing = std::pin::pin!(session.close());
    assert!(futures_util::poll!(&mut closing).is_pending(), "it waits for the supervisor");
    tokio::task::yield_now().await;
    client.publish(connect.reply.expect("a reply"), welcome().into()).await.expect("sent");
    let mut subjects = Vec::new();
    let answering = async {
        while subjects.last().is_none_or(|subject| subject != "_MUTE.close") {
            let asked = timeout(PATIENCE, others.next()).await.expect("in time");
            let asked = asked.expect("a request");
            client.publish(asked.reply.expect("a reply"), "".into()).await.expect("sent");
            subjects.push(asked.subject.to_string());
        }
    };
    tokio::join!(closing, answering);
    assert_eq!(subjects, ["_MUTE.ping", "_MUTE.close"], "asked first, then closed");
}

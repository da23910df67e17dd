//! Limits of connections and of time during handshakes.

use std::time::{Duration, Instant};

use testbed::eventually;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use super::{Authority, Https, settings, start};
use crate::service::{PATIENCE, Replica, World};

/// How a long `ClientHello` begins.
const HELLO: [u8; 11] = [22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];

/// A replica that gives the head of a request, and a handshake, a second.
async fn hasty(world: &World, connections: &str) -> (Authority, Replica) {
    let authority = Authority::new("ours");
    let pair = authority.issue_files(world.path(), "http");
    let mut all = settings("HTTP", &pair).to_vec();
    all.push(("WAYBILL_HTTP__HEADER_TIMEOUT".to_owned(), "1s"));
    all.push(("WAYBILL_HTTP__MAX_CONNECTIONS".to_owned(), connections));
    let replica = start(world, "tls", &all).await;
    (authority, replica)
}

async fn timed_out(replica: &Replica) -> f64 {
    replica.metric("waybill_tls_handshakes_total{result=\"timed_out\"}").await
}

#[tokio::test]
async fn a_handshake_that_is_slow_or_silent_ends_when_the_head_of_a_request_would() {
    let world = World::new().await;
    let (authority, replica) = hasty(&world, "100").await;
    let config = authority.client_config(None);
    for (sent, drips) in
        [(&[][..], false), (&HELLO[..], false), (&HELLO[..], true), (&b"GET"[..], true)]
    {
        let began = Instant::now();
        let mut stream = TcpStream::connect(replica.site).await.expect("connected");
        stream.write_all(sent).await.expect("sent");
        let (mut reading, mut writing) = stream.split();
        let drip = async {
            let mut often = interval(Duration::from_millis(100));
            loop {
                often.tick().await;
                if drips && writing.write_all(b"X").await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let mut answer = Vec::new();
        tokio::select! {
            // It may be reset, for what comes after the end.
            _ = timeout(PATIENCE, reading.read_to_end(&mut answer)) => {}
            () = drip => {}
        }
        let took = began.elapsed();
        let is_in_time = Duration::from_millis(900)..Duration::from_secs(10);
        assert!(is_in_time.contains(&took), "{sent:?}: {took:?}");
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    }
    // The last one speaks plain HTTP, slowly.
    assert!((timed_out(&replica).await - 3.0).abs() < 0.1);

    // The time of the handshake is part of that of the first head.
    let began = Instant::now();
    let mut stream = super::connect(&config, replica.site).await.expect("a handshake");
    stream.write_all(b"GET / HTTP/1.1\r\n").await.expect("sent");
    let read = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
    read.expect("the connection ends").ok();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn half_open_handshakes_are_counted_and_do_not_stand_in_front_of_others() {
    let world = World::new().await;
    let (authority, replica) = hasty(&world, "40").await;
    let https = Https::new(&authority.client_config(None));
    let mut open = Vec::new();
    for _ in 0..39 {
        let mut stream = TcpStream::connect(replica.site).await.expect("connected");
        stream.write_all(&HELLO).await.expect("sent");
        open.push(stream);
    }
    assert_eq!(https.status(replica.site, "/").await, Some(200), "there is one place");
    // That connection is kept open, so there is none for a fortieth.
    let mut beyond = TcpStream::connect(replica.site).await.expect("connected");
    let closed = timeout(Duration::from_millis(500), beyond.read(&mut [0; 1])).await;
    assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
    assert!(replica.metric("waybill_http_connections_rejected_total").await > 0.5);
    eventually("the half-open ones are gone", PATIENCE, async || {
        (timed_out(&replica).await > 38.5).then_some(())
    })
    .await;
    assert_eq!(https.status(replica.site, "/").await, Some(200));
}

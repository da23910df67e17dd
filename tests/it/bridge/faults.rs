//! Kills, restarts, lost acknowledgements, and somebody else who writes.

use std::net::Ipv4Addr;

use super::*;

#[tokio::test]
async fn a_bridge_that_is_killed_again_and_again_copies_everything_once() {
    const MESSAGES: u64 = 20_000;
    let servers = Servers::new().await;
    servers.world.publish(&["--generate", &MESSAGES.to_string()]).await;
    let mut before = 0;
    for run in 1..=4 {
        let mut bridge = servers.follow(&format!("killed-{run}"));
        servers.until_copied(before + 100).await;
        bridge.kill().expect("killed");
        before = servers.stream().await.info().await.expect("info").last_sequence;
        assert!(before < MESSAGES, "run {run} was killed too late");
    }
    let report = servers.equal().await;
    assert_eq!((&report["last"], &report["gaps"]), (&json!(MESSAGES), &json!(0)));
    let info = servers.stream().await.info().await.expect("info");
    assert_eq!((info.messages, info.last_sequence), (MESSAGES, MESSAGES));
}

#[tokio::test]
async fn both_servers_may_be_killed_and_started_again() {
    let mut servers = Servers::new().await;
    let mut bridge = servers.follow("patient");
    servers.world.publish_raw(numbered(1..=50)).await;
    servers.until_copied(50).await;
    servers.nats.kill().expect("killed");
    servers.world.publish_raw(numbered(51..=100)).await;
    eventually("it is told", PATIENCE, async || {
        bridge.log().contains("; trying again in ").then_some(())
    })
    .await;
    servers.nats.start_again().await.expect("it starts again");
    servers.until_copied(100).await;
    servers.world.broker.kill().expect("killed");
    servers.world.broker.start_again().await.expect("it starts again");
    servers.world.publish_raw(numbered(101..=150)).await;
    servers.until_copied(150).await;
    stop(&mut bridge).await;
    let log = bridge.log();
    assert!(log.contains("150 messages copied, 0 gaps, up to sequence 150"), "{log}");
    assert!(servers.stored().await.into_iter().eq(copies(1..=150)));
    assert_eq!(servers.equal().await["copied"], 0);
}

/// What is stored is not stored again, and nobody is taken for somebody else.
#[tokio::test]
async fn what_is_stored_without_an_ack_is_found_by_reading_it_back() {
    let servers = Servers::new().await;
    let mut proxy =
        Proxy::start((Ipv4Addr::LOCALHOST, servers.nats.port()).into()).await.expect("a proxy");
    let url = format!("nats://127.0.0.1:{}", proxy.port());
    let mut bridge = servers.follow_at("deaf", &url);
    servers.world.publish_raw(numbered(1..=10)).await;
    servers.until_copied(10).await;
    proxy.black_hole(Direction::ToClient);
    servers.world.publish_raw(numbered(11..=60)).await;
    servers.until_copied(60).await;
    proxy.cut().await;
    proxy.heal().await.expect("healed");
    servers.world.publish_raw(numbered(61..=70)).await;
    servers.until_copied(70).await;
    stop(&mut bridge).await;
    let log = bridge.log();
    assert!(log.contains("70 messages copied, 0 gaps, up to sequence 70"), "{log}");
    assert!(servers.stored().await.into_iter().eq(copies(1..=70)));
}

/// What was on its way behind the foreign message may be stored, under its own number; every later
/// run refuses.
#[tokio::test]
async fn somebody_else_who_writes_to_the_stream_is_noticed_now_and_later() {
    let servers = Servers::new().await;
    let mut bridge = servers.follow("first");
    servers.world.publish_raw(numbered(1..=5)).await;
    servers.until_copied(5).await;
    // Nothing of the channel is amiss yet.
    servers.write([("ORDERS_STAN", order("foreign"))]).await;
    servers.world.publish_raw(numbered(6..=8)).await;
    assert_eq!(ended(&mut bridge).await, Some(1), "{}", bridge.log());
    let refusal = "stream ORDERS_STAN has under sequence 6 another message than the channel; it \
                   must be a copy of this channel that nobody else writes to";
    assert!(bridge.log().contains(refusal), "{}", bridge.log());
    servers.world.publish_raw(numbered(9..=9)).await;
    let stored = servers.stored().await;
    assert!(stored.len() <= 8, "{} messages", stored.len());
    let (code, report, stderr) = servers.once().await;
    assert_eq!((code, &report["copied"]), (1, &json!(0)), "{stderr}");
    let refusal = "stream ORDERS_STAN has other messages than the channel under sequences 6; it";
    assert!(stderr.contains(refusal), "{stderr}");
    assert_eq!(report["comparison"], Value::Null);
    assert_eq!(servers.stored().await, stored, "nothing is written");
    servers.write((0..5).map(|_| ("ORDERS_STAN", order("foreign")))).await;
    let (code, _, stderr) = servers.once().await;
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains(", but the channel with 9: "), "{stderr}");
}

#[tokio::test]
async fn two_bridges_do_no_harm() {
    let servers = Servers::new().await;
    let mut bridges = [servers.follow("one"), servers.follow("two")];
    for hundred in 0..5 {
        servers.world.publish_raw(numbered(hundred * 100 + 1..=hundred * 100 + 100)).await;
    }
    servers.until_copied(500).await;
    for bridge in &mut bridges {
        stop(bridge).await;
    }
    assert!(servers.stored().await.into_iter().eq(copies(1..=500)));
}

#[tokio::test]
async fn a_channel_that_began_anew_is_not_copied_over_the_one_before() {
    let mut servers = Servers::new().await;
    let mut bridge = servers.follow("loyal");
    servers.world.publish_raw(numbered(1..=5)).await;
    servers.until_copied(5).await;
    servers.world.broker.stop().await.expect("it stops");
    servers.world.broker.wipe().expect("its store is removed");
    servers.world.broker.start_again().await.expect("it starts");
    servers.world.publish_raw(numbered(101..=108)).await;
    assert_eq!(ended(&mut bridge).await, Some(1), "{}", bridge.log());
    let anew = "the channel began anew: it has another message under sequence 5 than before";
    assert!(bridge.log().contains(anew), "{}", bridge.log());
    let (code, _, stderr) = servers.once().await;
    assert_eq!(code, 1, "{stderr}");
    let differs = "stream ORDERS_STAN has other messages than the channel under sequences 1–5; it";
    assert!(stderr.contains(differs), "{stderr}");
    assert!(servers.stored().await.into_iter().eq(copies(1..=5)));
}

#[tokio::test]
async fn a_copy_that_is_interrupted_says_so_and_does_not_call_itself_whole() {
    let mut servers = Servers::new().await;
    servers.world.publish_raw(numbered(1..=5)).await;
    servers.nats.stop().await.expect("stopped");
    let mut command = servers.command(&servers.nats.url());
    command.arg("--once");
    let log = servers.world.path().join("interrupted.log");
    let mut bridge = Process::spawn("interrupted", &command, &log).expect("it starts");
    eventually("it waits", PATIENCE, async || bridge.log().contains("trying again").then_some(()))
        .await;
    let status = bridge.stop(Signal::INT, PATIENCE).await.expect("it ends");
    assert_eq!(status.code(), Some(130), "{}", bridge.log());
    assert!(bridge.log().contains("interrupted by SIGINT"), "{}", bridge.log());
    assert!(servers.world.broker.clients().await.expect("clients").is_empty(), "it said goodbye");
}

//! nats-server with JetStream, alone and as a cluster.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use testbed::{NatsOptions, NatsServer, eventually, http};

use crate::SOON;

async fn monitor(server: &NatsServer, path: &str) -> Option<Value> {
    let (_, port) =
        server.monitor_url().rsplit_once(':').map(|(a, b)| (a.to_owned(), b.parse()))?;
    let (status, body) = http::get(port.ok()?, path).await.ok()?;
    (status == 200).then(|| serde_json::from_str(&body).expect("JSON"))
}

/// An election that nobody wins is held again after 4 to 9 s, as often as it takes.
const ELECTION: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_nats_server_has_jetstream_on_synced_files_and_keeps_its_ports() {
    let login = Some(("me".to_owned(), "secret".to_owned()));
    let options = NatsOptions { login, ..NatsOptions::default() };
    let mut server = NatsServer::start(options).await.unwrap();
    let url = server.url();
    let jetstream = monitor(&server, "/jsz").await.unwrap();
    assert_eq!(jetstream["config"]["sync_always"], true, "{jetstream}");
    assert_eq!(monitor(&server, "/varz").await.unwrap()["auth_required"], true);
    assert!(server.start_again().await.is_err(), "it still runs");
    assert!(server.wipe().is_err(), "it still runs");

    server.kill().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", server.port())).is_err(), "it still answers");
    server.start_again().await.unwrap();
    assert_eq!(server.url(), url);
    TcpStream::connect(("127.0.0.1", server.port())).unwrap();

    server.stop().await.unwrap();
    assert!(server.log().contains("Server Exiting"), "{}", server.log());
    server.wipe().unwrap();
    server.start_again().await.unwrap();
}

#[tokio::test]
async fn three_nats_servers_elect_a_leader_and_another_when_that_is_killed() {
    let mut members = NatsServer::start_cluster(NatsOptions::default()).await.unwrap();
    let leader = async |server: &NatsServer| {
        let jetstream = monitor(server, "/jsz").await?;
        jetstream["meta_cluster"]["leader"].as_str().map(str::to_owned)
    };
    let first = eventually("a leader", SOON, async || leader(&members[0]).await).await;
    let index = ["a", "b", "c"].iter().position(|name| *name == first).unwrap();
    members[index].kill().unwrap();
    let other = &members[(index + 1) % 3];
    let led = async || leader(other).await.filter(|second| *second != first);
    eventually("another leader", ELECTION, led).await;
    members[index].start_again().await.unwrap();
    members[index].until_healthy().await;
}

//! `docs/leaving-stan.md`, step by step, while orders are published and looked up.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use testbed::{NatsOptions, NatsServer, Postgres, Process, Signal, eventually};
use tokio_util::sync::CancellationToken;

use super::page::{Block, Page};
use super::quick_start::{is_shown, run};
use crate::service::{MODEL, MODEL_UID, PATIENCE, Replica, World};

/// Where the page has the server of the stream.
const SERVER: &str = "nats://127.0.0.1:4222";

/// The page's blocks, in order, and what they are followed in.
struct Runbook {
    blocks: std::vec::IntoIter<Block>,
    world: World,
    nats: NatsServer,
    replicas: Vec<Replica>,
    /// Where a client finds them, as by a Service.
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Runbook {
    async fn open() -> Self {
        let world = World::new().await;
        let nats = NatsServer::start(NatsOptions::default()).await.expect("a nats-server");
        let blocks = Page::read("docs/leaving-stan.md".to_owned()).blocks.into_iter();
        let (replicas, addresses) = (Vec::new(), Arc::default());
        let mut runbook = Self { blocks, world, nats, replicas, addresses };
        for name in ["a", "b"] {
            let replica = runbook.serve(name).await;
            runbook.replicas.push(replica);
        }
        runbook.announce();
        runbook
    }

    /// A replica by the settings of the page.
    async fn serve(&self, name: &str) -> Replica {
        let monitor = self.world.broker.monitor_url();
        let settings = [
            ("WAYBILL_BROKER__MONITOR_URL", &*monitor),
            ("WAYBILL_BROKER__ACK_WAIT", "1s"),
            ("WAYBILL_JETSTREAM__ACK_WAIT", "1s"),
        ];
        let replica = self.world.start(name, &settings).await;
        replica.until_ready().await;
        replica
    }

    /// The next block of this language that is followed.
    fn next(&mut self, language: &str) -> Block {
        let block = self.blocks.find(|block| block.not_run.is_none()).expect("another block");
        assert_eq!(block.language, language, "{}", block.text);
        block
    }

    /// Changes the settings as the next block has them, and restarts the replicas one by one.
    async fn change_settings(&mut self) {
        let text = self.next("toml").text;
        assert!(text.contains(SERVER), "{text}");
        self.set(&text.replace(SERVER, &self.nats.url())).await;
    }

    async fn set(&mut self, settings: &str) {
        std::fs::write(self.world.path().join("waybill.toml"), settings).expect("the settings");
        for number in 0..self.replicas.len() {
            let name = format!("{number}-{}", settings.len());
            let replica = self.serve(&name).await;
            let mut old = std::mem::replace(&mut self.replicas[number], replica);
            self.announce();
            assert_eq!(old.stop().await, Some(0));
        }
    }

    fn announce(&self) {
        let addresses = self.replicas.iter().map(|replica| replica.site).collect();
        *self.addresses.lock().expect("not poisoned") = addresses;
    }

    /// Publishes orders, 100 a second, beside what else happens; each is confirmed in the end.
    fn publish(&self, to: &str, count: u32, seed: u32) -> Process {
        let (url, name) = (format!("jetstream.url={}", self.nats.url()), format!("{to}-{seed}"));
        let (count, seed) = (count.to_string(), seed.to_string());
        let receipt = format!("{name}.ndjson");
        let command = self.world.command(&[
            "publish",
            "--to",
            to,
            "--set",
            &url,
            "--generate",
            &count,
            "--seed",
            &seed,
            "--rate",
            "100",
            "--receipt",
            &receipt,
        ]);
        Process::spawn(&name, &command, &self.world.path().join(format!("{name}.log")))
            .expect("it starts")
    }

    /// Whether everything that was confirmed is served.
    async fn verify(&self, receipts: &[&str]) {
        let url = format!("http://{}", self.replicas[0].site);
        for receipt in receipts {
            let arguments = ["verify", "--receipt", receipt, "--url", &url];
            let (code, out, errors) = self.world.run(&arguments).await;
            assert_eq!(code, 0, "{receipt}: {out}{errors}");
        }
    }

    /// Types the next block.
    async fn type_next(&mut self) {
        for typed in self.next("console").typed() {
            let printed = run(&self.world, &self.replicas[0], &typed.text).await;
            let shown: Vec<String> =
                typed.shown.iter().map(|line| line.replace(" ...", "")).collect();
            let printed: String = printed.lines().map(without_digest).collect();
            assert!(is_shown(&shown, &printed), "{}\nprints\n{printed}", typed.text);
        }
    }

    async fn sql(&self, sql: &str) -> String {
        self.world.sql(Postgres::shared().await.expect("Postgres"), sql).await
    }

    async fn until_stored(&self, orders: usize) {
        let count = "select count(*) from orders";
        eventually("the orders are stored", PATIENCE, async || {
            (self.sql(count).await == orders.to_string()).then_some(())
        })
        .await;
    }
}

/// The digest differs each time.
fn without_digest(line: &str) -> String {
    let line = line.split_once(" SHA-256 ").map_or(line, |(before, _)| before);
    let digest = if line.ends_with(',') { " SHA-256" } else { "" };
    format!("{line}{digest}\n")
}

async fn ended(process: &mut Process) {
    eventually("it ends", PATIENCE, async || process.status().ok().flatten()).await;
    let status = process.status().expect("a status").expect("it has ended");
    assert!(status.success(), "{}", process.log());
}

/// Asks for an order all the time, of one replica after the other; how often. No answer but the
/// order is right, whatever happens meanwhile.
async fn look_up(addresses: Arc<Mutex<Vec<SocketAddr>>>, stop: CancellationToken) -> usize {
    let mut lookups = 0;
    while !stop.is_cancelled() {
        let address = {
            let addresses = addresses.lock().expect("not poisoned");
            addresses[lookups % addresses.len()]
        };
        let path = format!("/api/v1/orders/{MODEL_UID}");
        match testbed::http::get(address.port(), &path).await {
            Ok((status, body)) => assert_eq!((status, body.as_bytes()), (200, MODEL)),
            // One that was just being stopped when it was chosen.
            Err(error) => {
                let addresses = addresses.lock().expect("not poisoned");
                assert!(!addresses.contains(&address), "{address}: {error:#}");
            }
        }
        lookups += 1;
    }
    lookups
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_of_the_way_does_what_the_page_shows() {
    let mut way = Runbook::open().await;
    way.world.publish_raw([MODEL.into()]).await;
    way.until_stored(1).await;
    let stop = CancellationToken::new();
    let lookups = tokio::spawn(look_up(Arc::clone(&way.addresses), stop.clone()));

    way.type_next().await;
    let mut publishers = [way.publish("stan", 600, 1), way.publish("stan", 900, 2)];
    way.change_settings().await;
    way.type_next().await;
    let url = format!("jetstream.url={}", way.nats.url());
    let bridge = way.world.command(&["bridge", "--set", &url]);
    let mut bridge =
        Process::spawn("bridge", &bridge, &way.world.path().join("bridge.log")).expect("it starts");
    let moved = way.publish("jetstream", 600, 3);
    way.type_next().await;
    for publisher in &mut publishers {
        ended(publisher).await;
    }
    way.until_stored(1 + 600 + 900 + 100 + 600).await;
    way.type_next().await;
    let mut publishers = [moved, way.publish("jetstream", 600, 4)];
    assert!(bridge.stop(Signal::TERM, PATIENCE).await.expect("it ends").success());
    way.type_next().await;
    way.change_settings().await;
    way.type_next().await;
    way.world.broker.stop().await.expect("it stops");
    for publisher in &mut publishers {
        ended(publisher).await;
    }
    way.until_stored(1 + 600 + 900 + 100 + 600 + 600).await;
    stop.cancel();
    assert!(lookups.await.expect("every answer was right") > 100);
    way.verify(&["stan-1.ndjson", "stan-2.ndjson", "jetstream-3.ndjson", "jetstream-4.ndjson"])
        .await;
    assert_eq!(way.sql("select count(*) from rejected_messages").await, "0");
    assert!(way.blocks.all(|block| block.not_run.is_some()), "a block was passed over");
}

#[tokio::test]
async fn every_step_of_the_way_can_be_undone() {
    let mut way = Runbook::open().await;
    let both = format!("[jetstream]\nurl = \"{}\"\n", way.nats.url());
    way.set(&both).await;
    // What is in the stream waits while only the channel is read.
    ended(&mut way.publish("jetstream", 50, 1)).await;
    way.until_stored(50).await;
    way.set("").await;
    ended(&mut way.publish("jetstream", 50, 2)).await;
    ended(&mut way.publish("stan", 50, 3)).await;
    way.until_stored(100).await;
    way.set(&both).await;
    way.until_stored(150).await;
    // The group keeps its position while the channel is not read, and the broker is away.
    way.set(&format!("{both}[broker]\nenabled = false\n")).await;
    way.world.broker.stop().await.expect("it stops");
    way.world.broker.start_again().await.expect("it starts on its store");
    ended(&mut way.publish("stan", 50, 4)).await;
    assert_eq!(way.sql("select count(*) from orders").await, "150");
    way.set(&both).await;
    way.until_stored(200).await;
    for replica in &way.replicas {
        let again = replica.metric("waybill_ingest_messages_total{result=\"duplicate\"}").await;
        assert!(again < 0.5, "{again} messages came again");
    }
    way.verify(&["jetstream-1.ndjson", "jetstream-2.ndjson", "stan-3.ndjson", "stan-4.ndjson"])
        .await;
    assert_eq!(way.sql("select count(*) from rejected_messages").await, "0");
}

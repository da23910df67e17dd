//! `waybill load targets`, the real vegeta, a real replica, and `waybill load report`.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use testbed::vegeta;
use tokio::process::Command;

use crate::service::World;

const ORDERS: usize = 200;

/// A world with a replica that has orders, and a receipt of these.
async fn world() -> (World, crate::service::Replica) {
    let world = World::new().await;
    let replica = world.serve("a").await;
    let orders = ORDERS.to_string();
    world.publish(&["--generate", &orders, "--seed", "3", "--receipt", "receipt"]).await;
    (world, replica)
}

/// Runs `load targets` for this replica with these arguments: its exit code, and what it said.
async fn targets(world: &World, url: &str, arguments: &[&str]) -> (i32, String) {
    let fixed = ["load", "targets", "--url", url, "--seed", "1", "--output", "targets.json"];
    let (code, printed, said) = world.run(&[&fixed[..], arguments].concat()).await;
    assert_eq!(printed, "");
    (code, said)
}

fn written(world: &World) -> Vec<Value> {
    let text = fs::read_to_string(world.path().join("targets.json")).expect("targets");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// Sends each of the targets once, in this time.
async fn attack(world: &World, rate: u32, duration: &str) {
    let mut command = Command::new(vegeta().expect("vegeta"));
    command
        .current_dir(world.path())
        .args(["attack", "-format=json", "-targets=targets.json", "-max-body=0", "-timeout=10s"])
        .arg(format!("-rate={rate}"))
        .arg(format!("-duration={duration}"))
        .arg(format!("-output={rate}.bin"));
    let output = command.kill_on_drop(true).output().await.expect("vegeta runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn each_request_of_the_mix_gets_the_answer_that_is_right_for_it() {
    let (world, replica) = world().await;
    let url = format!("http://{}", replica.site);
    let mix = ["--count", "200", "--mix", "hits=50,misses=20,pages=10,unchanged=15,many=5"];
    let (code, said) = targets(&world, &url, &[&["--receipt", "receipt"], &mix[..]].concat()).await;
    assert_eq!((code, &*said), (0, ""));
    assert_eq!(written(&world).len(), 200);

    attack(&world, 200, "1s").await;
    let lenient = ["load", "report", ".", "--slo", "success>=1,p99<=10s"];
    let (code, text, said) = world.run(&lenient).await;
    assert_eq!(code, 0, "{text}{said}");
    let report: Value =
        serde_json::from_slice(&fs::read(world.path().join("report.json")).expect("report.json"))
            .expect("JSON");
    let stage = &report["stages"][0];
    assert_eq!((&stage["requests"], &stage["successes"]), (&json!(200), &json!(200)), "{text}");
    // 50 %, 10 % and 5 % are answered with 200, 15 % with 304 and 20 % with 404.
    assert_eq!(stage["status_codes"], json!({ "200": 130, "304": 30, "404": 40 }), "{text}");
}

#[tokio::test]
async fn without_a_receipt_the_orders_are_those_of_the_database() {
    let (world, replica) = world().await;
    let url = format!("http://{}", replica.site);
    world.until_drained().await;
    let (code, said) = targets(&world, &url, &["--count", "150", "--mix", "hits=1"]).await;
    assert_eq!((code, &*said), (0, ""));
    let mut asked: BTreeMap<String, u32> = BTreeMap::new();
    for target in written(&world) {
        *asked.entry(target["url"].as_str().expect("a URL").to_owned()).or_default() += 1;
    }
    assert_eq!(asked.len(), 150, "as many different ones as there are");
    for url in asked.keys() {
        let path = url.strip_prefix(&format!("http://{}", replica.site)).expect("at the replica");
        assert_eq!(replica.get(path).await.status, 200, "{url}");
    }
}

#[tokio::test]
async fn without_orders_there_are_no_targets_but_of_misses() {
    let world = World::new().await;
    let replica = world.serve("a").await;
    let url = format!("http://{}", replica.site);
    let (code, said) = targets(&world, &url, &[]).await;
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("there are no orders in the database; publish some first"), "{said}");
    let (code, said) = targets(&world, &url, &["--mix", "misses=1", "--count", "3"]).await;
    assert_eq!((code, &*said, written(&world).len()), (0, "", 3));
    let (code, said) = targets(&world, &url, &["--mix", "hit=1"]).await;
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("`hit` is no kind of request; must be weights such as"), "{said}");
}

//! `waybill load watch`: samples of real replicas.

use std::fs;

use serde_json::Value;
use testbed::{Port, Process, Signal, eventually};

use crate::service::{PATIENCE, World};

#[tokio::test]
async fn every_process_is_sampled_once_a_second_until_a_signal() {
    let world = World::new().await;
    let (one, two) = (world.serve("one").await, world.serve("two").await);
    fs::create_dir(world.path().join("out")).expect("a folder");
    let port = Port::lease().expect("a port");
    let listen = format!("127.0.0.1:{}", port.number());
    // By name and by address: it is one process all the same.
    let urls = [
        format!("http://{}/metrics", one.admin),
        format!("http://localhost:{}/metrics", one.admin.port()),
        format!("http://{}/metrics", two.admin),
        "http://127.0.0.1:1/metrics".to_owned(),
    ];
    let urls = urls.each_ref().map(String::as_str);
    let arguments = ["load", "watch", "--output", "out/server.ndjson", "--listen", &listen];
    let arguments = [&arguments[..], &["--metrics"], &urls].concat();
    let log = world.path().join("watch.log");
    let mut watch = Process::spawn("watch", &world.command(&arguments), &log).expect("it starts");
    let file = world.path().join("out/server.ndjson");
    let samples = eventually("two samples of each", PATIENCE, async || {
        let text = fs::read_to_string(&file).unwrap_or_default();
        (text.lines().count() >= 4).then_some(text)
    })
    .await;
    let samples: Vec<Value> =
        samples.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for replica in [&one, &two] {
        let target = replica.admin.to_string();
        let own: Vec<_> = samples.iter().filter(|sample| sample["target"] == *target).collect();
        let [first, second, ..] = own[..] else { panic!("{target}: {samples:?}") };
        let number = |sample: &Value, name: &str| sample[name].as_f64().expect("a number");
        let apart = (number(second, "time") - number(first, "time")) / 1e9;
        assert!((0.5..30.0).contains(&apart), "{apart}");
        assert!(number(first, "resident_bytes") > 1e6, "{first}");
        assert!(number(second, "cpu_seconds") >= number(first, "cpu_seconds"), "{second}");
    }
    assert_eq!(samples.len() % 2, 0, "{samples:?}");

    let stages = async || {
        let (status, text) = testbed::http::get(port.number(), "/metrics").await.expect("metrics");
        assert_eq!(status, 200);
        text
    };
    assert!(stages().await.contains("\nwaybill_load_stage_rate{kind=\"lookups\"} 0\n"));
    fs::write(world.path().join("out/300.bin"), "results").expect("written");
    assert!(stages().await.contains("\nwaybill_load_stage_rate{kind=\"lookups\"} 300\n"));

    let status = watch.stop(Signal::TERM, PATIENCE).await.expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", watch.log());
    let refused = watch.log().matches("no sample of 127.0.0.1:1: ").count();
    assert_eq!(refused, 1, "told once: {}", watch.log());
}

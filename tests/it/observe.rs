//! Dashboards and rules, asked of a real Prometheus that scrapes two replicas under a known load.

mod load;
mod query;
mod rules;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use testbed::{NatsOptions, NatsServer, Port, Postgres, Process, Prometheus};
use tokio::time::sleep;

use crate::chart::dashboards::Dashboard;
use crate::service::{PATIENCE, Replica, World};
use query::{Sample, expanded, query};

/// Panels whose figures exist on Kubernetes only, and why.
const ON_KUBERNETES: [(&str, &str); 1] =
    [("Volumes", "the kubelet alone measures volumes, and there is none here")];

/// Rules are evaluated once a minute by some groups, and a rate takes two evaluations of them.
const RULES_PATIENCE: Duration = Duration::from_mins(3);

/// Time between two questions, while the answer is not yet what it must become.
const PAUSE: Duration = Duration::from_millis(200);

#[tokio::test]
async fn every_panel_and_every_rule_answers_with_the_right_data() {
    let mut postgres = Postgres::start().await.expect("a Postgres of its own");
    let mut world = World::on(&postgres).await;
    // An empty stream beside the channel.
    let nats = NatsServer::start(NatsOptions::default()).await.expect("a nats-server");
    let (monitor, stream) = (world.broker.monitor_url(), nats.url());
    let stream_monitor = nats.monitor_url();
    // Each order is in the memory of the replica alone that stored it.
    let settings = [
        ("WAYBILL_BROKER__MONITOR_URL", &*monitor),
        ("WAYBILL_JETSTREAM__URL", &*stream),
        ("WAYBILL_JETSTREAM__MONITOR_URL", &*stream_monitor),
        ("WAYBILL_CACHE__FOLLOW_INTERVAL", "1h"),
    ];
    let replicas = [world.start("first", &settings).await, world.start("second", &settings).await];
    for replica in &replicas {
        replica.until_ready().await;
    }
    let (stages, _watch) = watch_a_stage(&world, &replicas[0]);
    let [first, second] = replicas.each_ref().map(|replica| replica.admin.port());
    let ports = [first, second, stages.number()];
    let alerts = Path::new(env!("CARGO_MANIFEST_DIR")).join("alerts");
    let prometheus = Prometheus::start(&ports, &alerts).await.expect("a Prometheus");
    // Rates count from the first sample on.
    for (query, number) in [("sum(up)", 3.0), ("sum(waybill_ready)", 2.0)] {
        until_equal(&prometheus, query, number).await;
    }
    // The replicas have just started, and their version has been seen for less than a minute.
    let marks: Vec<_> = Dashboard::all().iter().flat_map(queries_of_annotations).collect();
    until_answered(&prometheus, marks, PATIENCE).await;

    load::run(&mut world, &mut postgres, &replicas).await;

    for (query, value) in load::counted() {
        until_equal(&prometheus, query, value).await;
    }
    let panels: Vec<_> = Dashboard::all().iter().flat_map(queries_of_panels).collect();
    until_answered(&prometheus, panels, PATIENCE).await;
    for known in load::shown() {
        assert_shown(&prometheus, &known).await;
    }
    until_answered(&prometheus, rules::expressions(&alerts), RULES_PATIENCE).await;
    rules::assert_healthy(&prometheus, &alerts).await;
}

/// A `waybill load watch` that tells of a stage of 100 lookups a second, and its port.
fn watch_a_stage(world: &World, replica: &Replica) -> (Port, Process) {
    let results = world.path().join("results");
    fs::create_dir(&results).expect("a folder");
    let stage = fs::File::create(results.join("100.bin")).expect("a file");
    // While results grow their stage runs, and these are written to as long as the test lasts.
    stage.set_modified(SystemTime::now() + 2 * PATIENCE).expect("a time");
    let port = Port::lease().expect("a port");
    let listen = format!("127.0.0.1:{}", port.number());
    let metrics = format!("http://{}/metrics", replica.admin);
    let arguments = ["load", "watch", "--metrics", &metrics, "--listen", &listen];
    let command = world.command(&[&arguments[..], &["--output", "results/server.ndjson"]].concat());
    let log = world.path().join("watch.log");
    (port, Process::spawn("watch", &command, &log).expect("it starts"))
}

/// An expression and where it stands.
struct Question {
    place: String,
    expr: String,
    /// Whether it may be empty as a whole when its parts are not: the alerts, while all is well.
    in_parts: bool,
}

fn queries_of_annotations(dashboard: &Dashboard) -> Vec<Question> {
    let question = |(name, expr): (&str, &str)| Question {
        place: format!("{}: {name}", dashboard.title),
        expr: expanded(expr),
        in_parts: false,
    };
    dashboard.annotations().map(question).collect()
}

fn queries_of_panels(dashboard: &Dashboard) -> Vec<Question> {
    let mut questions = Vec::new();
    for panel in dashboard.panels() {
        if ON_KUBERNETES.iter().any(|(title, _)| *title == panel.title) {
            continue;
        }
        for (expr, legend) in panel.queries() {
            let place = format!("{}: {}: {legend}", dashboard.title, panel.title);
            questions.push(Question { place, expr: expanded(expr), in_parts: false });
        }
    }
    questions
}

/// Asks until each has been answered with a number.
async fn until_answered(prometheus: &Prometheus, questions: Vec<Question>, patience: Duration) {
    assert!(!questions.is_empty());
    let end = Instant::now() + patience;
    let mut open = questions;
    loop {
        let mut unanswered = Vec::new();
        for question in open {
            let is_answered = if question.in_parts {
                rules::answers(prometheus, &question.expr).await
            } else {
                query(prometheus, &question.expr).await.iter().any(Sample::is_number)
            };
            if !is_answered {
                unanswered.push(question);
            }
        }
        open = unanswered;
        if open.is_empty() {
            return;
        }
        let list = open.iter().map(|Question { place, expr, .. }| format!("{place}\n  {expr}\n"));
        assert!(Instant::now() < end, "no data:\n{}", list.collect::<String>());
        sleep(PAUSE).await;
    }
}

/// Waits for a query's one sample to have a value.
async fn until_equal(prometheus: &Prometheus, expr: &str, value: f64) {
    let end = Instant::now() + PATIENCE;
    loop {
        let samples = query(prometheus, expr).await;
        if let [sample] = &samples[..]
            && sample.value.to_bits() == value.to_bits()
        {
            return;
        }
        assert!(Instant::now() < end, "{expr} is not {value}: {samples:?}");
        sleep(PAUSE).await;
    }
}

/// What a panel shows must be what is known of the load.
async fn assert_shown(prometheus: &Prometheus, known: &load::Shown) {
    let (dashboards, mut found) = (Dashboard::all(), Vec::new());
    let dashboard = dashboards.iter().find(|dashboard| dashboard.title == known.dashboard);
    for panel in dashboard.expect(known.dashboard).panels() {
        if panel.title == known.panel {
            let (expr, _) = panel.queries().next().expect("a query");
            found = query(prometheus, &expanded(expr)).await;
        }
    }
    let is_meant = |sample: &&Sample| known.label.is_none_or(|label| sample.has(label));
    let meant: Vec<_> = found.iter().filter(is_meant).collect();
    let [sample] = meant[..] else { panic!("{known:?}: {found:?}") };
    let off = (sample.value - known.value).abs();
    assert!(off <= known.value * known.tolerance, "{known:?}: {sample:?}");
}

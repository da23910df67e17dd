//! What follows from where orders come from: the channel, a stream, or both.

use serde_json::{Value, json};

use super::pods::Pod;
use super::{Object, render_with, rendered};

/// By the file of values: what is read.
const READ: [(&str, &[Source]); 3] = [
    ("defaults", &[Source::Channel]),
    ("both", &[Source::Channel, Source::Stream]),
    ("stream", &[Source::Stream]),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Channel,
    Stream,
}

fn pod(objects: &[Object], kind: &str, name: &str) -> Pod {
    // What a Job is called ends in a sum over what it does.
    let is_name = |of: &str| of == name || kind == "Job" && of.starts_with(name);
    let is_it = |object: &&Object| object.kind() == kind && is_name(object.name());
    let object = objects.iter().find(is_it).unwrap_or_else(|| panic!("no {kind} {name}"));
    Pod::of(object).expect("a pod")
}

/// The arguments of each container, after its name.
fn commands(pod: &Pod) -> Vec<String> {
    let words = |container: &Value| {
        let arguments = container["args"].as_array().into_iter().flatten();
        let words = arguments.filter_map(Value::as_str);
        let name = container["name"].as_str().into_iter();
        name.chain(words).collect::<Vec<_>>().join(" ")
    };
    pod.containers().map(words).collect()
}

/// The names of a container's variables, but for those of its settings.
fn variables(container: &Value) -> Vec<&str> {
    let variables = container["env"].as_array().into_iter().flatten();
    variables.filter_map(|variable| variable["name"].as_str()).collect()
}

#[test]
fn replicas_have_the_address_of_what_they_read() {
    for (case, sources) in READ {
        let server = pod(rendered(case), "Deployment", "waybill");
        let container = server.containers().next().expect("a container");
        let names = variables(container);
        let has = |name: &str| names.contains(&name);
        assert_eq!(has("WAYBILL_BROKER__URL"), sources.contains(&Source::Channel), "{case}");
        assert_eq!(has("WAYBILL_JETSTREAM__URL"), sources.contains(&Source::Stream), "{case}");
    }
    // A Secret of the user's wins over the chart's servers.
    let objects = render_with(&["--set", "nats.enabled=true,jetstream.existingSecret=mine"]);
    let server = pod(&objects, "Deployment", "waybill");
    assert!(server.spec.to_string().contains("\"mine\""));
    assert!(!server.spec.to_string().contains("waybill-nats\""));
}

#[test]
fn a_stream_has_a_copy_on_each_server_of_the_chart_unless_told_otherwise() {
    for (values, copies) in [
        ("replicaCount=2", Value::Null),
        ("nats.enabled=true", json!("1")),
        ("nats.enabled=true,nats.replicas=3", json!("3")),
        ("nats.enabled=true,nats.replicas=3,settings.jetstream.replicas=1", json!("1")),
        ("nats.enabled=true,nats.replicas=3,jetstream.existingSecret=mine", Value::Null),
    ] {
        let objects = render_with(&["--set", values]);
        let settings = objects.iter().find(|o| o.kind() == "ConfigMap" && o.name() == "waybill");
        let settings = settings.expect("settings").at("/data");
        assert_eq!(settings["WAYBILL_JETSTREAM__REPLICAS"], copies, "{values}");
    }
}

#[test]
fn helm_test_publishes_to_each_source_and_looks_for_all_of_it() {
    for (case, sources) in READ {
        let objects = rendered(case);
        let both = sources.len() == 2;
        let verify = commands(&pod(objects, "Pod", "waybill-test"));
        // Where one is read alone it is the one that is published to by default.
        assert!(verify[0].starts_with("publish publish --receipt /scratch/receipt.ndjson "));
        assert!(!verify[0].contains("--to"), "{case}: {}", verify[0]);
        assert_eq!(verify.len(), if both { 3 } else { 2 }, "{case}: {verify:?}");
        let last = verify.last().expect("a check");
        assert_eq!(last.matches("--receipt=").count(), sources.len(), "{case}: {last}");
        if both {
            assert!(verify[1].contains("--receipt /scratch/receipt-stream.ndjson"));
            assert!(verify[1].ends_with(" --to=jetstream"), "{}", verify[1]);
        }
        let replicas = pod(objects, "Pod", "waybill-test-replicas");
        let variables = replicas.spec["containers"][0]["env"].as_array().expect("variables");
        let sessions = variables.iter().find(|variable| variable["name"] == "SESSIONS");
        let sessions = sessions.and_then(|it| it["value"].as_str()).expect("what is looked at");
        let expected: Vec<&str> = sources
            .iter()
            .map(|source| match source {
                Source::Channel => "waybill_stan_connected",
                Source::Stream => "waybill_jetstream_connected",
            })
            .collect();
        assert_eq!(sessions, expected.join(" "), "{case}");
    }
}

#[test]
fn each_source_is_compared_with_postgres() {
    for (case, expected) in [
        ("ha", &["reconcile reconcile --repair"][..]),
        (
            "both",
            &[
                "reconcile reconcile --repair",
                "reconcile-stream reconcile --source=jetstream --repair",
            ],
        ),
        ("stream", &["reconcile reconcile --repair"]),
    ] {
        let reconcile = commands(&pod(rendered(case), "CronJob", "waybill-reconcile"));
        assert_eq!(reconcile, expected, "{case}");
    }
}

#[test]
fn the_lag_in_each_source_of_the_chart_scales_the_service() {
    let triggers = |objects: &[Object]| -> Vec<Value> {
        let scaled = objects.iter().find(|o| o.kind() == "ScaledObject").expect("one");
        scaled.at("/spec/triggers").as_array().expect("triggers").clone()
    };
    let types = |objects: &[Object]| -> Vec<Value> {
        triggers(objects).into_iter().map(|trigger| trigger["type"].clone()).collect()
    };
    assert_eq!(types(rendered("both")), ["stan", "nats-jetstream"]);
    let keda = ["--set", "keda.enabled=true"];
    assert_eq!(types(&render_with(&keda)), ["stan"]);
    // The broker is still there, but nobody reads it.
    let switched_off = ["--set", "nats.enabled=true,settings.broker.enabled=false"];
    assert_eq!(types(&render_with(&[keda, switched_off].concat())), ["nats-jetstream"]);
    let stream = triggers(rendered("stream"));
    let expected = json!({
        "natsServerMonitoringEndpoint": "waybill-nats-headless.orders.svc:8222",
        "account": "$G",
        "stream": "PARCELS",
        "consumer": "parcels",
        "lagThreshold": "5000",
        "useHttps": "false",
    });
    assert_eq!(stream[0]["metadata"], expected);
}

#[test]
fn the_bridge_follows_the_channel_or_ends_and_knows_no_password_of_postgres() {
    let follows = pod(rendered("everything"), "Deployment", "parcels-bridge");
    let ends = pod(rendered("both"), "Job", "waybill-bridge-");
    assert_eq!(commands(&follows), ["bridge bridge --stream=ORDERS_STAN"]);
    assert_eq!(commands(&ends), ["bridge bridge --stream=ORDERS_STAN --once"]);
    for bridge in [follows, ends] {
        let container = bridge.containers().next().expect("a container");
        let names = variables(container);
        for needed in ["WAYBILL_BROKER__URL", "WAYBILL_JETSTREAM__URL"] {
            assert!(names.contains(&needed), "{}: {names:?}", bridge.made_by);
        }
        assert!(!names.iter().any(|name| name.contains("DATABASE")), "{names:?}");
    }
}

#[test]
fn another_job_of_the_bridge_has_another_name() {
    let named = |values: &str| {
        let values = format!("nats.enabled=true,bridge.enabled=true,bridge.once=true,{values}");
        let objects = render_with(&["--set", &values]);
        let is_it = |o: &&Object| o.kind() == "Job" && o.name().starts_with("waybill-bridge-");
        objects.iter().find(is_it).expect("a Job").name().to_owned()
    };
    assert_eq!(named("replicaCount=2"), named("replicaCount=3"));
    assert_ne!(named("replicaCount=2"), named("image.tag=next"));
    assert_ne!(named("replicaCount=2"), named("bridge.stream=OTHER"));
}

/// From the channel to the stream, upgrade by upgrade, nothing is deleted that cannot be had back.
#[test]
fn each_step_to_a_stream_keeps_what_the_step_before_needs() {
    let steps = [
        "replicaCount=2",
        "nats.enabled=true,nats.replicas=3",
        "nats.enabled=true,nats.replicas=3,bridge.enabled=true",
        "nats.enabled=true,nats.replicas=3,settings.broker.enabled=false,bridge.enabled=true",
        "nats.enabled=true,nats.replicas=3,settings.broker.enabled=false,natsStreaming.enabled=false",
    ];
    let sets: Vec<_> = steps.iter().map(|step| render_with(&["--set", step])).collect();
    let spec = |objects: &[Object], name: &str| {
        let is_it = |o: &&Object| o.kind() == "StatefulSet" && o.name() == name;
        objects.iter().find(is_it).map(|object| object.at("/spec").clone())
    };
    // Its pod is not replaced either: no step interrupts who still publishes to it.
    for objects in &sets[1..4] {
        let [before, after] = [&sets[0], objects];
        assert_eq!(spec(before, "waybill-nats-streaming"), spec(after, "waybill-nats-streaming"));
    }
    assert_eq!(spec(&sets[4], "waybill-nats-streaming"), None);
    for objects in &sets[2..] {
        assert_eq!(spec(&sets[1], "waybill-nats"), spec(objects, "waybill-nats"));
    }
}

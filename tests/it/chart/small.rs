//! The way of k8s/README.md on one node with two CPUs.

use serde_json::Value;

use super::pods::Pod;
use super::{Object, render_with, repository, service, text};

/// What kind's own pods ask for: 250 the API server, 200 the controller manager, 100 each the
/// scheduler, etcd, kindnet and both of `CoreDNS`, in thousandths of a CPU.
const OF_KIND: u64 = 950;

fn milli_cpus(container: &Value) -> u64 {
    let cpu = container["resources"]["requests"]["cpu"].as_str().expect("a request");
    match cpu.strip_suffix('m') {
        Some(milli) => milli.parse().expect("a number"),
        None => cpu.parse::<u64>().expect("a number") * 1000,
    }
}

/// As the scheduler counts: init containers run one after the other, but for those that stay.
fn request(pod: &Pod) -> u64 {
    let (mut staying, mut most) = (0, 0);
    for container in pod.spec["initContainers"].as_array().into_iter().flatten() {
        let milli_cpus = milli_cpus(container);
        if container["restartPolicy"] == "Always" {
            staying += milli_cpus;
        } else {
            most = most.max(staying + milli_cpus);
        }
    }
    let containers = pod.spec["containers"].as_array().into_iter().flatten();
    most.max(staying + containers.map(milli_cpus).sum::<u64>())
}

/// All pods of these objects by the kind of what makes them, as thousandths of a CPU.
fn requests(objects: &[Object], kinds: &[&str]) -> u64 {
    let pods =
        objects.iter().filter(|object| kinds.contains(&object.kind())).filter_map(|object| {
            Some(request(&Pod::of(object)?) * object.at("/spec/replicas").as_u64().unwrap_or(1))
        });
    pods.sum()
}

/// The pod of one object that is not there all the time.
fn once(objects: &[Object], name: &str) -> u64 {
    let object = objects.iter().find(|object| Pod::of(object).is_some() && object.name() == name);
    request(&Pod::of(object.unwrap_or_else(|| panic!("no {name}"))).expect("a pod"))
}

#[test]
fn all_steps_fit_into_two_cpus_beside_each_other() {
    let objects = render_with(&[
        "-f",
        repository("k8s/values.yaml").to_str().expect("UTF-8"),
        "--set=reconcile.enabled=true",
    ]);
    let replica = request(&Pod::of(service(&objects)).expect("a pod"));
    let installed = requests(&objects, &["Deployment", "StatefulSet"]);
    // While it is rolled out there is one more.
    let used =
        installed + replica + once(&objects, "waybill-load") + once(&objects, "waybill-test");
    // That of the cluster test is scaled to three and rolled out, and it publishes and looks up;
    // or it is looked up by three workers.
    let (publisher, worker) = (50, once(&objects, "waybill-load"));
    assert!(text("scripts/cluster-test").contains("requests: {cpu: 50m,"));
    let tested = installed + (2 * replica + publisher + worker).max(3 * worker);
    let watching: u64 = ["prometheus", "grafana"]
        .iter()
        .map(|name| {
            let path = format!("k8s/monitoring/{name}.yaml");
            let objects = serde_saphyr::from_multiple::<Value>(&text(&path)).expect("YAML");
            requests(&objects.into_iter().map(Object).collect::<Vec<_>>(), &["Deployment"])
        })
        .sum();
    let all = OF_KIND + used + tested + watching;
    assert!(all <= 2000, "{all} = {OF_KIND} of kind + {used} + {tested} + {watching}");
}

#[test]
fn the_way_to_a_stream_fits_too() {
    let objects = render_with(&[
        "-f",
        repository("k8s/values.yaml").to_str().expect("UTF-8"),
        "--set=nats.enabled=true,nats.replicas=3,bridge.enabled=true",
    ]);
    let replica = request(&Pod::of(service(&objects)).expect("a pod"));
    let all = OF_KIND
        + requests(&objects, &["Deployment", "StatefulSet"])
        + replica
        + once(&objects, "waybill-load");
    assert!(all <= 2000, "{all}");
}

#[test]
fn the_first_steps_fit_with_the_charts_own_values() {
    let objects = render_with(&[]);
    let all = OF_KIND
        + requests(&objects, &["Deployment", "StatefulSet"])
        + once(&objects, "waybill-test")
        + 100;
    assert!(all <= 2000, "{all}, with one replica more while it is rolled out");
}

//! The Helm chart: what it renders for each file of values in `charts/waybill/ci`.

mod access;
mod backup;
pub(crate) mod dashboards;
mod load;
mod names;
mod nats;
mod network;
mod platforms;
mod pods;
mod rules;
mod settings;
mod small;
mod sources;
mod tls;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value;

/// The files in `charts/waybill/ci`, without their ending.
const CASES: [&str; 10] = [
    "defaults",
    "minimal",
    "ha",
    "external",
    "everything",
    "both",
    "stream",
    "tls",
    "tokens",
    "jwt",
];

/// A file or folder of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The text of a file of the repository.
fn text(path: &str) -> String {
    std::fs::read_to_string(repository(path)).expect(path)
}

/// The files directly in a folder of the repository.
fn files(folder: &str) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(repository(folder))
        .expect(folder)
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
}

/// Runs `helm template` for the release "waybill" with these arguments.
fn helm(arguments: &[&str]) -> Output {
    helm_for("waybill", arguments)
}

/// The same for any release.
pub(crate) fn helm_for(release: &str, arguments: &[&str]) -> Output {
    // The place where scripts/install-tools puts it, or wherever else it is.
    let here = repository(".tools/bin/helm");
    let program = if here.is_file() { here } else { "helm".into() };
    Command::new(program)
        .args(["template", release])
        .arg(repository("charts/waybill"))
        .args(arguments)
        .output()
        .expect("helm, which scripts/install-tools installs")
}

/// An object of the chart.
#[derive(Debug, Clone)]
pub(crate) struct Object(Value);

impl Object {
    pub(crate) fn kind(&self) -> &str {
        self.at("/kind").as_str().expect("a kind")
    }

    pub(crate) fn name(&self) -> &str {
        self.at("/metadata/name").as_str().expect("a name")
    }

    /// What stands at a JSON pointer; null when nothing does.
    fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or(&Value::Null)
    }
}

/// All objects for one of the [`CASES`].
fn rendered(case: &str) -> &'static [Object] {
    static RENDERED: LazyLock<BTreeMap<&str, Vec<Object>>> =
        LazyLock::new(|| CASES.into_iter().map(|case| (case, render(case))).collect());
    &RENDERED[case]
}

fn render(case: &str) -> Vec<Object> {
    let values = repository(&format!("charts/waybill/ci/{case}.yaml"));
    render_with(&["--namespace", "orders", "-f", values.to_str().expect("UTF-8")])
}

/// All objects for these arguments.
pub(crate) fn render_with(arguments: &[&str]) -> Vec<Object> {
    render_for("waybill", arguments)
}

/// All objects of a release.
fn render_for(release: &str, arguments: &[&str]) -> Vec<Object> {
    let output = helm_for(release, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let objects = serde_saphyr::from_multiple::<Value>(&text).expect("YAML");
    objects.into_iter().map(Object).collect()
}

/// The Deployment of the service.
fn service(objects: &[Object]) -> &Object {
    let is_it = |object: &&Object| {
        let component = object.at("/metadata/labels/app.kubernetes.io~1component");
        object.kind() == "Deployment" && component == "server"
    };
    objects.iter().find(is_it).expect("the service")
}

/// Whether every label that a selector asks for is there.
fn selects(selector: &Value, labels: &Value) -> bool {
    let selector = selector.as_object().expect("labels to match");
    !selector.is_empty() && selector.iter().all(|(name, value)| labels[name.as_str()] == *value)
}

#[test]
fn no_two_objects_have_one_name() {
    for case in CASES {
        let mut names: Vec<_> =
            rendered(case).iter().map(|o| format!("{} {}", o.kind(), o.name())).collect();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(all, names.len(), "{case}: {names:#?}");
    }
}

#[test]
fn what_each_values_file_brings() {
    let mut brought = String::new();
    for case in CASES {
        let name = |object: &Object| match (object.kind(), object.name().rsplit_once('-')) {
            // What follows is a sum over what the Job does.
            ("Job", Some((name, _))) => format!("Job/{name}-*"),
            (kind, _) => format!("{kind}/{}", object.name()),
        };
        let mut names: Vec<_> = rendered(case).iter().map(name).collect();
        names.sort();
        writeln!(brought, "{case}: {}", names.join(" ")).expect("a string takes all");
    }
    insta::assert_snapshot!(brought);
}

#[test]
fn mistakes_in_the_values_are_refused_with_what_is_wrong() {
    for (set, complaint) in [
        ("replicaCuont=2", "replicaCuont"),
        ("settings.broker.chanel=x", "chanel"),
        ("settings.http.listen=0.0.0.0:80", "listen"),
        ("natsStreaming.image.tag=latest", "tag"),
        ("postgres.settings.synchronous_commit=off", "synchronous_commit"),
        ("postgres.settings.full_page_writes=off", "full_page_writes"),
        ("postgres.auth.password=a@b", "password"),
        ("natsStreaming.enabled=false", "broker.existingSecret"),
        ("postgres.enabled=false", "database.existingSecret"),
        ("settings.broker.enabled=false", "run the stream's servers with nats.enabled"),
        ("nats.replicas=2", "take 3, of which any two are enough, or 1"),
        ("nats.replicas=4", "replicas"),
        ("nats.enabled=true,settings.jetstream.replicas=3", "needs a server of its own"),
        ("bridge.enabled=true", "bridge.enabled needs servers to copy to"),
        (
            "bridge.enabled=true,natsStreaming.enabled=false,nats.enabled=true,settings.broker.enabled=false",
            "bridge.enabled needs a channel to copy",
        ),
        ("bridge.enabled=true,nats.enabled=true,bridge.stream=ORDERS", "which is for publishers"),
        ("keda.enabled=true,broker.existingSecret=b", "keda.enabled needs"),
        (
            "keda.enabled=true,jetstream.existingSecret=j,settings.broker.enabled=false",
            "keda.enabled needs",
        ),
        ("autoscaling.enabled=true,keda.enabled=true", "exclude each other"),
        ("replicaCount=40", "max_connections"),
        ("httpRoute.enabled=true", "parentRefs"),
        ("podLabels.app\\.kubernetes\\.io/name=x", "podLabels: app.kubernetes.io/name is one of"),
        ("podAnnotations.checksum/settings=x", "podAnnotations: checksum/settings is one of"),
        ("extraEnv[0].name=A,extraEnv[1].name=A", "extraEnv: A is there twice"),
        ("extraInitContainers[0].name=waybill", "extraInitContainers: waybill is one of"),
        ("extraVolumes[0].name=database", "extraVolumes: database is one of"),
        ("extraVolumeMounts[0].mountPath=/scripts", "extraVolumeMounts: /scripts is one of"),
    ] {
        let output = helm(&["--set", set]);
        assert!(!output.status.success(), "{set} is taken");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(complaint), "{set}: {errors}");
    }
}

#[test]
fn every_service_and_every_budget_selects_pods_and_names_their_ports() {
    for case in CASES {
        let objects = rendered(case);
        let pods: Vec<_> = objects.iter().filter_map(pods::Pod::of).collect();
        for object in objects {
            let selector = match object.kind() {
                "Service" => object.at("/spec/selector"),
                "PodDisruptionBudget" => object.at("/spec/selector/matchLabels"),
                _ => continue,
            };
            let selected: Vec<_> =
                pods.iter().filter(|pod| selects(selector, &pod.labels)).collect();
            let what = format!("{case}: {} {}", object.kind(), object.name());
            let kinds: BTreeSet<_> = selected.iter().map(|pod| pod.component()).collect();
            assert_eq!(kinds.len(), 1, "{what} selects one kind of pod: {kinds:?}");
            for port in object.at("/spec/ports").as_array().into_iter().flatten() {
                let target = &port["targetPort"];
                for pod in &selected {
                    assert!(pod.ports().any(|port| port["name"] == *target), "{what} {target}");
                }
            }
        }
    }
}

#[test]
fn passwords_are_in_secrets_and_nowhere_else() {
    for object in rendered("everything") {
        let text = object.0.to_string();
        for password in ["given1", "given2", "given3", "given4", "given5", "given6"] {
            let kind = object.kind();
            assert!(kind == "Secret" || !text.contains(password), "{kind} {}", object.name());
        }
    }
}

#[test]
fn what_holds_orders_or_passwords_outlives_an_uninstall() {
    for object in rendered("everything") {
        if matches!(object.kind(), "Secret" | "PersistentVolumeClaim") {
            let policy = object.at("/metadata/annotations/helm.sh~1resource-policy");
            assert_eq!(policy, "keep", "{} {}", object.kind(), object.name());
        }
        if object.kind() == "StatefulSet" {
            let retention = object.at("/spec/persistentVolumeClaimRetentionPolicy/whenDeleted");
            assert_eq!(retention, "Retain", "{}", object.name());
        }
    }
}

#[test]
fn an_autoscaler_alone_decides_on_the_replicas() {
    for (case, replicas) in
        [("defaults", Value::from(2)), ("ha", Value::Null), ("everything", Value::Null)]
    {
        let objects = rendered(case);
        let deployment = service(objects);
        assert_eq!(*deployment.at("/spec/replicas"), replicas, "{case}");
    }
}

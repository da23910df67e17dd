//! The rules that every pod of the chart keeps, with the names of kube-linter's checks where it has
//! such a check.

use serde_json::Value;

use super::{CASES, Object, rendered, service};

/// A pod as some object of the chart makes it.
#[derive(Debug)]
pub(super) struct Pod {
    /// The kind and the name of the object.
    pub(super) made_by: String,
    pub(super) kind: String,
    pub(super) labels: Value,
    pub(super) spec: Value,
    /// The Job's part around it, if it is one's.
    pub(super) job: Value,
}

impl Pod {
    pub(super) fn of(object: &Object) -> Option<Self> {
        let (template, job) = match object.kind() {
            "Pod" => (&object.0, &Value::Null),
            "Deployment" | "StatefulSet" => (object.at("/spec/template"), &Value::Null),
            "Job" => (object.at("/spec/template"), object.at("/spec")),
            "CronJob" => {
                (object.at("/spec/jobTemplate/spec/template"), object.at("/spec/jobTemplate/spec"))
            }
            "DaemonSet" | "ReplicaSet" => panic!("no rules for {}", object.kind()),
            _ => return None,
        };
        Some(Self {
            made_by: format!("{} {}", object.kind(), object.name()),
            kind: object.kind().to_owned(),
            labels: template["metadata"]["labels"].clone(),
            spec: template["spec"].clone(),
            job: job.clone(),
        })
    }

    pub(super) fn component(&self) -> &str {
        self.labels["app.kubernetes.io/component"].as_str().expect("a component")
    }

    pub(super) fn containers(&self) -> impl Iterator<Item = &Value> {
        let of = |list: &str| self.spec[list].as_array().into_iter().flatten();
        of("initContainers").chain(of("containers"))
    }

    pub(super) fn ports(&self) -> impl Iterator<Item = &Value> {
        self.containers().filter_map(|container| container["ports"].as_array()).flatten()
    }

    fn is_served(&self) -> bool {
        matches!(self.kind.as_str(), "Deployment" | "StatefulSet")
    }
}

/// A rule for pods.
type Rule = (&'static str, fn(&Pod) -> bool);

const RULES: [Rule; 13] = [
    ("run-as-non-root", |pod| {
        let context = &pod.spec["securityContext"];
        context["runAsNonRoot"] == true && context["runAsUser"].as_u64().is_some_and(|uid| uid > 0)
    }),
    ("seccomp", |pod| pod.spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"),
    // Without it a volume that belongs to root cannot be written to.
    ("fs-group", |pod| {
        pod.spec["securityContext"]["fsGroup"] == pod.spec["securityContext"]["runAsUser"]
    }),
    ("locked-down-containers", |pod| {
        pod.containers().all(|container| {
            let context = &container["securityContext"];
            context["allowPrivilegeEscalation"] == false
                && context["readOnlyRootFilesystem"] == true
                && context["capabilities"] == serde_json::json!({ "drop": ["ALL"] })
                && context["privileged"].is_null()
        })
    }),
    ("volumes-of-the-restricted-profile", |pod| {
        let valid = ["configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"];
        pod.spec["volumes"]
            .as_array()
            .into_iter()
            .flatten()
            .all(|volume| valid.iter().any(|kind| !volume[kind].is_null()))
    }),
    ("nothing-of-the-host", |pod| {
        ["hostNetwork", "hostPID", "hostIPC"].iter().all(|key| pod.spec[key].is_null())
            && pod.ports().all(|port| port["hostPort"].is_null())
    }),
    ("no-token", |pod| {
        pod.spec["automountServiceAccountToken"] == false && pod.spec["enableServiceLinks"] == false
    }),
    ("latest-tag", |pod| {
        pod.containers().all(|container| {
            let image = container["image"].as_str().unwrap_or_default();
            let name = image.rsplit('/').next().unwrap_or_default();
            name.contains(':') && !image.ends_with(":latest")
        })
    }),
    ("unset-requirements", |pod| {
        pod.containers().all(|container| {
            let resources = &container["resources"];
            [
                &resources["requests"]["cpu"],
                &resources["requests"]["memory"],
                &resources["limits"]["memory"],
            ]
            .iter()
            .all(|quantity| quantity.is_string())
        })
    }),
    // What listens on nothing ends where it cannot go on.
    ("probes", |pod| {
        !pod.is_served()
            || pod.ports().next().is_none()
            || ["startupProbe", "readinessProbe", "livenessProbe"]
                .iter()
                .all(|probe| pod.spec["containers"][0][probe].is_object())
    }),
    ("probes-name-ports-that-are-there", |pod| {
        pod.containers().all(|container| {
            ["startupProbe", "readinessProbe", "livenessProbe"].iter().all(|probe| {
                let probe = &container[probe];
                [&probe["httpGet"]["port"], &probe["tcpSocket"]["port"]]
                    .into_iter()
                    .filter(|port| !port.is_null())
                    .all(|port| pod.ports().any(|there| there["name"] == *port))
            })
        })
    }),
    ("jobs-end-and-go", |pod| {
        pod.is_served()
            || pod.kind == "Pod" && pod.spec["activeDeadlineSeconds"].is_u64()
            || ["activeDeadlineSeconds", "ttlSecondsAfterFinished", "backoffLimit"]
                .iter()
                .all(|key| pod.job[key].is_u64())
                && pod.spec["restartPolicy"] == "Never"
    }),
    ("bounded-scratch", |pod| {
        let mut volumes = pod.spec["volumes"].as_array().into_iter().flatten();
        volumes.all(|volume| {
            volume["emptyDir"].is_null() || !volume["emptyDir"]["sizeLimit"].is_null()
        })
    }),
];

/// The rules that a pod does not keep.
pub(super) fn broken_rules(pod: &Pod) -> Vec<&'static str> {
    RULES.iter().filter(|(_, rule)| !rule(pod)).map(|(name, _)| *name).collect()
}

#[test]
fn every_pod_keeps_every_rule() {
    let mut broken = Vec::new();
    for case in CASES {
        for pod in rendered(case).iter().filter_map(Pod::of) {
            for name in broken_rules(&pod) {
                broken.push(format!("{case}: {} breaks {name}", pod.made_by));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn what_helm_test_checks_is_in_the_log_that_it_shows() {
    for case in CASES {
        let tests: Vec<_> = rendered(case)
            .iter()
            .filter(|object| object.at("/metadata/annotations/helm.sh~1hook") == "test")
            .filter_map(Pod::of)
            .collect();
        let mut checks = Vec::new();
        for pod in &tests {
            let containers = pod.spec["containers"].as_array().expect("containers");
            // Of several, helm shows none; of init containers it never does.
            assert_eq!(containers.len(), 1, "{case}: {}", pod.made_by);
            checks.push(containers[0]["name"].as_str().expect("a name"));
        }
        // Certificates are for names, and the second asks each replica by its address.
        let expected = if case == "tls" { &["verify"][..] } else { &["verify", "replicas"] };
        assert_eq!(checks, expected, "{case}");
    }
}

#[test]
fn every_container_mounts_volumes_that_are_there_and_every_volume_is_mounted() {
    for case in CASES {
        for object in rendered(case) {
            let Some(pod) = Pod::of(object) else { continue };
            let claims = object.at("/spec/volumeClaimTemplates").as_array().into_iter().flatten();
            let mut there: Vec<_> = claims.map(|claim| claim["metadata"]["name"].clone()).collect();
            let volumes = pod.spec["volumes"].as_array().into_iter().flatten();
            there.extend(volumes.map(|volume| volume["name"].clone()));
            let mut mounted: Vec<_> = pod
                .containers()
                .filter_map(|container| container["volumeMounts"].as_array())
                .flatten()
                .map(|mount| mount["name"].clone())
                .collect();
            there.sort_by_key(Value::to_string);
            mounted.sort_by_key(Value::to_string);
            mounted.dedup();
            assert_eq!(there, mounted, "{case}: {}", pod.made_by);
        }
    }
}

#[test]
fn the_service_is_given_time_and_memory_enough() {
    for case in CASES {
        let objects = rendered(case);
        let deployment = service(objects);
        let name = deployment.name();
        let settings = objects.iter().find(|o| o.kind() == "ConfigMap" && o.name() == name);
        let settings = settings.expect("settings").at("/data");
        let setting =
            |key: &str| settings[key].as_str().unwrap_or_else(|| panic!("{case}: no {key}"));

        let pod = Pod::of(deployment).expect("a pod").spec;
        let pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64();
        let stop =
            humantime::parse_duration(setting("WAYBILL_SHUTDOWN__TIMEOUT")).expect("a duration");
        let grace = pod["terminationGracePeriodSeconds"].as_u64().expect("a grace period");
        assert!(grace > pause.expect("a pause") + stop.as_secs(), "{case}: killed while stopping");

        let bytes = |text: &str| -> u64 {
            let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let unit = match text[number.len()..].trim_end_matches('B') {
                "Mi" => 1 << 20,
                "Gi" => 1 << 30,
                other => panic!("{case}: {other}"),
            };
            number.parse::<u64>().expect("a number") * unit
        };
        let limit =
            pod["containers"][0]["resources"]["limits"]["memory"].as_str().expect("a limit");
        let held = bytes(setting("WAYBILL_CACHE__MAX_BYTES"))
            + bytes(setting("WAYBILL_INGEST__QUEUE_MAX_BYTES"));
        assert!(bytes(limit) >= held + (64 << 20), "{case}: {limit} is too little");
    }
}

//! The Jobs of a load run: what their containers do, in which order, and what ends them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::pods::{Pod, broken_rules};
use super::{Object, helm, render_with, rendered, text};

fn cron_job<'a>(objects: &'a [Object], name: &str) -> &'a Object {
    let is_it = |object: &&Object| object.kind() == "CronJob" && object.name() == name;
    objects.iter().find(is_it).unwrap_or_else(|| panic!("no CronJob {name}"))
}

/// The containers of a Job's pod in the order in which they start.
fn containers(objects: &[Object], name: &str) -> Vec<Value> {
    Pod::of(cron_job(objects, name)).expect("a pod").containers().cloned().collect()
}

fn names(containers: &[Value]) -> Vec<&str> {
    containers.iter().map(|container| container["name"].as_str().expect("a name")).collect()
}

fn arguments(container: &Value) -> Vec<&str> {
    let arguments = container["args"].as_array().expect("arguments").iter();
    arguments.map(|argument| argument.as_str().expect("a text")).collect()
}

fn step<'a>(containers: &'a [Value], name: &str) -> &'a Value {
    let is_it = |container: &&Value| container["name"] == name;
    containers.iter().find(is_it).unwrap_or_else(|| panic!("no container {name}"))
}

#[test]
fn one_worker_publishes_attacks_stage_by_stage_and_reports() {
    let objects = rendered("ha");
    let steps = containers(objects, "waybill-load");
    assert_eq!(
        names(&steps),
        [
            "publish",
            "watch",
            "targets",
            "attack-100",
            "attack-500",
            "attack-1000",
            "report",
            "html"
        ]
    );
    assert!(arguments(step(&steps, "attack-500")).contains(&"-rate=500/1s"));
    assert_eq!(arguments(step(&steps, "report"))[3], "--slo=success>=0.999,p99<=50ms");
}

#[test]
fn several_workers_begin_together_share_the_rate_and_exchange_results() {
    let steps = containers(rendered("everything"), "parcels-load");
    let expected = [
        "publish",
        "watch",
        "targets",
        "barrier",
        "attack-300",
        "attack-1000000",
        "gather",
        "report",
        "html",
    ];
    assert_eq!(names(&steps), expected);
    assert!(arguments(step(&steps, "attack-1000000")).contains(&"-rate=1000000/3s"));
    for together in ["barrier", "gather"] {
        let arguments = arguments(step(&steps, together));
        for argument in ["--workers=3", "--index=$(INDEX)", "--first=$(JOB)-0.parcels-load:8090"] {
            assert!(arguments.contains(&argument), "{arguments:?}");
        }
    }
}

/// What must hold for variables in arguments to be filled in.
#[test]
fn every_variable_in_an_argument_is_one_of_its_container() {
    let mut seen = BTreeSet::new();
    for name in ["parcels-load", "parcels-load-cron", "parcels-load-drill", "parcels-load-ingest"] {
        for container in containers(rendered("everything"), name) {
            let mounts = container["volumeMounts"].as_array().expect("mounts").iter();
            let paths = mounts.filter_map(|mount| mount["subPathExpr"].as_str());
            let texts = arguments(&container).into_iter().chain(paths);
            let variables = texts.flat_map(|text| text.split("$(").skip(1));
            for variable in variables.filter_map(|text| text.split(')').next()) {
                let env = container["env"].as_array().expect("variables");
                assert!(env.iter().any(|one| one["name"] == variable), "{name}: {container}");
                seen.insert(variable.to_owned());
            }
        }
    }
    assert_eq!(seen.iter().collect::<Vec<_>>(), ["INDEX", "JOB", "NAMESPACE", "POD"]);
}

#[test]
fn nothing_runs_by_itself_but_on_a_schedule_and_then_a_breach_fails_no_job_unless_asked_to() {
    let objects = rendered("everything");
    for (name, suspended) in
        [("load", true), ("load-drill", true), ("load-ingest", true), ("load-cron", false)]
    {
        let job = cron_job(objects, &format!("parcels-{name}"));
        assert_eq!(*job.at("/spec/suspend"), suspended, "{name}");
    }
    let is_lenient = |objects: &[Object], name: &str| {
        let steps = containers(objects, name);
        arguments(step(&steps, "report")).contains(&"--no-fail")
    };
    for (name, lenient) in
        [("load", false), ("load-drill", false), ("load-ingest", false), ("load-cron", true)]
    {
        assert_eq!(is_lenient(objects, &format!("parcels-{name}")), lenient, "{name}");
    }
    let strict = ["load.enabled=true", "load.schedule=13 4 * * *", "load.failScheduled=true"];
    let strict = render_with(&strict.map(|value| ["--set", value]).concat());
    assert!(!is_lenient(&strict, "waybill-load-cron"));
    assert!(rendered("ha").iter().all(|object| object.name() != "waybill-load-cron"));
}

#[test]
fn a_run_is_not_repeated_and_has_time_for_all_of_its_stages() {
    let objects = rendered("everything");
    for (name, stages) in [("load", 90 + 3600), ("load-drill", 120), ("load-ingest", 2 * 20)] {
        let job = cron_job(objects, &format!("parcels-{name}"));
        let spec = job.at("/spec/jobTemplate/spec");
        assert_eq!(spec["backoffLimit"], 0, "{name}");
        assert_eq!(spec["activeDeadlineSeconds"], 1800 + stages, "{name}");
        assert_eq!(spec["completionMode"], "Indexed", "{name}");
    }
}

#[test]
fn the_drill_forgives_nothing_and_asks_for_orders_alone() {
    let steps = containers(rendered("everything"), "parcels-load-drill");
    assert!(arguments(step(&steps, "report")).contains(&"--slo=success>=1"));
    assert!(arguments(step(&steps, "targets")).contains(&"--mix=hits=100"));
    assert!(arguments(step(&steps, "attack-100")).contains(&"-duration=2m"));
}

#[test]
fn the_ingest_job_measures_from_publish_to_served() {
    let steps = containers(rendered("everything"), "parcels-load-ingest");
    assert_eq!(names(&steps), ["watch", "ingest", "report", "html"]);
    // That some order was not served is for the report to judge.
    for argument in ["--rates=1000,20000", "--no-fail"] {
        assert!(arguments(step(&steps, "ingest")).contains(&argument));
    }
    for judging in ["report", "html"] {
        assert!(arguments(step(&steps, judging)).contains(&"--ingest-slo=success>=1,p99<=2s"));
    }
}

#[test]
fn reports_are_kept_in_a_folder_for_each_pod_if_there_is_a_claim() {
    let pod = Pod::of(cron_job(rendered("everything"), "parcels-load")).expect("a pod");
    let work = &pod.spec["volumes"][0];
    assert_eq!(*work, json!({"name": "work", "persistentVolumeClaim": {"claimName": "reports"}}));
    for container in pod.containers() {
        assert_eq!(container["volumeMounts"][0]["subPathExpr"], "$(POD)", "{container}");
    }
}

/// No shell is asked for, so that an image without one will do.
#[test]
fn every_container_has_arguments_alone() {
    for container in containers(rendered("everything"), "parcels-load") {
        let command = &container["command"];
        assert!(command.is_null() || *command == json!(["vegeta"]), "{container}");
    }
}

#[test]
fn what_a_run_was_called_before_and_what_makes_no_run_is_refused() {
    for (values, complaint) in [
        ("load.rates=100 500", "rates"),
        ("load.minSuccess=1", "minSuccess"),
        ("load.stages[0].rate=100", "duration"),
        ("load.drill.duration=1.5m", "duration"),
        ("load.slo=p99=50ms", "slo"),
        ("load.parallelism=0", "parallelism"),
        ("load.enabled=true,extraEnv[0].name=POD", "extraEnv: POD is one of"),
    ] {
        let output = helm(&["--set", values]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains(complaint), "{values}: {errors}");
    }
    let twice = r#"load.stages=[{"rate":100,"duration":"1s"},{"rate":100,"duration":"2s"}]"#;
    let errors = String::from_utf8_lossy(&helm(&["--set-json", twice]).stderr).into_owned();
    assert!(errors.contains("load.stages: 100 is there twice"), "{errors}");
}

/// What the plain Job and the chart's must have in common of a container.
fn in_common(container: &Value) -> Value {
    let keys = [
        "name",
        "image",
        "command",
        "args",
        "restartPolicy",
        "securityContext",
        "resources",
        "ports",
        "volumeMounts",
    ];
    keys.iter().map(|key| ((*key).to_owned(), container[*key].clone())).collect()
}

#[test]
fn the_plain_job_does_what_the_charts_does() {
    let mut plain: Value = serde_saphyr::from_str(&text("k8s/load/job.yaml")).expect("YAML");
    plain["metadata"]["name"] = "given-by-the-cluster".into();
    let plain = Pod::of(&Object(plain)).expect("a pod");
    assert_eq!(broken_rules(&plain), [""; 0]);
    let charts = render_with(&["--set", "load.enabled=true"]);
    let charts = Pod::of(cron_job(&charts, "waybill-load")).expect("a pod");
    let steps = |pod: &Pod| pod.containers().map(in_common).collect::<Vec<_>>();
    assert_eq!(steps(&plain), steps(&charts));
    for key in [
        "securityContext",
        "volumes",
        "restartPolicy",
        "automountServiceAccountToken",
        "enableServiceLinks",
        "dnsConfig",
    ] {
        assert_eq!(plain.spec[key], charts.spec[key], "{key}");
    }
    for key in [
        "completionMode",
        "completions",
        "backoffLimit",
        "activeDeadlineSeconds",
        "ttlSecondsAfterFinished",
    ] {
        assert_eq!(plain.job[key], charts.job[key], "{key}");
    }
}

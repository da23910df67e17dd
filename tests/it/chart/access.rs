//! Tokens for what speaks to a service that asks for them.

use super::pods::Pod;
use super::{helm, render_with, rendered};

const TOKEN_FILE: &str = "--token-file=/etc/waybill/token/token";

#[test]
fn every_client_of_the_chart_sends_its_token() {
    let mut seen = Vec::new();
    for pod in rendered("tokens").iter().filter_map(Pod::of) {
        for container in pod.containers() {
            let name = container["name"].as_str().expect("a name");
            let clients = ["verify", "replicas", "targets", "ingest", "watch"];
            if !clients.contains(&name) {
                assert!(!container["volumeMounts"].to_string().contains("token"), "{container}");
                continue;
            }
            // A script finds it by itself.
            assert!(name == "replicas" || container["args"].to_string().contains(TOKEN_FILE));
            let mounts = container["volumeMounts"].as_array().expect("mounts").iter();
            let mut paths = mounts.map(|mount| mount["mountPath"].as_str().expect("a path"));
            assert!(paths.any(|path| path == "/etc/waybill/token"), "{container}");
            let volumes = pod.spec["volumes"].as_array().expect("volumes");
            let volume = volumes.iter().find(|it| it["name"] == "token").expect("a volume");
            assert_eq!(volume["secret"]["secretName"], "token-of-clients");
            assert_eq!(volume["secret"]["items"][0]["key"], "bearer");
            seen.push(name.to_owned());
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, ["ingest", "replicas", "targets", "verify", "watch"]);
}

/// A claim outlives the pods, and whoever mounts it reads what is in it.
#[test]
fn requests_with_the_token_are_not_kept_with_the_results() {
    let load =
        rendered("tokens").iter().find(|it| it.name() == "waybill-load" && it.kind() == "CronJob");
    let pod = Pod::of(load.expect("a load test")).expect("a pod");
    for container in pod.containers() {
        for argument in container["args"].as_array().into_iter().flatten() {
            let argument = argument.as_str().expect("a text");
            assert!(
                !argument.contains("targets.json") || argument.ends_with("=/requests/targets.json")
            );
        }
    }
    let volumes = pod.spec["volumes"].as_array().expect("volumes");
    let volume = |name: &str| volumes.iter().find(|it| it["name"] == name).expect("a volume");
    assert_eq!(volume("work")["persistentVolumeClaim"]["claimName"], "reports");
    assert!(volume("requests")["emptyDir"].is_object());
}

#[test]
fn monitors_send_the_token_where_metrics_need_one() {
    let monitor = |objects: &[super::Object]| {
        let is_it = |it: &&super::Object| it.kind() == "ServiceMonitor" && it.name() == "waybill";
        objects.iter().find(is_it).expect("a monitor").at("/spec/endpoints/0").clone()
    };
    let credentials = &monitor(rendered("tokens"))["authorization"]["credentials"];
    assert_eq!(
        (&credentials["name"], &credentials["key"]),
        (&"token-of-clients".into(), &"bearer".into())
    );
    let open = render_with(&["--set", "metrics.serviceMonitor.enabled=true"]);
    assert!(monitor(&open)["authorization"].is_null());
}

#[test]
fn clients_that_would_be_refused_are_refused_at_the_install() {
    let mode = "settings.access.mode=tokens,access.existingSecret=tokens";
    for (set, complaint) in [
        ("load.enabled=true", "the token that load tests send in access.clientTokenSecret"),
        (
            "settings.access.protect_metrics=true,metrics.podMonitor.enabled=true",
            "the token that monitors send in access.clientTokenSecret",
        ),
    ] {
        let output = helm(&["--set", mode, "--set", set]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains(complaint), "{set}: {told}");
        let named = "access.clientTokenSecret=token";
        assert!(helm(&["--set", mode, "--set", set, "--set", named]).status.success(), "{set}");
    }
}

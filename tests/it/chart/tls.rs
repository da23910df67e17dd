//! Certificates out of Secrets, and everything that speaks to a port with one.

use serde_json::Value;

use super::pods::Pod;
use super::{Object, helm, render_with, rendered};

/// The release with a certificate for both ports, that asks clients for theirs.
fn mutual() -> Vec<Object> {
    let values = [
        "tls.http.existingSecret=h",
        "tls.admin.existingSecret=a",
        "tls.http.clientCertificates=true",
        "tls.admin.clientCertificates=true",
        "tls.clientSecret=c",
        "load.enabled=true",
        "load.ingest.enabled=true",
        "metrics.serviceMonitor.enabled=true",
    ];
    let sets: Vec<&str> = values.iter().flat_map(|value| ["--set", value]).collect();
    render_with(&sets)
}

fn find<'a>(objects: &'a [Object], kind: &str, name: &str) -> &'a Object {
    let is_it = |object: &&Object| object.kind() == kind && object.name() == name;
    objects.iter().find(is_it).unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// Every argument of every container, with those that follow the name of the container.
fn arguments(objects: &[Object]) -> Vec<(String, Vec<String>)> {
    let pods = objects.iter().filter_map(Pod::of);
    pods.flat_map(|pod| {
        let containers = pod.containers().map(|container| {
            let arguments = container["args"].as_array().into_iter().flatten();
            let arguments = arguments.map(|text| text.as_str().unwrap_or_default().to_owned());
            (container["name"].as_str().expect("a name").to_owned(), arguments.collect())
        });
        containers.collect::<Vec<_>>()
    })
    .collect()
}

fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let variables = container["env"].as_array()?.iter();
    variables.filter(|it| it["name"] == name).find_map(|it| it["value"].as_str())
}

#[test]
fn the_service_has_its_certificates_and_is_probed_over_https() {
    let objects = rendered("tls");
    let server = Pod::of(find(objects, "Deployment", "waybill")).expect("a pod");
    let container = server.containers().next().expect("a container");
    for (port, secret) in [("http", "waybill-http-tls"), ("admin", "waybill-admin-tls")] {
        let name = |key: &str| format!("WAYBILL_{}__TLS_{key}_FILE", port.to_uppercase());
        let folder = format!("/etc/waybill/{port}-tls");
        assert_eq!(variable(container, &name("CERT")), Some(&*format!("{folder}/tls.crt")));
        assert_eq!(variable(container, &name("KEY")), Some(&*format!("{folder}/tls.key")));
        assert_eq!(variable(container, &name("CLIENT_CA")), None);
        let volumes = server.spec["volumes"].as_array().expect("volumes");
        let is_it = |volume: &&Value| volume["name"] == *format!("{port}-tls");
        let volume = volumes.iter().find(is_it).expect("a volume");
        assert_eq!(volume["secret"]["secretName"], secret);
        let mounts = container["volumeMounts"].as_array().expect("mounts");
        let mount = mounts.iter().find(is_it).expect("a mount");
        assert_eq!((&mount["mountPath"], &mount["subPath"]), (&folder.into(), &Value::Null));
    }
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        assert_eq!(container[probe]["httpGet"]["scheme"], "HTTPS", "{probe}");
    }
    let plain = Pod::of(find(rendered("defaults"), "Deployment", "waybill")).expect("a pod");
    let plain = plain.containers().next().expect("a container");
    assert_eq!(plain["livenessProbe"]["httpGet"]["scheme"], Value::Null);
    for service in ["waybill", "waybill-replicas"] {
        let ports = find(objects, "Service", service).at("/spec/ports");
        for port in ports.as_array().expect("ports") {
            assert_eq!(port["appProtocol"], "https", "{service}: {port}");
        }
    }
}

#[test]
fn every_client_of_the_chart_asks_over_https_and_trusts_the_authority_in_the_secret() {
    let mut seen = Vec::new();
    for (objects, shows) in [(rendered("tls"), false), (&mutual()[..], true)] {
        for (name, arguments) in arguments(objects) {
            let text = arguments.join(" ");
            assert!(!text.contains("=http://"), "{name}: {text}");
            let (trust, show) = match name.as_str() {
                "verify" | "targets" | "ingest" => {
                    ("--ca-file=/etc/waybill/http-ca/ca.crt", "--cert-file=")
                }
                "watch" => ("--ca-file=/etc/waybill/admin-ca/ca.crt", "--cert-file="),
                attack if attack.starts_with("attack-") => {
                    ("-root-certs=/etc/waybill/http-ca/ca.crt", " -cert=")
                }
                _ => continue,
            };
            assert!(text.contains(trust), "{name}: {text}");
            let shown = format!("{show}/etc/waybill/client-tls/tls.crt");
            assert_eq!(text.contains(&shown), shows, "{name}: {text}");
            seen.push(name);
        }
        for pod in objects.iter().filter_map(Pod::of) {
            // What it is given to trust and to show is there.
            for container in pod.containers() {
                let text = container["args"].to_string();
                let mounts = container["volumeMounts"].to_string();
                for folder in ["http-ca", "admin-ca", "client-tls"] {
                    let folder = format!("/etc/waybill/{folder}");
                    assert!(!text.contains(&folder) || mounts.contains(&folder), "{container}");
                }
            }
        }
    }
    for name in ["verify", "targets", "ingest", "watch", "attack-100"] {
        assert!(seen.iter().filter(|it| *it == name).count() >= 2, "{name}: {seen:?}");
    }
}

#[test]
fn monitors_scrape_over_https() {
    let monitor = find(rendered("tls"), "PodMonitor", "waybill");
    let endpoint = monitor.at("/spec/podMetricsEndpoints/0");
    assert_eq!(endpoint["scheme"], "https");
    assert_eq!(endpoint["tlsConfig"]["serverName"], "waybill-replicas");
    assert_eq!(endpoint["tlsConfig"]["ca"]["secret"]["name"], "waybill-admin-tls");
    assert_eq!(endpoint["tlsConfig"]["cert"], Value::Null);
    let objects = mutual();
    let endpoint = find(&objects, "ServiceMonitor", "waybill").at("/spec/endpoints/0");
    assert_eq!(endpoint["tlsConfig"]["cert"]["secret"]["name"], "c");
    assert_eq!(endpoint["tlsConfig"]["keySecret"]["name"], "c");
    // The load generator's own port is plain.
    let load = find(&objects, "ServiceMonitor", "waybill-load").at("/spec/endpoints/0");
    assert_eq!(load["scheme"], Value::Null);
}

#[test]
fn clients_without_certificates_are_not_let_in_where_they_must_have_one() {
    let objects = mutual();
    let server = Pod::of(find(&objects, "Deployment", "waybill")).expect("a pod");
    let container = server.containers().next().expect("a container");
    for port in ["HTTP", "ADMIN"] {
        let name = format!("WAYBILL_{port}__TLS_CLIENT_CA_FILE");
        let expected = format!("/etc/waybill/{}-tls/ca.crt", port.to_lowercase());
        assert_eq!(variable(container, &name), Some(&*expected));
    }
    // The other asks by addresses.
    let is_test = |object: &&Object| object.at("/metadata/annotations/helm.sh~1hook") == "test";
    assert_eq!(objects.iter().filter(is_test).count(), 1);
    for (sets, why) in [
        (&["tls.http.clientCertificates=true"][..], "needs tls.http.existingSecret"),
        (
            &["tls.admin.clientCertificates=true", "tls.admin.existingSecret=a"],
            "tls.admin.clientCertificates needs tls.clientSecret",
        ),
    ] {
        let sets: Vec<&str> = sets.iter().flat_map(|value| ["--set", value]).collect();
        let output = helm(&sets);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains(why), "{sets:?}: {told}");
    }
}

//! What certain clusters want of the rendered objects.

use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddr};

use serde_json::{Value, json};

use testbed::{Process, broker, eventually};

use super::pods::Pod;
use super::{Object, render_with, rendered, repository};
use crate::service::{PATIENCE, World};

fn everything(overrides: &[&str]) -> Vec<Object> {
    let values = repository("charts/waybill/ci/everything.yaml");
    let mut arguments = vec!["-f", values.to_str().expect("UTF-8")];
    arguments.extend(overrides.iter().flat_map(|value| ["--set", value]));
    render_with(&arguments)
}

fn pods(objects: &[Object]) -> Vec<Pod> {
    objects.iter().filter_map(Pod::of).collect()
}

#[test]
fn a_mesh_is_told_the_protocol_of_every_port() {
    let services = rendered("everything").iter().filter(|object| object.kind() == "Service");
    let ports = services.flat_map(|service| {
        let ports = service.at("/spec/ports").as_array().expect("ports").iter();
        ports.map(|port| (service.name(), port["name"].clone(), port["appProtocol"].clone()))
    });
    let ports: Vec<_> = ports.collect();
    assert!(ports.len() >= 6, "{ports:?}");
    for (service, port, protocol) in ports {
        let is_tcp = ["client", "cluster", "postgres"].iter().any(|tcp| port == *tcp);
        let expected = if is_tcp { "tcp" } else { "http" };
        assert_eq!(protocol, expected, "{port} of {service}");
    }
}

#[test]
fn names_are_resolved_by_kube_dns_by_a_node_local_cache_and_on_openshift() {
    let policies = rendered("defaults").iter().filter(|object| object.kind() == "NetworkPolicy");
    let dns: Vec<Value> = policies
        .flat_map(|policy| policy.at("/spec/egress").as_array().into_iter().flatten())
        .filter(|rule| rule["ports"][0]["port"] == 53)
        .cloned()
        .collect();
    assert!(!dns.is_empty());
    for rule in dns {
        let to = rule["to"].to_string();
        for peer in ["kube-dns", "169.254.20.10/32", "openshift-dns"] {
            assert!(to.contains(peer), "{peer} in {to}");
        }
        let ports: BTreeSet<String> = rule["ports"]
            .as_array()
            .expect("ports")
            .iter()
            .map(|port| format!("{} {}", port["protocol"].as_str().expect("one"), port["port"]))
            .collect();
        assert_eq!(
            ports.into_iter().collect::<Vec<_>>(),
            ["TCP 53", "TCP 5353", "UDP 53", "UDP 5353"]
        );
    }
}

#[test]
fn openshift_gives_the_user_ids_itself() {
    for pod in pods(&everything(&["openshift=true"])) {
        let context = &pod.spec["securityContext"];
        for key in ["runAsUser", "runAsGroup", "fsGroup"] {
            assert!(context[key].is_null(), "{key} of {}", pod.made_by);
        }
        assert_eq!(context["runAsNonRoot"], true, "{}", pod.made_by);
    }
}

#[test]
fn postgres_runs_as_the_user_of_its_image() {
    let is_postgres = |pod: &&Pod| ["postgres", "backup"].contains(&pod.component());
    for (overrides, uid) in [(&[][..], 999), (&["postgres.uid=70"], 70)] {
        let pods = pods(&everything(overrides));
        let users: Vec<_> = pods
            .iter()
            .filter(is_postgres)
            .map(|pod| pod.spec["securityContext"]["runAsUser"].clone())
            .collect();
        assert!(users.len() >= 2 && users.iter().all(|user| *user == uid), "{users:?}");
    }
}

#[test]
fn service_and_broker_listen_on_ipv6_when_asked_to() {
    for (overrides, service, broker) in [
        (&[][..], "0.0.0.0:8080", "host: \"0.0.0.0\""),
        (&["listenAddress=[::]"], "[::]:8080", "host: \"::\""),
    ] {
        let objects = everything(overrides);
        let data = |name: &str, key: &str| {
            let map = objects.iter().find(|o| o.kind() == "ConfigMap" && o.name() == name);
            map.expect(name).at("/data")[key].as_str().expect(key).to_owned()
        };
        assert_eq!(data("parcels", "WAYBILL_HTTP__LISTEN"), service);
        assert!(data("parcels-nats-streaming", "stan.conf").contains(broker));
        assert_eq!(data("parcels-nats", "nats.conf").matches(broker).count(), 2, "{broker}");
    }
}

#[test]
fn a_variable_of_the_users_takes_the_place_of_the_charts() {
    let given = ["extraEnv[0].name=WAYBILL_BROKER__CLIENT_ID", "extraEnv[0].value=mine"];
    let mut seen = 0;
    for pod in pods(&everything(&given)) {
        for container in pod.containers() {
            let variables = container["env"].as_array().into_iter().flatten();
            let names: Vec<_> = variables.clone().map(|variable| &variable["name"]).collect();
            let distinct: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
            assert_eq!(names.len(), distinct.len(), "{names:?} of {}", pod.made_by);
            let client = variables.clone().filter(|v| v["name"] == "WAYBILL_BROKER__CLIENT_ID");
            for client in client {
                let mine = json!({"name": "WAYBILL_BROKER__CLIENT_ID", "value": "mine"});
                assert_eq!(*client, mine, "{}", pod.made_by);
                seen += 1;
            }
        }
    }
    assert!(seen >= 3, "{seen}");
}

#[test]
fn a_url_of_the_users_takes_the_place_of_the_charts_file_and_a_file_that_of_its_url() {
    for name in ["WAYBILL_DATABASE__URL", "WAYBILL_DATABASE__URL_FILE"] {
        let given =
            [format!("extraEnv[0].name={name}"), "extraEnv[0].value=postgres://mine/db".to_owned()];
        for pod in pods(&everything(&given.each_ref().map(String::as_str))) {
            for container in pod.containers() {
                let variables = container["env"].as_array().into_iter().flatten();
                let urls: Vec<_> = variables
                    .filter_map(|variable| variable["name"].as_str())
                    .filter(|name| name.starts_with("WAYBILL_DATABASE__URL"))
                    .collect();
                assert!(urls.is_empty() || urls == [name], "{urls:?} of {}", pod.made_by);
            }
        }
    }
}

#[test]
fn a_label_that_an_operator_selects_by_takes_the_place_of_the_charts() {
    let kinds = [
        ("serviceMonitor", "ServiceMonitor"),
        ("podMonitor", "PodMonitor"),
        ("prometheusRule", "PrometheusRule"),
        ("dashboards", "ConfigMap"),
    ];
    for (value, kind) in kinds {
        let enabled = format!("metrics.{value}.enabled=true");
        let label = format!("metrics.{value}.labels.app\\.kubernetes\\.io/part-of=kube-prometheus");
        let objects = render_with(&["--set", &enabled, "--set", &label]);
        let part_of = |object: &&Object| {
            let labels = object.at("/metadata/labels");
            assert_eq!(labels["app.kubernetes.io/managed-by"], "Helm", "{}", object.name());
            object.kind() == kind && labels["app.kubernetes.io/part-of"] == "kube-prometheus"
        };
        assert_eq!(objects.iter().filter(part_of).count(), 1, "{kind}");
    }
}

#[tokio::test]
async fn a_service_on_all_ipv6_addresses_answers_over_ipv4_too() {
    let world = World::new().await;
    let all = Ipv6Addr::UNSPECIFIED.into();
    let replica = world.launch_on(all, "dual", world.command(&["serve"])).await;
    replica.until_ready().await;
    for (listening, path) in [(replica.site, "/"), (replica.admin, "/livez")] {
        for ip in ["127.0.0.1", "::1"] {
            let address = SocketAddr::new(ip.parse().expect("an address"), listening.port());
            let reply = replica.get_from(address, path).await.expect("an answer");
            assert_eq!(reply.status, 200, "{address}{path}");
        }
    }
}

#[tokio::test]
async fn the_broker_listens_on_all_ipv6_addresses_and_over_ipv4_too() {
    let objects = render_with(&["--set", "listenAddress=[::]"]);
    let is_broker = |object: &&Object| object.at("/data/stan.conf").is_string();
    let conf = objects.iter().find(is_broker).expect("a broker").at("/data/stan.conf");
    let dir = tempfile::tempdir().expect("a folder");
    let store = dir.path().join("store").display().to_string();
    // Any free ports, and a folder of its own.
    let conf = conf.as_str().expect("text").replace("/data/store", &store);
    let conf = conf.replace("port: 4222", "port: -1").replace("http: 8222", "http: -1");
    let file = dir.path().join("stan.conf");
    std::fs::write(&file, conf).expect("written");

    let mut command = std::process::Command::new(broker::executable().expect("a broker"));
    command.arg("-sc").arg(&file).env("BROKER_PASSWORD", "w1");
    let process = Process::spawn("broker", &command, &dir.path().join("log")).expect("it starts");
    for listens in ["Starting http monitor on ", "Listening for client connections on "] {
        let port = eventually(listens, PATIENCE, async || {
            let log = process.log();
            let address = log.split_once(listens)?.1.lines().next()?.to_owned();
            address.parse::<SocketAddr>().ok().map(|address| address.port())
        });
        let port = port.await;
        for ip in ["127.0.0.1", "::1"] {
            tokio::net::TcpStream::connect((ip, port)).await.expect("it is reached");
        }
    }
}

#[test]
fn a_storage_class_is_the_clusters_a_named_one_or_none() {
    let sections = ["natsStreaming", "nats", "postgres", "backup"];
    for (class, expected) in
        [("", Value::Null), ("-", json!("")), ("fast", json!("fast")), ("true", json!("true"))]
    {
        let values: Vec<String> =
            sections.iter().map(|s| format!("{s}.persistence.storageClass={class}")).collect();
        let values = repository("charts/waybill/ci/everything.yaml").to_str().map(|file| {
            let mut arguments = vec!["-f".to_owned(), file.to_owned()];
            arguments.extend(values.iter().flat_map(|v| ["--set-string".to_owned(), v.clone()]));
            arguments
        });
        let arguments = values.expect("UTF-8");
        let objects = render_with(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let claims: Vec<Value> = objects
            .iter()
            .flat_map(|object| match object.kind() {
                "PersistentVolumeClaim" => vec![object.at("/spec").clone()],
                "StatefulSet" => vec![object.at("/spec/volumeClaimTemplates/0/spec").clone()],
                _ => Vec::new(),
            })
            .collect();
        assert_eq!(claims.len(), 4);
        for claim in claims {
            assert_eq!(claim["storageClassName"], expected, "{class:?}");
        }
    }
}

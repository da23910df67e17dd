//! The chart's JetStream servers, started with the configuration and the environment of their pods.

use std::path::Path;
use std::process::{Command, Output};

use bytes::Bytes;
use jetstream::{Connection, StreamOptions, Terms};
use serde_json::Value;
use testbed::{Port, Process, Signal, eventually, http, nats};

use super::pods::Pod;
use super::{Object, render_with};
use crate::service::PATIENCE;

/// Texts that would be numbers if they were not in quotes.
const PASSWORDS: [&str; 2] = ["nats.auth.password=12345", "nats.auth.routePassword=67890"];

fn render(replicas: usize) -> Vec<Object> {
    let replicas = format!("nats.replicas={replicas}");
    let mut arguments = vec!["--namespace", "orders"];
    for value in ["nats.enabled=true", &replicas] {
        arguments.extend(["--set", value]);
    }
    for password in PASSWORDS {
        arguments.extend(["--set-string", password]);
    }
    render_with(&arguments)
}

fn find<'a>(objects: &'a [Object], kind: &str) -> &'a Object {
    let is_it = |object: &&Object| object.kind() == kind && object.name() == "waybill-nats";
    objects.iter().find(is_it).unwrap_or_else(|| panic!("no {kind}"))
}

/// The environment of a pod's container as the kubelet makes it.
fn environment(objects: &[Object], pod: &str) -> Vec<(String, String)> {
    let servers = Pod::of(find(objects, "StatefulSet")).expect("a pod");
    let container = servers.containers().next().expect("a container");
    let secrets = find(objects, "Secret").at("/stringData");
    let mut variables: Vec<(String, String)> = Vec::new();
    for variable in container["env"].as_array().expect("variables") {
        let source = &variable["valueFrom"];
        let value = if let Some(text) = variable["value"].as_str() {
            let fill = |text: String, (name, value): &(String, String)| {
                text.replace(&format!("$({name})"), value)
            };
            variables.iter().fold(text.to_owned(), fill)
        } else if source["fieldRef"]["fieldPath"] == "metadata.name" {
            pod.to_owned()
        } else if source["resourceFieldRef"]["resource"] == "limits.memory" {
            "1073741824".to_owned()
        } else {
            let key = source["secretKeyRef"]["key"].as_str().expect("a key");
            secrets[key].as_str().expect(key).to_owned()
        };
        variables.push((variable["name"].as_str().expect("a name").to_owned(), value));
    }
    variables
}

fn configuration(objects: &[Object]) -> &str {
    find(objects, "ConfigMap").at("/data/nats.conf").as_str().expect("a configuration")
}

/// A server of the chart, on ports of its own, with its store in a folder of its own.
struct Server {
    process: Process,
    client: Port,
    monitor: Port,
}

impl Server {
    /// `routes` are the ports where the servers find each other, in their order.
    fn start(objects: &[Object], index: usize, routes: &[Port], dir: &Path) -> Self {
        let (client, monitor) = (Port::lease().expect("a port"), Port::lease().expect("a port"));
        let pod = format!("waybill-nats-{index}");
        let dir = dir.join(&pod);
        std::fs::create_dir(&dir).expect("a folder");
        let mut text = configuration(objects)
            .replace("/data/", &format!("{}/", dir.display()))
            .replace("port: 4222", &format!("port: {}", client.number()))
            .replace("http: 8222", &format!("http: {}", monitor.number()));
        if let Some(route) = routes.get(index) {
            text = text.replace("port: 6222", &format!("port: {}", route.number()));
        }
        std::fs::write(dir.join("nats.conf"), text).expect("written");
        let mut command = Command::new(nats::executable().expect("a nats-server"));
        command.arg("-c").arg(dir.join("nats.conf"));
        for (name, value) in environment(objects, &pod) {
            let hosts = routes.iter().enumerate().map(|(other, port)| {
                let host = format!("waybill-nats-{other}.waybill-nats-headless:6222");
                (host, format!("127.0.0.1:{}", port.number()))
            });
            let value = hosts.fold(value, |value, (host, here)| value.replace(&host, &here));
            command.env(name, value);
        }
        let process = Process::spawn(&pod, &command, &dir.join("log")).expect("it starts");
        Self { process, client, monitor }
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let (status, body) = http::get(self.monitor.number(), path).await.ok()?;
        let body = serde_json::from_str(&body).ok()?;
        (status == 200).then_some(body)
    }

    /// Waits until the startup probe of its pod succeeds.
    async fn until_healthy(&self) {
        eventually("a healthy server", PATIENCE, async || self.get("/healthz").await).await;
    }

    async fn connect(&self, password: &str) -> Result<Connection, jetstream::Error> {
        let url = format!("nats://127.0.0.1:{}", self.client.number());
        let mut options = jetstream::Options::new(&url, "test");
        options.nats = options.nats.user_and_password("waybill".to_owned(), password.to_owned());
        Connection::connect(options).await
    }
}

fn check(objects: &[Object], dir: &Path) -> Output {
    let file = dir.join("nats.conf");
    std::fs::write(&file, configuration(objects)).expect("written");
    let mut command = Command::new(nats::executable().expect("a nats-server"));
    command.arg("-t").arg("-c").arg(file).envs(environment(objects, "waybill-nats-0"));
    command.output().expect("it runs")
}

#[test]
fn the_server_takes_the_configuration_of_one_and_of_three() {
    for replicas in [1, 3] {
        let dir = tempfile::tempdir().expect("a folder");
        let output = check(&render(replicas), dir.path());
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.contains("is valid"), "{replicas}: {told}");
    }
}

/// A server that joins a cluster deletes streams that the cluster does not know.
#[test]
fn one_server_and_three_store_in_different_folders_of_their_volumes() {
    let folder = |replicas| {
        let objects = render(replicas);
        let line = configuration(&objects).lines().find(|line| line.contains("store_dir"));
        line.expect("a folder").to_owned()
    };
    assert_ne!(folder(1), folder(3));
}

#[tokio::test]
async fn a_single_server_syncs_what_it_acknowledges_and_leaves_room_on_its_volume() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(&render(1), 0, &[], dir.path());
    server.until_healthy().await;
    let jetstream = server.get("/jsz?config=true").await.expect("an answer");
    let config = &jetstream["config"];
    assert_eq!(config["sync_always"], true, "{jetstream}");
    assert_eq!(config["max_storage"], (8_u64 << 30) * 9 / 10, "{jetstream}");
    assert_eq!(config["max_memory"], 0, "{jetstream}");
    assert!(server.connect("12345").await.is_ok());
    assert!(server.connect("54321").await.is_err());
    let status = server.process.stop(Signal::TERM, PATIENCE).await.expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", server.process.log());
}

#[tokio::test]
async fn three_servers_find_each_other_and_one_may_be_replaced() {
    let (objects, dir) = (render(3), tempfile::tempdir().expect("a folder"));
    let routes = [(); 3].map(|()| Port::lease().expect("a port"));
    let mut servers: Vec<_> =
        (0..3).map(|index| Server::start(&objects, index, &routes, dir.path())).collect();
    for server in &servers {
        server.until_healthy().await;
    }
    // Clients are told the names of the others, which stay when pods get other addresses.
    let told = servers[0].get("/varz").await.expect("an answer");
    for index in 0..3 {
        let name = format!("waybill-nats-{index}.waybill-nats-headless.orders.svc:4222");
        assert!(told["connect_urls"].to_string().contains(&name), "{name}: {told}");
    }

    let connection = servers[0].connect("12345").await.expect("a connection");
    let mut options = StreamOptions::new("ORDERS", &["orders"]);
    options.replicas = 3;
    connection.ensure_stream(&options).await.expect("a stream");
    let publisher = connection.publisher("orders").await.expect("a publisher");

    // As the pod's preStop does, and the SIGTERM that follows.
    let leaving = &mut servers[2];
    let lame_duck = format!("ldm={}", leaving.process.id());
    let mut command = Command::new(nats::executable().expect("a nats-server"));
    let output = command.args(["-sl", &lame_duck]).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    eventually("a lame duck", PATIENCE, async || {
        leaving.process.log().contains("Entering lame duck mode").then_some(())
    })
    .await;
    let status = leaving.process.stop(Signal::TERM, PATIENCE).await.expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", leaving.process.log());

    let sent = publisher.publish(Bytes::from_static(b"order"), Terms::default()).await;
    sent.expect("sent").await.expect("stored by two of three");
    servers[0].until_healthy().await;
}

//! `testbed up`, which `make up` runs, from each source: with real servers, and with a stand-in for
//! the service, which this crate cannot build.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use tempfile::TempDir;
use testbed::Port;

/// Where `scripts/install-tools` puts nats-server.
const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.tools/bin");

/// Answers at the ports of its settings, for the sample once it was published.
const WAYBILL: &str = r#"#!/usr/bin/env python3
import http.server, os, sys, threading, tomllib
command, settings = sys.argv[1], sys.argv[3]
published = os.path.join(os.path.dirname(settings), "published")
if command == "publish":
    with open(published, "a") as file:
        file.write(" ".join(sys.argv[4:]) + "\n")
    sys.exit()
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        is_there = self.path == "/readyz" or os.path.exists(published)
        self.send_response(200 if is_there else 404)
        self.end_headers()
with open(settings, "rb") as file:
    sections = tomllib.load(file)
for section in ["http", "admin"]:
    host, port = sections[section]["listen"].split(":")
    server = http.server.ThreadingHTTPServer((host, int(port)), Answers)
    threading.Thread(target=server.serve_forever).start()
"#;

/// A working directory in which `testbed` runs. What it started is stopped when this is dropped.
struct Place {
    dir: TempDir,
    ports: Vec<(&'static str, Port)>,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("waybill-up-").tempdir().expect("a folder");
        // Postgres may run as another user.
        let everyone = fs::Permissions::from_mode(0o755);
        fs::set_permissions(dir.path(), everyone.clone()).expect("its mode");
        let waybill = dir.path().join("waybill");
        fs::write(&waybill, WAYBILL).expect("a file");
        fs::set_permissions(&waybill, everyone).expect("its mode");
        let names = ["http", "admin", "broker", "monitor", "jetstream", "postgres"];
        let ports = names.map(|name| (name, Port::lease().expect("a port"))).into();
        Self { dir, ports }
    }

    fn port(&self, name: &str) -> u16 {
        self.ports.iter().find(|(it, _)| *it == name).expect("a port").1.number()
    }

    fn listens(&self, name: &str) -> bool {
        TcpStream::connect(("127.0.0.1", self.port(name))).is_ok()
    }

    /// What the command printed.
    fn testbed(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_testbed"));
        let path = format!("{}:{TOOLS}", std::env::var("PATH").expect("a PATH"));
        command.args(arguments).current_dir(self.dir.path()).env("PATH", path);
        let ran = command.output().expect("it runs");
        let printed = String::from_utf8(ran.stdout).expect("UTF-8");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.success(), "{arguments:?}: {printed}{said}");
        printed
    }

    fn up(&self, source: &[&str]) -> String {
        let ports = self
            .ports
            .iter()
            .flat_map(|(name, port)| [format!("--{name}-port"), port.number().to_string()]);
        let ports: Vec<String> = ports.collect();
        let ports = ports.iter().map(String::as_str);
        let arguments = ["up", "--waybill", "./waybill"].into_iter();
        self.testbed(&arguments.chain(source.iter().copied()).chain(ports).collect::<Vec<_>>())
    }

    fn file(&self, path: &str) -> String {
        fs::read_to_string(self.dir.path().join(".waybill").join(path)).expect("a file")
    }

    /// Whether the settings name the channel's servers, and the stream's.
    fn sources(&self) -> (bool, bool) {
        let settings = self.file("waybill.toml");
        let has = |name| settings.contains(&format!("nats://127.0.0.1:{}\"", self.port(name)));
        assert_eq!(has("broker"), !settings.contains("enabled = false"), "{settings}");
        (has("broker"), has("jetstream"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.testbed(&["clean-data"]);
    }
}

#[tokio::test]
async fn each_source_has_its_server_and_one_that_is_not_read_is_stopped() {
    let place = Place::new();
    let printed = place.up(&["--source", "jetstream"]);
    let port = place.port("jetstream");
    assert!(printed.contains(&format!("jetstream: up on 127.0.0.1:{port}\n")), "{printed}");
    assert_eq!((place.sources(), place.listens("broker")), ((false, true), false));
    assert!(place.dir.path().join(".waybill/jetstream/jetstream").is_dir(), "its store");
    assert!(place.file("jetstream.conf").contains("sync_interval: always"));
    assert!(place.file("log/jetstream.log").contains("Server is ready"));
    assert_eq!(place.file("published").lines().count(), 2, "the samples are published");
    let status = place.testbed(&["status"]);
    assert!(status.contains("broker: down\njetstream: up, process "), "{status}");
    assert!(place.up(&["--source", "jetstream"]).contains("jetstream: already up\n"));

    let printed = place.up(&["--source", "both"]);
    assert!(printed.contains("jetstream: already up\n"), "{printed}");
    assert!(printed.contains("waybill: stopped, to start anew"), "{printed}");
    assert_eq!((place.sources(), place.listens("broker")), ((true, true), true));

    let printed = place.up(&[]);
    assert!(printed.contains("jetstream: stopped, for nothing is read from it"), "{printed}");
    assert_eq!((place.sources(), place.listens("jetstream")), ((true, false), false));

    place.up(&["--source", "both"]);
    let down = place.testbed(&["down"]);
    assert!(down.contains("jetstream: stopped\nbroker: stopped\n"), "{down}");
    assert!(!place.listens("jetstream") && !place.listens("broker"));
}

//! `testbed observe`, which `make observe` runs: with a real Prometheus, and with a stand-in for
//! Grafana, of which no distribution has a package.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use testbed::{Port, eventually, http};

use crate::SOON;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Answers at its port as Grafana does when it is ready.
const GRAFANA: &str = r#"#!/usr/bin/env python3
import http.server, os
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()
port = int(os.environ["GF_SERVER_HTTP_PORT"])
http.server.HTTPServer((os.environ["GF_SERVER_HTTP_ADDR"], port), Health).serve_forever()
"#;

/// A working directory with the alerts and the dashboards, in which `testbed` runs. What it
/// started is stopped when this is dropped.
struct Place {
    dir: TempDir,
    path: String,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("waybill-observe-").tempdir().expect("a folder");
        for name in ["alerts", "dashboards"] {
            symlink(Path::new(REPOSITORY).join(name), dir.path().join(name)).expect("a link");
        }
        let bin = dir.path().join("bin");
        fs::create_dir(&bin).expect("a folder");
        let grafana = bin.join("grafana-server");
        fs::write(&grafana, GRAFANA).expect("a file");
        fs::set_permissions(&grafana, fs::Permissions::from_mode(0o755)).expect("its mode");
        let tools = PathBuf::from(REPOSITORY).join(".tools/bin");
        let path = std::env::var("PATH").expect("a PATH");
        let path = format!("{}:{path}:{}", bin.display(), tools.display());
        Self { dir, path }
    }

    /// What the command printed.
    fn testbed(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_testbed"));
        let command = command.args(arguments).current_dir(self.dir.path()).env("PATH", &self.path);
        let ran = command.output().expect("testbed runs");
        let printed = String::from_utf8(ran.stdout).expect("UTF-8");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.success(), "{arguments:?}: {printed}{said}");
        printed + &said
    }

    fn file(&self, path: &str) -> String {
        fs::read_to_string(self.dir.path().join(".waybill").join(path)).expect("a file")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.testbed(&["down"]);
    }
}

#[tokio::test]
async fn prometheus_and_grafana_run_beside_the_service_until_all_is_stopped() {
    let place = Place::new();
    let ports = [(); 3].map(|()| Port::lease().unwrap());
    let [admin, prometheus, grafana] = [0, 1, 2].map(|at: usize| ports[at].number());
    let [a, p, g] = [admin, prometheus, grafana].map(|port| port.to_string());
    let observe = ["observe", "--admin-port", &a, "--prometheus-port", &p, "--grafana-port", &g];
    let printed = place.testbed(&observe);
    for address in [
        format!("Prometheus: http://127.0.0.1:{prometheus}/alerts"),
        format!("Grafana: http://127.0.0.1:{grafana}/dashboards"),
    ] {
        assert!(printed.contains(&address), "{printed}");
    }

    let (status, rules) = http::get(prometheus, "/api/v1/rules").await.unwrap();
    assert_eq!(status, 200);
    for rule in ["WaybillNotServing", "WaybillLookupErrorBudgetBurn"] {
        assert!(rules.contains(rule), "{rules}");
    }
    eventually("the service's address is a target", SOON, async || {
        let (_, targets) = http::get(prometheus, "/api/v1/targets").await.ok()?;
        targets.contains(&format!("http://127.0.0.1:{admin}/metrics")).then_some(())
    })
    .await;
    let source = place.file("grafana/provisioning/datasources/waybill.yaml");
    assert!(source.contains(&format!("http://127.0.0.1:{prometheus}")), "{source}");
    let provider = place.file("grafana/provisioning/dashboards/waybill.yaml");
    let dashboards = place.dir.path().canonicalize().unwrap().join("dashboards");
    assert!(provider.contains(dashboards.to_str().unwrap()), "{provider}");

    let up = place.testbed(&["status"]);
    place.testbed(&observe);
    assert_eq!(place.testbed(&["status"]), up, "nothing that runs as wanted is started anew");
    let down = place.testbed(&["down"]);
    for stopped in ["prometheus: stopped", "grafana: stopped"] {
        assert!(down.contains(stopped), "{down}");
    }
    assert!(http::get(prometheus, "/-/ready").await.is_err());
    assert!(http::get(grafana, "/api/health").await.is_err());
}

//! The scripts for clusters, with programs in the place of kubectl, helm, docker and kind that note
//! how they were called and answer what those would.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// Programs that only note how they were called.
struct Noted {
    dir: TempDir,
}

/// How a script ended, and what it called.
struct Ran {
    code: i32,
    said: String,
    calls: Vec<String>,
}

impl Noted {
    /// Each program is a name and what it does after its call was noted, in the shell's words.
    fn new(programs: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, answers) in programs {
            let path = dir.path().join(name);
            let text = format!("#!/bin/sh\necho \"{name} $*\" >>\"$CALLS\"\n{answers}\n");
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        }
        Self { dir }
    }

    fn run(&self, script: &str, arguments: &[&str]) -> Ran {
        let calls = self.dir.path().join("calls");
        fs::write(&calls, "").expect("written");
        let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
            .args(arguments)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.dir.path().display()))
            .env("CALLS", &calls)
            .env("ORDERS", "1")
            // What is not one of our programs must not find a cluster.
            .env("KUBECONFIG", "/dev/null")
            .output()
            .expect("the script runs");
        let said = [output.stdout, output.stderr].concat();
        let calls = fs::read_to_string(calls).expect("noted");
        Ran {
            code: output.status.code().expect("an exit code"),
            said: String::from_utf8(said).expect("UTF-8"),
            calls: calls.lines().map(str::to_owned).collect(),
        }
    }
}

/// Answers for every step: two nodes, on which the pods are until they are evicted once.
const CLUSTER: &str = r#"
case $* in
*get\ namespace*) ;;
*get\ nodes\ --no-headers*) printf 'one\ntwo\n' ;;
*get\ nodes*) echo one two ;;
*spec.nodeName=*) if test -e "$CALLS.evicted"; then rm "$CALLS.evicted"; else echo pod-a pod-b; fi ;;
*eviction*) touch "$CALLS.evicted" ;;
*status.conditions*component=server* | *component=server*status.conditions*) echo True True ;;
*component=*status.conditions*) echo True ;;
*{range*) ;;
*nodeName*) echo one ;;
*initContainerStatuses*) echo 2026-01-01T00:00:00Z ;;
*get\ pods*) echo pod-a pod-b ;;
*get\ job*) echo Complete ;;
*readyReplicas*) echo 1 ;;
*psql*) echo 99999 ;;
*port-forward*) echo 'Forwarding from 127.0.0.1:1 -> 8081' ;;
*\ -f\ -*) cat >/dev/null ;;
esac
"#;

/// Takes what comes through a pipe.
const READS: &str = "case $* in *' -f -') cat >/dev/null ;; esac";

/// Whether a call reads, or changes what is in the namespace, or the namespace itself, or a label of
/// nodes that nobody else asks for.
fn keeps_to(namespace: &str, call: &str) -> bool {
    let Some(arguments) = call.strip_prefix("kubectl ") else {
        return call.contains(&format!(" -n {namespace} ")) || call.starts_with("curl ");
    };
    [
        format!("-n {namespace} "),
        format!("create namespace {namespace}"),
        format!("label namespace {namespace} "),
        format!("delete namespace {namespace} "),
        format!("create --raw /api/v1/namespaces/{namespace}/pods/"),
        "get ".to_owned(),
        "version".to_owned(),
    ]
    .iter()
    .any(|start| arguments.starts_with(start))
        || arguments.starts_with("label node")
            && arguments.contains(&format!(" cluster-test/{namespace}"))
}

#[test]
fn a_cluster_test_changes_nothing_outside_its_namespace() {
    let noted = Noted::new(&[("kubectl", CLUSTER), ("helm", ""), ("curl", "exit 7")]);
    let ran = noted.run("scripts/cluster-test", &["waybill:0.1.0"]);
    let outside: Vec<_> = ran.calls.iter().filter(|call| !keeps_to("waybill-test", call)).collect();
    assert!(outside.is_empty(), "{outside:#?}");
    for happened in [
        "pods/pod-a/eviction",
        "delete namespace waybill-test",
        "nodes --all cluster-test/waybill-test-",
    ] {
        assert!(ran.calls.iter().any(|call| call.contains(happened)), "{happened}: {}", ran.said);
    }
    // The lookups are over at once here, so that no step can have been looked at.
    assert_eq!(ran.code, 1, "{}", ran.said);
    assert!(ran.said.contains("the lookups were over before this was"), "{}", ran.said);
    // Its image is not on the nodes.
    assert!(ran.said.contains("SKIPPED: what Prometheus sees"), "{}", ran.said);
}

#[test]
fn a_cluster_test_leaves_a_namespace_alone_that_it_did_not_make() {
    let noted = Noted::new(&[("kubectl", "echo Active"), ("helm", ""), ("curl", "")]);
    let ran = noted.run("scripts/cluster-test", &["waybill:0.1.0"]);
    assert_eq!(ran.code, 2, "{}", ran.said);
    assert!(ran.said.contains("the namespace waybill-test is there already"), "{}", ran.said);
    let changes = |call: &&String| !call.starts_with("kubectl get ");
    assert_eq!(ran.calls.iter().find(changes), None);
}

#[test]
fn kind_runs_the_code_of_now_and_waits_for_all_that_it_starts() {
    let image = |id: &str| {
        let docker = format!("case $* in *inspect*) echo sha256:{id} ;; esac");
        let programs =
            [("docker", &*docker), ("kind", "echo waybill"), ("kubectl", READS), ("helm", "")];
        let ran = Noted::new(&programs).run("k8s/kind.sh", &["up"]);
        assert_eq!(ran.code, 0, "{}", ran.said);
        let position = |call: &str| {
            ran.calls
                .iter()
                .position(|made| made.contains(call))
                .unwrap_or_else(|| panic!("{call}: {:#?}", ran.calls))
        };
        let upgrade = position("helm --kube-context kind-waybill upgrade");
        for deployment in ["prometheus", "grafana"] {
            position(&format!("rollout status deployment/{deployment}"));
        }
        let (_, tag) = ran.calls[upgrade].split_once("image.tag=").expect("a tag");
        let tag = tag.split(' ').next().expect("a tag").to_owned();
        assert!(
            position(&format!("kind load docker-image waybill:0.1.0 waybill:{tag} ")) < upgrade
        );
        tag
    };
    let (before, after) = (image("0123456789abcdef"), image("fedcba9876543210"));
    assert_ne!(before, after);
    assert_eq!(before, image("0123456789abcdef"), "without a change nothing is restarted");
}

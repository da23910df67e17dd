//! What others make of `openapi.json`: a validator, a tester of APIs, and a generator of clients.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use crate::service::{MODEL, Replica, World};

const DESCRIPTION: &str = "static/openapi.json";

/// How long each of them may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// A program of `.tools/python`, run in the repository.
fn python(program: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bin = root.join(".tools/python/bin");
    let path = bin.join(program);
    assert!(path.exists(), "there is no {program}: run scripts/install-tools --chart");
    let mut command = Command::new(path);
    // The generator formats by a program that is beside it.
    command
        .current_dir(root)
        .kill_on_drop(true)
        .env("PATH", bin)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Runs it to its end, which must be a good one; what it said.
async fn run(command: &mut Command) -> String {
    let output = timeout(PATIENCE, command.output()).await.expect("in time").expect("it runs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?} ended with {}:\n{said}", output.status);
    said
}

async fn with_the_model() -> (World, Replica) {
    let world = World::new().await;
    let replica = world.serve("described").await;
    world.publish_raw([Bytes::from_static(MODEL)]).await;
    world.until_drained().await;
    (world, replica)
}

#[tokio::test]
async fn the_description_is_valid_openapi() {
    run(python("openapi-spec-validator").args(["--schema", "3.1", DESCRIPTION])).await;
}

/// Requests as the description has them and as it forbids them, always the same ones: every answer
/// must be described.
#[tokio::test]
async fn schemathesis_finds_nothing() {
    let (world, replica) = with_the_model().await;
    let url = format!("http://{}/api/v1/openapi.json", replica.site);
    let said = run(python("schemathesis")
        .current_dir(world.path())
        .args(["run", &url, "--no-color", "--max-examples", "20", "--seed", "1"])
        .args(["--generation-database", "none"])
        // GET is allowed where many are looked up, for `lookup` is also an id.
        .args(["--exclude-checks", "allow_header_conformance"]))
    .await;
    assert!(said.contains("Tested: 4") && said.contains("No issues found"), "{said}");
}

/// Makes a client; the folder that it is in.
async fn generated() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let output = dir.path().join("waybill_client");
    let said = run(python("openapi-python-client")
        .args(["generate", "--path", DESCRIPTION, "--meta", "none", "--fail-on-warning"])
        .arg("--output-path")
        .arg(&output))
    .await;
    assert!(!said.contains("WARNING"), "{said}");
    (dir, output)
}

/// The client is made anew each time: kept here it would be 2,300 lines that nobody reads.
#[tokio::test]
async fn a_generated_client_gets_what_is_described() {
    let ((_world, replica), (dir, _)) = tokio::join!(with_the_model(), generated());
    let url = format!("http://{}", replica.site);
    let said =
        run(python("python").arg("tests/clients/use_generated.py").arg(dir.path()).arg(url)).await;
    assert_eq!(said, "5 requests answered as described\n");
}

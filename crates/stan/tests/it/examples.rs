//! The programs in `examples/`, against a real broker.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use testbed::Broker;

use crate::harness::{broker, eventually_lag_of};

/// Cargo builds them with the tests, unless it is asked for one kind of target alone.
fn program(name: &str, broker: &Broker) -> Command {
    let tests = std::env::current_exe().expect("the path of this program");
    let target: Option<PathBuf> = tests.ancestors().nth(2).map(Into::into);
    let program = target.expect("the folder of the profile").join("examples").join(name);
    assert!(
        program.exists(),
        "{} is not there: run `cargo build -p stan --examples`",
        program.display()
    );
    let mut command = Command::new(program);
    command.args(["--url", &broker.url(), "--cluster", testbed::broker::CLUSTER_ID]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn publish(broker: &Broker, lines: &str) {
    let mut publisher = program("publish", broker).arg("orders").spawn().expect("started");
    let mut stdin = publisher.stdin.take().expect("a pipe");
    stdin.write_all(lines.as_bytes()).expect("taken");
    drop(stdin);
    let output = publisher.wait_with_output().expect("ended");
    assert!(output.status.success(), "{output:?}");
    let count = lines.lines().count();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&format!("{count} messages are stored")), "{said}");
}

/// Waits in a thread of its own, for the program's lines come when they come.
async fn lines(subscriber: &mut Child, count: usize) -> Vec<String> {
    let stdout = subscriber.stdout.take().expect("a pipe");
    let reading = tokio::task::spawn_blocking(move || {
        BufReader::new(stdout).lines().take(count).map(|line| line.expect("text")).collect()
    });
    let reading = tokio::time::timeout(crate::harness::PATIENCE, reading);
    reading.await.expect("in time").expect("no panic")
}

#[tokio::test]
async fn what_the_publish_example_sends_the_subscribe_example_prints_and_acknowledges() {
    let broker = broker().await;
    publish(&broker, "one\ntwo\nthree\n");
    let mut subscriber = program("subscribe", &broker).arg("orders").spawn().expect("started");
    assert_eq!(lines(&mut subscriber, 3).await, ["1 one", "2 two", "3 three"]);
    let interrupted = Command::new("kill").args(["-INT", &subscriber.id().to_string()]).status();
    assert!(interrupted.expect("the kill program").success());
    let ended = tokio::task::spawn_blocking(move || subscriber.wait()).await.expect("no panic");
    assert!(ended.expect("ended").success());
    eventually_lag_of(&broker, "printers:printers", "all is acked, nobody is left", (0, 0, 0))
        .await;
    assert!(broker.clients().await.expect("clients").is_empty());
}

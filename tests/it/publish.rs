//! `waybill publish` against brokers that are away or elect a leader, and with odd input.

mod to_stream;

use std::collections::HashSet;
use std::fs;
use std::process::{Command, Stdio};

use testbed::broker::GUEST_CLUSTER_ID;
use testbed::{Broker, BrokerOptions, Process, eventually};

use crate::service::{PATIENCE, World};

/// `waybill publish` in the background, against this cluster id.
fn start(world: &World, cluster_id: &str, arguments: &[&str]) -> Process {
    start_with(world, ("WAYBILL_BROKER__CLUSTER_ID", cluster_id), arguments)
}

/// `waybill publish` in the background, with one more setting.
fn start_with(world: &World, (name, value): (&str, &str), arguments: &[&str]) -> Process {
    let arguments = [&["publish"], arguments].concat();
    let mut command = world.command(&arguments);
    command.env(name, value);
    Process::spawn("publish", &command, &world.path().join("publish.log")).expect("it starts")
}

/// Waits for the end: the exit code and what it said.
async fn end(publish: &mut Process) -> (Option<i32>, String) {
    let status =
        eventually("publish ends", PATIENCE * 2, async || publish.status().expect("a status"))
            .await;
    (status.code(), publish.log())
}

/// The SHA-256 of each line of the receipt.
fn receipt(world: &World) -> Vec<String> {
    let text = fs::read_to_string(world.path().join("receipt")).expect("a receipt");
    let sha256 = |line: &str| -> String {
        let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        line["sha256"].as_str().expect("a sum").to_owned()
    };
    text.lines().map(sha256).collect()
}

/// How many messages the publisher says may be there twice.
fn doubtful(log: &str) -> u64 {
    let line = log.lines().find(|line| line.contains("sent again without knowing"));
    let number = line.and_then(|line| line.split(' ').next()).unwrap_or("0");
    number.replace(',', "").parse().expect("a number")
}

async fn leader(members: &[Broker]) -> usize {
    eventually("one leads", PATIENCE, async || members.iter().position(Broker::leads)).await
}

async fn messages(broker: &Broker) -> u64 {
    broker.channel("orders").await.map_or(0, |channel| channel.last_seq)
}

#[tokio::test]
async fn everything_is_confirmed_though_the_leader_of_the_cluster_is_killed() {
    let world = World::new().await;
    let members = Broker::start_cluster_on(&world.broker, BrokerOptions::default()).await;
    let mut members = members.expect("a cluster");
    let first = leader(&members).await;
    let arguments = ["--generate", "6000", "--rate", "1500", "--receipt", "receipt"];
    let mut publish = start(&world, GUEST_CLUSTER_ID, &arguments);
    eventually("some are stored", PATIENCE, async || {
        (messages(&members[first]).await >= 1_000).then_some(())
    })
    .await;
    members.remove(first).kill().expect("killed");

    let (code, log) = end(&mut publish).await;
    assert!(log.contains("6,000 confirmed, 0 failed"), "{log}");
    assert_eq!(code, Some(0), "{log}");
    let sums: HashSet<String> = receipt(&world).into_iter().collect();
    assert_eq!(sums.len(), 6_000, "each has its line");
    let stored = messages(&members[leader(&members).await]).await;
    assert!((6_000..=6_000 + doubtful(&log)).contains(&stored), "{stored} stored; {log}");
}

#[tokio::test]
async fn a_broker_that_forgot_the_publisher_takes_the_rest() {
    let world = World::new().await;
    let forgetful = BrokerOptions { keeps_messages: false, ..BrokerOptions::default() };
    let mut guest = Broker::start_on(&world.broker, forgetful).await.expect("a broker");
    let arguments = ["--generate", "3000", "--rate", "1500", "--receipt", "receipt"];
    let mut publish = start(&world, GUEST_CLUSTER_ID, &arguments);
    eventually("some are stored", PATIENCE, async || (messages(&guest).await >= 500).then_some(()))
        .await;
    guest.kill().expect("killed");
    eventually("publish tells", PATIENCE, async || {
        publish.log().contains("retrying for 1m").then_some(())
    })
    .await;
    guest.start_again().await.expect("it is back");
    let (code, log) = end(&mut publish).await;
    assert!(log.contains("3,000 confirmed, 0 failed"), "{log}");
    assert_eq!((code, receipt(&world).len()), (Some(0), 3_000), "{log}");
}

#[tokio::test]
async fn what_is_given_up_is_named_and_a_failure() {
    let world = World::new().await;
    let mut guest =
        Broker::start_on(&world.broker, BrokerOptions::default()).await.expect("a broker");
    let arguments =
        ["--generate", "100000", "--rate", "500", "--receipt", "receipt", "--retry-for", "1s"];
    let mut publish = start(&world, GUEST_CLUSTER_ID, &arguments);
    eventually("some are stored", PATIENCE, async || (messages(&guest).await >= 100).then_some(()))
        .await;
    guest.kill().expect("killed");
    let (code, log) = end(&mut publish).await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("given up after 1s"), "{log}");
    assert!(log.contains("what comes after was not sent"), "{log}");
    let lines = receipt(&world).len().to_string();
    assert!(log.contains(&format!("{lines} confirmed, ")), "{lines} lines; {log}");
}

#[tokio::test]
async fn it_waits_for_a_broker_that_is_not_there_yet_but_not_for_ever() {
    let world = World::new().await;
    let mut publish = start(&world, GUEST_CLUSTER_ID, &["--generate", "10"]);
    eventually("publish tells", PATIENCE, async || {
        publish.log().contains("retrying for 1m").then_some(())
    })
    .await;
    let _guest = Broker::start_on(&world.broker, BrokerOptions::default()).await.expect("a broker");
    let (code, log) = end(&mut publish).await;
    assert_eq!(code, Some(0), "{log}");

    let mut publish = start(&world, "nobody", &["--generate", "10", "--retry-for", "0s"]);
    let (code, log) = end(&mut publish).await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("no streaming server answers the connect request"), "{log}");
}

/// Runs `publish` in a shell, so that its standard input may be anything.
fn shell(world: &World, script: &str) -> (Option<i32>, String) {
    let waybill = world.command(&[]);
    let mut command = Command::new("sh");
    let script = format!("publish() {{ \"$WAYBILL\" publish \"$@\"; }}; {script}");
    command.args(["-c", &script]).current_dir(world.path()).stdin(Stdio::null());
    command.env("WAYBILL", env!("CARGO_BIN_EXE_waybill"));
    command.envs(waybill.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().expect("a shell");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).expect("UTF-8"))
}

#[tokio::test]
async fn input_without_a_message_is_an_error_and_nothing_is_published() {
    let world = World::new().await;
    let path = |name: &str| world.path().join(name);
    for folder in ["none", "dead"] {
        fs::create_dir(path(folder)).expect("a folder");
    }
    fs::write(path("none/readme.txt"), "text").expect("a file");
    fs::write(path("empty.json"), "").expect("a file");
    fs::write(path("blank.ndjson"), "\n \n").expect("a file");
    std::os::unix::fs::symlink("nowhere", path("dead/x.json")).expect("a link");
    for (script, said) in [
        ("publish - <&-", "failed: standard input: it is empty"),
        ("publish - </dev/null", "failed: standard input: it is empty"),
        ("publish --ndjson - <&-", "failed: standard input: there is no message in it"),
        ("publish - <.", "failed: standard input: Is a directory"),
        ("publish empty.json", "failed: empty.json: it is empty"),
        ("publish blank.ndjson", "failed: blank.ndjson: there is no message in it"),
        ("publish none", "error: no .json, .ndjson or .jsonl files in none"),
        ("publish dead", "error: cannot read dead/x.json: No such file"),
        ("publish /dev/null", "failed: /dev/null: it is empty"),
        ("mkfifo fifo; : >fifo & publish fifo", "failed: fifo: it is empty"),
    ] {
        let (code, text) = shell(&world, script);
        assert_eq!(code, Some(1), "{script}: {text}");
        assert!(text.contains(said), "{script}: {text}");
    }
    assert_eq!(messages(&world.broker).await, 0);
}

#[tokio::test]
async fn of_a_folder_the_files_in_upper_case_are_sent_and_what_is_left_out_is_told() {
    let world = World::new().await;
    let folder = world.path().join("in");
    fs::create_dir(&folder).expect("a folder");
    for (name, text) in
        [("A.JSON", "1"), ("b.Ndjson", "2\n3\n"), ("c.json", "4"), ("d.txt", "no"), ("e", "no")]
    {
        fs::write(folder.join(name), text).expect("a file");
    }
    let (code, printed, said) = world.run(&["publish", "in"]).await;
    assert_eq!(code, 0, "{said}");
    assert!(printed.starts_with("4 confirmed, 0 failed"), "{printed}");
    let told = "not sent of in, for not being .json, .ndjson or .jsonl files: 2 (d.txt, e)";
    assert!(said.contains(told), "{said}");
    assert_eq!(messages(&world.broker).await, 4);
}

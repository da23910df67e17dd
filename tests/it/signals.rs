//! SIGTERM, SIGINT and SIGHUP end every command, also as the first process of a container.

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, getuid, kill_process};
use testbed::{Process, Signal, eventually};

use crate::service::{PATIENCE, World};

/// The signals, their bits in a mask of the kernel's, and the exit codes they lead to.
const SIGNALS: [(Signal, u64, i32); 3] =
    [(Signal::HUP, 1, 129), (Signal::INT, 1 << 1, 130), (Signal::TERM, 1 << 14, 143)];

/// A set of signals that the kernel tells of a process.
fn mask(pid: Pid, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix(name))?;
    u64::from_str_radix(mask.trim_start_matches(':').trim(), 16).ok()
}

/// Waits until the process has handlers for SIGTERM and `others`.
async fn until_it_listens(pid: Pid, others: u64) {
    eventually("it listens for signals", PATIENCE, async || {
        let wanted = others | SIGNALS[2].1;
        (mask(pid, "SigCgt")? & wanted == wanted).then_some(())
    })
    .await;
}

/// Starts the command as the first process of its own PID namespace, for which the kernel drops
/// signals that have no handler. Root may make one, others in a user namespace of their own.
async fn start_as_pid_1(world: &World, arguments: &[&str], log: &str) -> (Process, Pid) {
    let waybill = world.command(arguments);
    let mut command = Command::new("unshare");
    if !getuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--pid", "--fork", "--mount-proc"]);
    command.arg(waybill.get_program()).args(waybill.get_args()).current_dir(world.path());
    command.envs(waybill.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut unshare = Process::spawn("unshare", &command, &world.path().join(log)).expect("starts");
    let children = format!("/proc/{0}/task/{0}/children", unshare.id());
    let pid = eventually("a namespace is made (which needs rights)", PATIENCE, async || {
        assert!(unshare.status().expect("a status").is_none(), "{}", unshare.log());
        let child = fs::read_to_string(&children).ok()?.trim().parse().ok()?;
        // It is a copy of unshare until it becomes the command.
        let name = fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
        (name.trim() == "waybill").then(|| Pid::from_raw(child))?
    })
    .await;
    (unshare, pid)
}

/// Waits for the end and answers with the exit code.
async fn end(process: &mut Process) -> Option<i32> {
    let status =
        eventually("it ends", PATIENCE, async || process.status().expect("a status")).await;
    status.code()
}

#[tokio::test]
async fn every_command_ends_as_the_first_process_of_a_container() {
    let world = World::new().await;
    // Takes connections and says nothing: every command stands in a wait.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address");
    let admin = format!("admin.listen={address}");
    let database = format!("database.url=postgres://x@{address}/x");
    let owner = format!("database.migrate_url=postgres://x@{address}/x");
    let patient = "database.connect_timeout=1m";
    let broker = format!("broker.url=nats://{address}");
    let stream = format!("jetstream.url=nats://{address}");
    let url = format!("http://{address}");
    fs::write(world.path().join("receipt"), "{\"uid\":\"x\",\"sha256\":\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\",\"expected\":\"stored\"}\n")
        .expect("a receipt");
    let made = Command::new("mkfifo").arg(world.path().join("fifo")).status().expect("mkfifo");
    assert!(made.success());
    let all: [&[&str]; 13] = [
        &["publish", "--generate", "1", "--set", &broker],
        &["publish", "fifo"],
        &["reconcile", "--set", &broker],
        &["bridge", "--once", "--set", &broker, "--set", &stream],
        &["verify", "--receipt", "receipt", "--url", &url],
        &["healthcheck", "--set", &admin],
        &["migrate", "--set", &owner],
        &["rejects", "list"],
        &["rejects", "show", "1"],
        &["rejects", "export", "--output", "export"],
        &["rejects", "replay"],
        &["rejects", "prune", "--all", "--yes"],
        &["config", "check", "--config", "fifo"],
    ];
    for (number, command) in all.iter().enumerate() {
        for (signal, _, code) in SIGNALS {
            let mut arguments = command.to_vec();
            arguments.extend(["--set", &database, "--set", patient]);
            let _ = fs::remove_file(world.path().join("export"));
            let log = format!("{number}-{code}.log");
            let (mut process, pid) = start_as_pid_1(&world, &arguments, &log).await;
            until_it_listens(pid, SIGNALS[0].1 | SIGNALS[1].1).await;
            kill_process(pid, signal).expect("signalled");
            let ended = end(&mut process).await;
            assert_eq!(ended, Some(code), "{command:?} {signal:?}: {}", process.log());
        }
    }
}

#[tokio::test]
async fn a_publisher_that_is_interrupted_has_told_all_that_is_confirmed() {
    let world = World::new().await;
    let mut stored = 0;
    for (signal, _, code) in SIGNALS {
        let log = format!("{code}.log");
        let arguments = ["publish", "--generate", "1000000", "--rate", "200", "--receipt", "r"];
        let (mut publish, pid) = start_as_pid_1(&world, &arguments, &log).await;
        eventually("some are stored", PATIENCE, async || {
            (world.broker.channel("orders").await.ok()?.last_seq >= stored + 50).then_some(())
        })
        .await;
        kill_process(pid, signal).expect("signalled");
        assert_eq!(end(&mut publish).await, Some(code), "{}", publish.log());
        let log = publish.log();
        assert!(log.contains(&format!("stopped: interrupted by SIG{}", name(code))), "{log}");
        let now = world.broker.channel("orders").await.expect("the channel").last_seq;
        let lines = fs::read_to_string(world.path().join("r")).expect("a receipt");
        assert_eq!(lines.lines().count() as u64, now - stored, "every stored one has its line");
        assert!(log.contains(&format!("{} confirmed, 0 failed", now - stored)), "{log}");
        stored = now;
    }
}

fn name(code: i32) -> &'static str {
    match code {
        129 => "HUP",
        130 => "INT",
        _ => "TERM",
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let world = World::new().await;
    let command = world.command(&["publish", "--generate", "1000000", "--rate", "200"]);
    let log = world.path().join("log");
    let mut publish = Process::spawn("publish", &command, &log).expect("it starts");
    eventually("some are stored", PATIENCE, async || {
        (world.broker.channel("orders").await.ok()?.last_seq > 50).then_some(())
    })
    .await;
    let broker = Pid::from_raw(i32::try_from(world.broker.id()).expect("small")).expect("a pid");
    kill_process(broker, Signal::STOP).expect("signalled");
    let began = Instant::now();
    let status = eventually("it ends", PATIENCE, async || {
        publish.signal(Signal::TERM).expect("signalled");
        publish.status().expect("a status")
    })
    .await;
    kill_process(broker, Signal::CONT).expect("signalled");
    assert_eq!(status.code(), Some(143));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test]
async fn hanging_up_is_ignored_when_nohup_asks_for_it() {
    let world = World::new().await;
    let waybill = world.command(&["publish", "--generate", "1000000", "--rate", "200"]);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(waybill.get_program());
    command.args(waybill.get_args()).current_dir(world.path());
    command.envs(waybill.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut publish =
        Process::spawn("publish", &command, &world.path().join("log")).expect("it starts");
    let pid = Pid::from_raw(i32::try_from(publish.id()).expect("small")).expect("a pid");
    until_it_listens(pid, 0).await;
    assert_eq!(mask(pid, "SigCgt").expect("a mask") & SIGNALS[0].1, 0);
    publish.signal(Signal::HUP).expect("signalled");
    assert_eq!(publish.stop(Signal::TERM, PATIENCE).await.expect("it ends").code(), Some(143));
}

#[tokio::test]
async fn the_service_stops_in_order_when_its_terminal_is_closed() {
    let world = World::new().await;
    for signal in [Signal::HUP, Signal::INT] {
        let mut replica = world.serve("replica").await;
        let status = replica.process.stop(signal, PATIENCE).await.expect("it ends");
        assert_eq!(status.code(), Some(0), "{}", replica.process.log());
    }
}

//! The servers, started and hurt for real.

mod nats;
mod observe;
mod power;
mod up;

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use testbed::{Broker, BrokerOptions, Postgres, eventually};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn postgres_keeps_its_data_through_a_stop_and_a_kill() {
    let mut postgres = Postgres::start().await.unwrap();
    let port = postgres.port();
    let database = postgres.database().await.unwrap();
    let (url, owner) = (database.url, database.owner_url);
    let create = "create table orders (uid text); insert into orders values ('a'), ('b')";
    postgres.psql(&owner, create).await.unwrap();

    postgres.stop().await.unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(postgres.psql(&url, "select 1").await.is_err());
    postgres.start_again().await.unwrap();
    assert_eq!(postgres.psql(&owner, "select uid from orders").await.unwrap(), "a\nb");

    postgres.kill().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    postgres.start_again().await.unwrap();
    assert_eq!(postgres.port(), port);
    assert_eq!(postgres.psql(&owner, "select uid from orders").await.unwrap(), "a\nb");
    assert!(postgres.log().contains("automatic recovery in progress"), "it was no crash");
}

#[tokio::test]
async fn the_runtime_role_may_only_what_it_is_granted() {
    let postgres = Postgres::shared().await.unwrap();
    let database = postgres.database().await.unwrap();
    let other = postgres.database().await.unwrap();
    assert_ne!(database.name, other.name);

    let grant = format!(
        "create table orders (uid text); grant select on orders to {}",
        database.runtime_role
    );
    postgres.psql(&database.owner_url, &grant).await.unwrap();
    assert_eq!(postgres.psql(&database.url, "select count(*) from orders").await.unwrap(), "0");
    for refused in ["insert into orders values ('a')", "create table mine (a int)"] {
        let error = postgres.psql(&database.url, refused).await.unwrap_err().to_string();
        assert!(error.contains("permission denied"), "{error}");
    }
    let elsewhere = database.url.replace(&database.name, &other.name);
    assert!(postgres.psql(&elsewhere, "select 1").await.is_err(), "another's database");
}

#[tokio::test]
async fn a_standby_follows_holds_a_synchronous_commit_and_is_promoted() {
    let mut primary = Postgres::start().await.unwrap();
    let database = primary.database().await.unwrap();
    let mut standby = primary.standby().await.unwrap();
    let there = database.on(&standby);
    primary.set_synchronous(Some(&standby)).await.unwrap();

    primary.psql(&database.owner_url, "create table orders (uid text)").await.unwrap();
    eventually("the table on the standby", SOON, async || {
        standby.psql(&there.owner_url, "table orders").await.ok()
    })
    .await;
    let refused = standby.psql(&there.owner_url, "insert into orders values ('a')").await;
    assert!(refused.unwrap_err().to_string().contains("read-only transaction"));

    standby.stop().await.unwrap();
    let insert = "insert into orders values ('held')";
    let url = database.owner_url.clone();
    let held = async { primary.psql(&url, insert).await.unwrap() };
    let release = async {
        let waits = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
        eventually("a commit that waits", SOON, async || {
            (primary.psql(&primary.superuser_url(), waits).await.unwrap() == "1").then_some(())
        })
        .await;
        standby.start_again().await.unwrap();
    };
    tokio::join!(held, release);

    primary.kill().unwrap();
    standby.promote().await.unwrap();
    standby.psql(&there.owner_url, "insert into orders values ('new')").await.unwrap();
    let orders = standby.psql(&there.owner_url, "table orders order by uid").await.unwrap();
    assert_eq!(orders, "held\nnew");
}

#[tokio::test]
async fn settings_are_laid_over_those_for_temporary_data() {
    let postgres =
        Postgres::start_with(&[("fsync", "on"), ("max_connections", "7")]).await.unwrap();
    let show = "show fsync; show max_connections; show synchronous_commit; show server_encoding";
    let shown = postgres.psql(&postgres.superuser_url(), show).await.unwrap();
    assert_eq!(shown, "on\n7\non\nUTF8");
}

#[tokio::test]
async fn the_broker_keeps_its_ports_and_store_until_it_is_wiped() {
    let mut broker = Broker::start(BrokerOptions::default()).await.unwrap();
    let url = broker.url();
    assert_eq!(broker.channel("orders").await.unwrap().last_seq, 0);
    assert!(broker.clients().await.unwrap().is_empty());
    assert!(broker.start_again().await.is_err(), "it still runs");

    broker.kill().unwrap();
    assert!(broker.channel("orders").await.is_err(), "it still answers");
    broker.start_again().await.unwrap();
    assert_eq!(broker.url(), url);
    assert!(broker.log().contains("Recovered 0 channel"), "it has no store: {}", broker.log());
    assert!(broker.wipe().is_err(), "it still runs");

    broker.stop().await.unwrap();
    broker.wipe().unwrap();
    broker.start_again().await.unwrap();
    assert!(!broker.log().contains("Recovered"), "the store is still there");
}

/// Runs itself a second time as the process that is killed.
#[tokio::test]
async fn nothing_is_left_of_a_test_process_that_is_killed() {
    const PIDS: &str = "WAYBILL_TESTBED_WRITES_PIDS_TO";
    if let Some(path) = std::env::var_os(PIDS) {
        let postgres = Postgres::shared().await.unwrap();
        let broker = Broker::start(BrokerOptions::default()).await.unwrap();
        let pids = format!("{} {}", postgres.id(), broker.id());
        std::fs::write(path, pids).unwrap();
        return std::future::pending().await;
    }

    let temp = tempfile::tempdir().unwrap();
    let everyone = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(temp.path(), everyone).unwrap();
    let report = tempfile::NamedTempFile::new().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "nothing_is_left_of_a_test_process_that_is_killed", "--nocapture"]);
    child.env(PIDS, report.path()).env("TMPDIR", temp.path());
    child.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = child.spawn().unwrap();
    let pids: Vec<u32> = eventually("both servers", SOON, async || {
        let report = std::fs::read_to_string(report.path()).unwrap();
        let pids: Vec<u32> = report.split(' ').filter_map(|pid| pid.parse().ok()).collect();
        (pids.len() == 2).then_some(pids)
    })
    .await;
    assert!(pids.iter().all(|pid| runs(*pid)));
    assert_ne!(temp.path().read_dir().unwrap().count(), 0);

    child.kill().unwrap();
    child.wait().unwrap();

    eventually("no server left", SOON, async || (!pids.iter().any(|pid| runs(*pid))).then_some(()))
        .await;
    eventually("no directory left", SOON, async || {
        (temp.path().read_dir().unwrap().count() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_dropped_server_leaves_no_process_and_no_directory() {
    let mut postgres = Postgres::start().await.unwrap();
    let pid = postgres.id();
    let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    let data = command.split('\0').find(|argument| argument.ends_with("/data")).unwrap().to_owned();
    assert!(Path::new(&data).exists());
    let segment = shared_memory(&data).unwrap();
    assert!(segments().contains(&segment));
    postgres.kill().unwrap();
    assert!(segments().contains(&segment), "a killed server cannot free it");
    drop(postgres);
    assert!(!runs(pid));
    assert!(!Path::new(&data).parent().unwrap().exists());
    assert!(!segments().contains(&segment), "the shared memory is left");
}

fn runs(pid: u32) -> bool {
    // A zombie has no command line.
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|command| !command.is_empty())
}

fn shared_memory(data: &str) -> Option<String> {
    let file = std::fs::read_to_string(Path::new(data).join("postmaster.pid")).ok()?;
    file.lines().nth(6)?.split_whitespace().nth(1).map(str::to_owned)
}

fn segments() -> Vec<String> {
    let table = std::fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let ids = table.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1));
    ids.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_guest_stops_and_starts_while_the_nats_server_of_its_host_stays() {
    let host = Broker::start(BrokerOptions::default()).await.unwrap();
    let mut guest = Broker::start_on(&host, BrokerOptions::default()).await.unwrap();
    assert_eq!(guest.url(), host.url());
    assert!(guest.log().contains(testbed::broker::GUEST_CLUSTER_ID));
    guest.stop().await.unwrap();
    assert!(guest.clients().await.is_err(), "its monitor went with it");
    TcpStream::connect(("127.0.0.1", host.port())).unwrap();
    guest.start_again().await.unwrap();
    assert!(guest.clients().await.unwrap().is_empty());
    guest.kill().unwrap();
    guest.start_again().await.unwrap();
    assert!(guest.clients().await.unwrap().is_empty());
}

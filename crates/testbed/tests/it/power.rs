//! Servers on a disk whose power is cut.

use testbed::{Postgres, PowerDisk, eventually};

use crate::SOON;

const CUTS: u64 = 4;

/// A server whose data is on a disk that loses what was not synced.
async fn on_a_power_disk(settings: &[(&str, &str)]) -> (Postgres, PowerDisk) {
    let mut postgres = Postgres::start_with(settings).await.expect("Postgres");
    postgres.stop().await.expect("stopped");
    let disk = PowerDisk::over(&postgres.data_directory()).expect("a disk");
    postgres.start_again().await.expect("started");
    let url = postgres.superuser_url();
    let create = "create table numbers (number int); checkpoint";
    postgres.psql(&url, create).await.expect("a table");
    (postgres, disk)
}

/// How many of some committed rows are there after each cut, or none when the server is not.
async fn after_a_cut(postgres: &mut Postgres, disk: &PowerDisk, seed: u64) -> Option<u64> {
    let url = postgres.superuser_url();
    let insert = "insert into numbers select generate_series(1, 10);".repeat(20);
    postgres.psql(&url, &insert).await.expect("committed");
    postgres.kill().expect("killed");
    assert_ne!(disk.cut(seed), testbed::Losses::default());
    postgres.start_again().await.ok()?;
    postgres.psql(&url, "select count(*) from numbers").await.ok()?.parse().ok()
}

#[tokio::test]
async fn what_postgres_has_committed_outlives_cuts_of_its_power() {
    let safe = [("fsync", "on"), ("full_page_writes", "on")];
    let (mut postgres, disk) = on_a_power_disk(&safe).await;
    for cut in 1..=CUTS {
        assert_eq!(after_a_cut(&mut postgres, &disk, cut).await, Some(200 * cut));
    }
}

#[tokio::test]
async fn without_fsync_it_does_not() {
    let (mut postgres, disk) = on_a_power_disk(&[]).await;
    assert_ne!(after_a_cut(&mut postgres, &disk, 1).await, Some(200));
}

/// Runs itself a second time as the process that is killed.
#[tokio::test]
async fn a_disk_whose_process_is_killed_is_unmounted() {
    const DIRECTORY: &str = "WAYBILL_TESTBED_WRITES_DIRECTORY_TO";
    if let Some(path) = std::env::var_os(DIRECTORY) {
        let (postgres, _disk) = on_a_power_disk(&[]).await;
        let data = postgres.data_directory();
        std::fs::write(path, data.to_str().unwrap()).unwrap();
        return std::future::pending().await;
    }
    let report = tempfile::NamedTempFile::new().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "power::a_disk_whose_process_is_killed_is_unmounted"]);
    child.env(DIRECTORY, report.path()).stdout(std::process::Stdio::null());
    let mut child = child.spawn().unwrap();
    let data = eventually("the directory", SOON, async || {
        Some(std::fs::read_to_string(report.path()).unwrap()).filter(|path| !path.is_empty())
    })
    .await;
    let is_mounted = || std::fs::read_to_string("/proc/mounts").unwrap().contains(&data);
    assert!(is_mounted());
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("no mount and no directory", SOON, async || {
        let is_there = is_mounted() || std::path::Path::new(&data).parent().unwrap().exists();
        (!is_there).then_some(())
    })
    .await;
}

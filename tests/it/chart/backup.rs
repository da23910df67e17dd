//! The script that dumps the database: what the service takes for a URL it takes too.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use testbed::Postgres;
use tokio::time::timeout;

use super::text;

/// A dump takes a second; the script tries for minutes when it cannot connect.
const PATIENCE: Duration = Duration::from_secs(30);

/// The programs that the script uses besides those of Postgres.
const APPLETS: [&str; 11] =
    ["awk", "date", "grep", "ls", "mv", "rm", "sh", "sort", "stat", "sync", "tail"];

/// The scripts as the pod has them, and a folder for the dumps.
fn unpack(dir: &Path) {
    let dumps = dir.join("dumps");
    std::fs::create_dir(&dumps).expect("a folder");
    let script = text("charts/waybill/files/backup.sh");
    let script = script.replace("/dumps", dumps.to_str().expect("UTF-8"));
    std::fs::write(dir.join("backup.sh"), script).expect("written");
    std::fs::write(dir.join("url.awk"), text("charts/waybill/files/url.awk")).expect("written");
    let busybox =
        ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|it| Path::new(it).is_file());
    let busybox = busybox.expect("busybox, which scripts/install-tools --chart installs");
    let applets = dir.join("busybox");
    std::fs::create_dir(&applets).expect("a folder");
    for applet in APPLETS.into_iter().chain(["tr"]) {
        symlink(busybox, applets.join(applet)).expect("a link");
    }
}

/// Makes a dump with this URL: what the script said if it failed.
async fn dump(dir: &Path, postgres: &Postgres, programs: &str, url: &str) -> Result<(), String> {
    let bin = postgres.bin().display();
    let mut command = tokio::process::Command::new("sh");
    command
        .arg(dir.join("backup.sh"))
        .env_clear()
        .env("PATH", format!("{bin}:{programs}:/usr/bin:/bin"))
        .env("DATABASE_URL", url)
        .env("KEEP", "1")
        .kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.map_err(|_| "no end".to_owned())?;
    let output = output.expect("the script runs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let made = output.status.success() && said.contains(".dump: ");
    if made { Ok(()) } else { Err(said) }
}

/// Whether the service takes this URL.
fn is_taken(url: &str) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waybill"));
    let command = command.args(["config", "check"]).env_clear().env("WAYBILL_DATABASE__URL", url);
    command.output().expect("it runs").status.success()
}

#[tokio::test]
async fn a_backup_is_made_with_every_url_that_the_service_takes() {
    let postgres = Postgres::shared().await.expect("the shared Postgres");
    let database = postgres.database().await.expect("a database");
    let (name, port) = (&database.name, postgres.port());
    let tables = format!(
        "create schema tenant; create table tenant.orders (uid text); \
         create role special superuser login password 'a@b/c?d#e%f&g'; \
         alter role {name}_owner set search_path = 'elsewhere'"
    );
    let there = database.owner_url.rsplit_once('@').expect("a login").1;
    let superuser = postgres.superuser_url();
    let superuser = superuser.rsplit_once('@').expect("a login").0;
    postgres.psql(&format!("{superuser}@{there}"), &tables).await.expect("tables");
    let dir = tempfile::tempdir().expect("a folder");
    unpack(dir.path());

    let special = "special:a%40b%2Fc%3Fd%23e%25f%26g";
    let path = "options[search_path]=tenant,%20pg_temp";
    let login = "user=special&password=a%40b/c?d%23e%25f%26g";
    for url in [
        format!("postgres://{special}@127.0.0.1:{port}/{name}?options=-c%20search_path%3Dtenant"),
        format!("postgresql://{special}@127.0.0.1:{port}/{name}?{path}"),
        format!(" postgres://{special}@127.0.0.1:{port}/{name}?{path}\r\n"),
        format!("postgres:///{name}?host=127.0.0.1&port={port}&{login}&{path}"),
        format!("postgres://{special}@127.0.0.1/{name}?port={port}&sslmode=prefer&ssl=&{path}"),
        // Newer than the libpq of Postgres 15, or of the service's driver alone.
        format!(
            "postgres://{special}@127.0.0.1:{port}/{name}?sslnegotiation=postgres&{path}\
             &min_protocol_version=3.0&statement-cache-capacity=10&connect_timeout=5"
        ),
    ] {
        assert!(is_taken(&url), "{url}");
        for programs in ["", dir.path().join("busybox").to_str().expect("UTF-8")] {
            let outcome = dump(dir.path(), postgres, programs, &url).await;
            assert_eq!(outcome, Ok(()), "{url} with {programs}");
        }
    }
}

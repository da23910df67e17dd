//! Finds the server programs, in the places where `scripts/install-tools` looks and installs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

const OLDEST_POSTGRES: u32 = 14;
const BROKER: &str = "nats-streaming-server";
const NATS: &str = "nats-server";
const NATS_VERSION: &str = "2.15.2";

/// The directory of `postgres`, `initdb`, `pg_basebackup` and `psql`, version 14 or later.
pub(crate) fn postgres_bin() -> Result<PathBuf> {
    on_path("postgres")
        // Debian's PATH has wrappers and links; the programs stand where the link leads.
        .filter_map(|program| Some(program.canonicalize().ok()?.parent()?.to_owned()))
        .chain(debian_postgres_bins())
        .chain(output(Command::new("pg_config").arg("--bindir")).map(PathBuf::from))
        .find(|bin| is_postgres(bin))
        .with_context(|| {
            format!(
                "no PostgreSQL server of version {OLDEST_POSTGRES} or later was found: \
                 run scripts/install-tools"
            )
        })
}

/// The `nats-streaming-server` program, version 0.25.
pub(crate) fn broker() -> Result<PathBuf> {
    on_path(BROKER)
        .chain(in_gopath(BROKER))
        .chain(in_tools(BROKER)?)
        .find(|program| {
            output(Command::new(program).arg("--version"))
                .is_some_and(|version| version.contains("version 0.25."))
        })
        .context("no nats-streaming-server of version 0.25 was found: run scripts/install-tools")
}

/// The `nats-server` program, of the version that JetStream is tested with.
pub(crate) fn nats() -> Result<PathBuf> {
    let version = format!("v{NATS_VERSION}");
    on_path(NATS)
        .chain(in_gopath(NATS))
        .chain(in_tools(NATS)?)
        .find(|program| {
            output(Command::new(program).arg("--version"))
                .is_some_and(|text| text.ends_with(&version))
        })
        .with_context(|| {
            format!("no nats-server {version} was found: run scripts/install-tools --jetstream")
        })
}

/// Path of the `nginx` program.
pub(crate) fn nginx() -> Result<PathBuf> {
    on_path("nginx")
        .chain(in_tools("nginx")?)
        .find(|program| program.is_file())
        .context("no nginx was found: run scripts/install-tools --chart")
}

/// The `prometheus` program.
pub(crate) fn prometheus() -> Result<PathBuf> {
    on_path("prometheus")
        .chain(in_tools("prometheus")?)
        .find(|program| program.is_file())
        .context("no Prometheus was found: run scripts/install-tools --observe")
}

/// The `vegeta` program, which sends requests at a rate.
pub fn vegeta() -> Result<PathBuf> {
    on_path("vegeta")
        .chain(in_tools("vegeta")?)
        .find(|program| program.is_file())
        .context("no vegeta was found: run scripts/install-tools --chart")
}

/// `chromedriver`, and a Chromium or Chrome of the same version, which alone it drives.
pub(crate) fn chromium() -> Result<(PathBuf, PathBuf)> {
    let version = |program: &Path| {
        output(Command::new(program).arg("--version")).and_then(|text| browser_version(&text))
    };
    let browsers: Vec<_> = ["chromium", "google-chrome"].into_iter().flat_map(on_path).collect();
    on_path("chromedriver")
        .find_map(|driver| {
            let driven = version(&driver)?;
            let browser = browsers.iter().find(|browser| version(browser) == Some(driven))?;
            Some((driver, browser.clone()))
        })
        .context(
            "no chromedriver with a Chromium of its version was found: \
             run scripts/install-tools --chart",
        )
}

/// From `Chromium 150.0.7871.100 built on Debian`, `Google Chrome 150.0…` or `ChromeDriver 150.0…`.
fn browser_version(text: &str) -> Option<u32> {
    let word =
        text.split(' ').find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    word.split('.').next()?.parse().ok()
}

/// The file `axe.min.js` of axe-core, which checks the accessibility of the page that it runs in.
pub fn axe_core() -> Result<PathBuf> {
    above(".tools/npm/node_modules/axe-core/axe.min.js")?
        .into_iter()
        .find(|file| file.is_file())
        .context("no axe-core was found: run scripts/install-tools --chart")
}

/// The library, of libfaketime the one for programs with threads, that gives them another time.
pub(crate) fn faketime() -> Result<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    folders
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.is_file())
        .context("no libfaketime was found: run scripts/install-tools --chaos")
}

/// The `grafana-server` program, if Grafana is installed; nothing here installs it.
pub(crate) fn grafana() -> Option<PathBuf> {
    on_path("grafana-server").next()
}

/// Where `go install` puts a program by default.
fn in_gopath(program: &str) -> Option<PathBuf> {
    let path = output(Command::new("go").args(["env", "GOPATH"]))?;
    Some(Path::new(&path).join("bin").join(program))
}

/// Where `scripts/install-tools` puts a program, for this directory or one above it.
fn in_tools(program: &str) -> Result<Vec<PathBuf>> {
    above(&format!(".tools/bin/{program}"))
}

/// A path in this directory and in each above it.
fn above(path: &str) -> Result<Vec<PathBuf>> {
    let here = std::env::current_dir().context("the working directory is gone")?;
    Ok(here.ancestors().map(|dir| dir.join(path)).collect())
}

/// The `etcd` program, in which Patroni keeps what its members agree on.
pub(crate) fn etcd() -> Result<PathBuf> {
    on_path("etcd")
        .chain(in_tools("etcd")?)
        .find(|program| program.is_file())
        .context("no etcd was found: run scripts/install-tools --chart")
}

/// The `pgbouncer` program; Debian keeps it where not everybody's PATH leads.
pub(crate) fn pgbouncer() -> Result<PathBuf> {
    on_path("pgbouncer")
        .chain([PathBuf::from("/usr/sbin/pgbouncer")])
        .find(|program| program.is_file())
        .context("no PgBouncer was found: run scripts/install-tools --chart")
}

fn on_path(program: &str) -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates: Vec<PathBuf> =
        std::env::split_paths(&path).map(|dir| dir.join(program)).collect();
    candidates.into_iter().filter(|candidate| candidate.is_file())
}

/// `/usr/lib/postgresql/VERSION/bin`, the latest version first.
fn debian_postgres_bins() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by(|one, other| other.cmp(one));
    versions.into_iter().map(|(_, bin)| bin).collect()
}

fn is_postgres(bin: &Path) -> bool {
    ["initdb", "pg_basebackup", "psql"].iter().all(|program| bin.join(program).is_file())
        && output(Command::new(bin.join("postgres")).arg("--version"))
            .and_then(|text| major_version(&text))
            .is_some_and(|version| version >= OLDEST_POSTGRES)
}

/// From `postgres (PostgreSQL) 15.4 (Debian 15.4-1)` or `postgres (PostgreSQL) 19beta1`.
fn major_version(text: &str) -> Option<u32> {
    let version = text.split(' ').nth(2)?;
    let digits = version.find(|character: char| !character.is_ascii_digit());
    version[..digits.unwrap_or(version.len())].parse().ok()
}

/// What a program prints, without the line's end; nothing when it is not there or fails.
fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_postgres_says() {
        let version = |text| major_version(text);
        assert_eq!(version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(version("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(version("something else"), None);
    }

    #[test]
    fn the_version_is_read_from_what_a_browser_says() {
        let version = |text| browser_version(text);
        assert_eq!(version("Chromium 150.0.7871.100 built on Debian GNU/Linux 12"), Some(150));
        assert_eq!(version("Google Chrome 150.0.7871.46"), Some(150));
        assert_eq!(version("ChromeDriver 150.0.7871.100 (d4a7-refs/heads/1@{#2})"), Some(150));
        assert_eq!(version("something else"), None);
    }

    #[test]
    fn every_server_is_found() {
        assert!(postgres_bin().unwrap().join("initdb").is_file());
        assert!(broker().unwrap().is_file());
        assert!(nats().unwrap().is_file());
        assert!(pgbouncer().unwrap().is_file());
        assert!(prometheus().unwrap().is_file());
        assert!(vegeta().unwrap().is_file());
        assert!(chromium().unwrap().1.is_file());
        assert!(axe_core().unwrap().is_file());
        assert!(faketime().unwrap().is_file());
    }
}

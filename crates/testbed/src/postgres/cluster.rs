//! A data directory of Postgres and the commands that make and serve it.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::account::Account;
use crate::postgres::psql;
use crate::tools;

const SUPERUSER: &str = "postgres";

/// Where the data is, and with what and as whom it is served.
#[derive(Debug)]
pub(crate) struct Cluster {
    bin: PathBuf,
    account: Account,
    data: PathBuf,
}

/// The superuser's login, to the database `postgres`.
pub(crate) fn superuser_url(password: &str, port: u16) -> String {
    format!("postgres://{SUPERUSER}:{password}@127.0.0.1:{port}/postgres")
}

impl Cluster {
    /// The cluster under `dir`, which is given to the account the server runs under.
    pub(crate) fn in_dir(dir: &Path) -> Result<Self> {
        let bin = tools::postgres_bin()?;
        let account = Account::for_server_in(dir)?;
        Ok(Self { bin, account, data: dir.join("data") })
    }

    /// The directory of the programs.
    pub(crate) fn bin(&self) -> &Path {
        &self.bin
    }

    /// Whether [`Cluster::create`] has come to its end here once.
    pub(crate) fn exists(&self) -> bool {
        self.data.is_dir()
    }

    /// Makes the data directory, whole or not at all.
    pub(crate) async fn create(
        &self,
        superuser_password: &str,
        initdb_options: &[&str],
    ) -> Result<()> {
        let unfinished = self.data.with_extension("unfinished");
        let password_file = self.data.with_extension("password");
        for path in [&unfinished, &password_file] {
            let _ = std::fs::remove_dir_all(path).or_else(|_| std::fs::remove_file(path));
        }
        self.write_for_server(&password_file, superuser_password)?;
        let mut initdb = self.program("initdb");
        initdb.arg("-D").arg(&unfinished).arg("--pwfile").arg(&password_file);
        initdb.args(["--username", SUPERUSER, "--auth=scram-sha-256"]).args(initdb_options);
        initdb.args(["--encoding=UTF8", "--locale=C.UTF-8"]);
        let output = tokio::process::Command::from(self.account.command(&initdb)).output().await;
        let output = output.context("cannot start initdb")?;
        let _ = std::fs::remove_file(&password_file);
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "initdb failed: {}", complaint.trim());
        std::fs::rename(&unfinished, &self.data).context("cannot name the new cluster")
    }

    /// Makes the data directory a standby of the server at `url`, which then streams from it
    /// through a slot of its own, both under the name `name`; with tablespaces at other places.
    pub(crate) async fn copy(
        &self,
        url: &str,
        name: &str,
        tablespaces: &[(PathBuf, PathBuf)],
    ) -> Result<()> {
        let (url, password) = psql::without_password(url)?;
        let mut copy = self.program("pg_basebackup");
        copy.arg("-D")
            .arg(&self.data)
            .args(["--dbname", &format!("{url}?application_name={name}")]);
        copy.args(["--create-slot", "--slot", name, "--wal-method=stream", "--checkpoint=fast"]);
        copy.args(["--write-recovery-conf", "--no-sync", "--no-password"]);
        for (from, to) in tablespaces {
            copy.arg(format!("--tablespace-mapping={}={}", from.display(), to.display()));
        }
        copy.env("PGPASSWORD", password);
        let output = tokio::process::Command::from(self.account.command(&copy)).output().await;
        let output = output.context("cannot start pg_basebackup")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "pg_basebackup failed: {}", complaint.trim());
        Ok(())
    }

    /// The server, on TCP at 127.0.0.1 alone.
    pub(crate) fn server(&self, port: u16, settings: &[(String, String)]) -> Command {
        let mut server = self.program("postgres");
        server.arg("-D").arg(&self.data);
        let fixed = [
            ("listen_addresses", "127.0.0.1"),
            ("port", &port.to_string()),
            ("unix_socket_directories", ""),
        ];
        let settings = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in fixed.into_iter().chain(settings) {
            server.arg("-c").arg(format!("{name}={value}"));
        }
        self.account.command(&server)
    }

    /// Whether the server with this process number takes connections: it says so in its pid
    /// file, whose first line tells it from the file of a server that was killed.
    pub(crate) fn is_ready(&self, server: u32) -> bool {
        let lines = self.pid_file();
        let line = |index: usize| lines.get(index).map(|line| line.trim());
        line(0) == Some(&server.to_string()) && line(7) == Some("ready")
    }

    /// Whether this Postgres knows the setting's value: that depends on how it was built.
    pub(crate) fn supports(&self, setting: &str, value: &str) -> bool {
        let mut ask = self.program("postgres");
        ask.arg("-D").arg(&self.data).args(["-C", setting]);
        ask.arg("-c").arg(format!("{setting}={value}"));
        self.account.command(&ask).output().is_ok_and(|output| output.status.success())
    }

    /// Frees the shared memory segment that a killed server has left; a server that was
    /// stopped has left no pid file either.
    pub(crate) fn remove_shared_memory(&self) {
        if let Some(segment) = self.pid_file().get(6).and_then(|line| line.split(' ').next_back()) {
            let _ = Command::new("ipcrm").args(["-m", segment]).output();
        }
    }

    fn pid_file(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// In `/`: Postgres wants a working directory that its account may enter.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command.current_dir("/");
        command
    }

    /// Writes a file that only the server's account can read.
    pub(super) fn write_for_server(&self, path: &Path, text: &str) -> Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        self.account.own(path)
    }
}

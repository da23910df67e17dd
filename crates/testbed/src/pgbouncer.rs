//! A temporary PgBouncer in front of a Postgres.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::account::Account;
use crate::port::Port;
use crate::postgres::psql;
use crate::process::{Process, Signal};
use crate::{Database, Postgres, reaper, tools};

const START: Duration = Duration::from_secs(30);

/// How often another program may take the port between its choice and the start.
const ATTEMPTS: u32 = 3;

/// For how long a client has a server connection to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    /// A client has a session until it disconnects.
    Session,
    /// A client has a session until its transaction ends.
    Transaction,
    /// A client has a session until its statement ends.
    Statement,
}

impl PoolMode {
    fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Transaction => "transaction",
            Self::Statement => "statement",
        }
    }
}

/// A PgBouncer that leads to one database, gone when this is dropped.
#[derive(Debug)]
pub struct PgBouncer {
    process: Process,
    account: Account,
    port: Port,
    server: u16,
    database: Database,
    dir: TempDir,
}

impl PgBouncer {
    /// Starts one with its default settings, but for `mode` and what is needed to log in.
    pub async fn start(postgres: &Postgres, database: &Database, mode: PoolMode) -> Result<Self> {
        let program = tools::pgbouncer()?;
        let dir = tempfile::Builder::new().prefix("waybill-pgbouncer-").tempdir()?;
        reaper::remove_at_end(dir.path())?;
        let account = Account::for_server_in(dir.path())?;
        let users = [&database.url, &database.owner_url].map(|url| line_of(url));
        let users = users.into_iter().collect::<Result<String>>()?;
        write_for(&account, &dir.path().join("users"), &users)?;
        let mut attempt = 1;
        loop {
            let port = Port::lease()?;
            let config = dir.path().join("pgbouncer.ini");
            let text = config_text(&port, postgres.port(), &database.name, dir.path(), mode);
            write_for(&account, &config, &text)?;
            let mut command = Command::new(&program);
            command.arg(&config).current_dir("/");
            let log = dir.path().join("pgbouncer.log");
            let mut process = Process::spawn("pgbouncer", &account.command(&command), &log)?;
            let is_up = async |process: &Process| process.log().contains("process up");
            match process.ready(START, is_up).await {
                Ok(()) => {
                    let (server, database) = (postgres.port(), database.clone());
                    return Ok(Self { process, account, port, server, database, dir });
                }
                Err(_) if process.lost_its_port() && attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error).context("cannot start a temporary PgBouncer"),
            }
        }
    }

    /// The database as its clients see it.
    #[must_use]
    pub fn database(&self) -> Database {
        self.database.at(self.port.number)
    }

    /// Has it read a new mode, as an administrator does; clients that are connected stay.
    pub fn reload(&mut self, mode: PoolMode) -> Result<()> {
        let name = &self.database.name;
        let text = config_text(&self.port, self.server, name, self.dir.path(), mode);
        write_for(&self.account, &self.dir.path().join("pgbouncer.ini"), &text)?;
        self.process.signal(Signal::HUP)
    }
}

fn config_text(port: &Port, server: u16, name: &str, dir: &Path, mode: PoolMode) -> String {
    format!(
        "[databases]\n\
         {name} = host=127.0.0.1 port={server}\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {}\n\
         unix_socket_dir =\n\
         auth_type = scram-sha-256\n\
         auth_file = {}\n\
         pool_mode = {}\n",
        port.number,
        dir.join("users").display(),
        mode.as_str(),
    )
}

/// The line of the users' file for the login in a URL.
fn line_of(url: &str) -> Result<String> {
    let (place, password) = psql::without_password(url)?;
    let user = place.split_once("://").and_then(|(_, rest)| rest.split_once('@'));
    let (user, _) = user.context("a database URL needs a user")?;
    Ok(format!("\"{user}\" \"{password}\"\n"))
}

/// Writes a file that only the pooler's account can read.
fn write_for(account: &Account, path: &Path, text: &str) -> Result<()> {
    let unfinished = path.with_extension("unfinished");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    account.own(&unfinished)?;
    std::fs::rename(&unfinished, path).with_context(|| format!("cannot write {}", path.display()))
}

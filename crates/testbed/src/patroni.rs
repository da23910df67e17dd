//! A temporary cluster of Postgres that Patroni watches over, with etcd as its memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::account::Account;
use crate::log::last_lines;
use crate::port::Port;
use crate::postgres::cluster::superuser_url;
use crate::postgres::database::{Passwords, creation};
use crate::postgres::psql;
use crate::process::{Process, prefixed};
use crate::wait::eventually;
use crate::{Database, http, reaper, secret, tools};

mod settings;

/// How long the first start may take, with a base backup.
const START: Duration = Duration::from_mins(1);

/// How long a change of the leader may take: a leader that says nothing is waited for 20 s.
const CHANGE: Duration = Duration::from_mins(1);

/// The name of the cluster.
const SCOPE: &str = "waybill";

/// Keeps a member and its Postgres in a namespace of processes that ends with us. Whatever is
/// written into the pipe kills the member alone. As the first process of the namespace it has to
/// wait for those that lost their parents: Patroni looks whether they are gone.
const KEEPER: &str = r#"pipe=$1; shift; mkfifo "$pipe"
"$@" & agent=$!
{ read -r _ <"$pipe"; kill -KILL "$agent"; } &
wait "$agent"
sleep infinity & wait"#;

/// Patroni with some members, each with a Postgres. All of it is gone when this is dropped.
#[derive(Debug)]
pub struct Patroni {
    members: Vec<Member>,
    bin: PathBuf,
    password: String,
    _etcd: Process,
    dir: TempDir,
}

#[derive(Debug)]
struct Member {
    name: String,
    postgres: Port,
    api: Port,
    process: Process,
}

impl Patroni {
    /// Starts so many members, and waits until one leads and the others stream from it.
    pub async fn start(members: usize) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("waybill-patroni-").tempdir()?;
        reaper::remove_at_end(dir.path())?;
        let account = Account::for_server_in(dir.path())?;
        let (etcd, etcd_port) = start_etcd(dir.path()).await?;
        let bin = tools::postgres_bin()?;
        let password = secret::random()?;
        let mut started = Vec::new();
        for number in 1..=members {
            let (postgres, api) = (Port::lease()?, Port::lease()?);
            let name = format!("member-{number}");
            let text = settings::Member {
                name: &name,
                ports: [postgres.number, api.number, etcd_port.number],
                bin: &bin,
                dir: dir.path(),
                password: &password,
            };
            let path = dir.path().join(format!("{name}.yml"));
            fs::write(&path, text.to_string())?;
            account.own(&path)?;
            let process = spawn(&name, dir.path(), &account)?;
            started.push(Member { name, postgres, api, process });
        }
        let cluster = Self { members: started, bin, password, _etcd: etcd, dir };
        cluster.until_whole().await?;
        Ok(cluster)
    }

    /// The ports of all servers, in the order of the members.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        self.members.iter().map(|member| member.postgres.number).collect()
    }

    /// Which member leads, if any says so.
    pub async fn leader(&self) -> Option<usize> {
        for (number, member) in self.members.iter().enumerate() {
            if let Ok((200, _)) = http::get(member.api.number, "/primary").await {
                return Some(number);
            }
        }
        None
    }

    /// Waits until another member leads than `before`.
    ///
    /// # Panics
    ///
    /// If none does in time.
    pub async fn until_another_leads(&self, before: usize) -> usize {
        let other = async || self.leader().await.filter(|leader| *leader != before);
        let waited = timeout(CHANGE, eventually("another member leads", 2 * CHANGE, other)).await;
        waited.unwrap_or_else(|_| panic!("nobody else leads within {CHANGE:?}\n{}", self.logs()))
    }

    /// What the members have logged last.
    fn logs(&self) -> String {
        let log =
            |member: &Member| format!("{}:\n{}", member.name, last_lines(&member.process.log()));
        self.members.iter().map(log).collect::<Vec<_>>().join("\n")
    }

    /// Makes a database with an owner role and a runtime role, at the port of the leader.
    pub async fn database(&self) -> Result<Database> {
        let leader = self.leader().await.context("nobody leads")?;
        let passwords = Passwords { runtime: secret::random()?, owner: secret::random()? };
        self.psql(leader, &creation(SCOPE, &passwords)).await?;
        Ok(Database::new(SCOPE, self.members[leader].postgres.number, &passwords))
    }

    /// Runs SQL on a member's server as the superuser.
    pub async fn psql(&self, member: usize, sql: &str) -> Result<String> {
        let url = superuser_url(&self.password, self.members[member].postgres.number);
        psql::run(&self.bin, &url, sql).await
    }

    /// Has another member lead, as an operator does for maintenance, and waits until the one before
    /// streams from it.
    pub async fn switch_over(&self) -> Result<usize> {
        let leader = self.leader().await.context("nobody leads")?;
        let asked = Instant::now();
        // It declines while a member does not tell in time how it is, as on a busy machine.
        while let Err(reason) = self.ask_to_switch_from(leader).await
            && self.leader().await == Some(leader)
        {
            ensure!(asked.elapsed() < CHANGE, "the switch-over failed: {reason:#}");
        }
        let other = self.until_another_leads(leader).await;
        self.until_whole().await?;
        Ok(other)
    }

    /// The tool ends with 0 also where Patroni declines; what it prints tells.
    async fn ask_to_switch_from(&self, leader: usize) -> Result<()> {
        let mut switch = tokio::process::Command::new("patronictl");
        switch.arg("-c").arg(self.settings(leader));
        switch.args(["switchover", SCOPE, "--force", "--leader", &self.members[leader].name]);
        let output = switch.output().await.context("cannot start patronictl")?;
        let [said, complaint] =
            [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        ensure!(said.contains("Successfully switched over"), "{said}{complaint}");
        Ok(())
    }

    /// Kills a member, while its Postgres goes on as if nothing had happened.
    pub fn kill_agent(&self, member: usize) -> Result<()> {
        let pipe = pipe(self.dir.path(), &self.members[member].name);
        fs::write(pipe, "\n").context("cannot have a member killed")
    }

    fn settings(&self, member: usize) -> PathBuf {
        self.dir.path().join(format!("{}.yml", self.members[member].name))
    }

    async fn until_whole(&self) -> Result<()> {
        let others = (self.members.len() - 1).to_string();
        let streaming = "select count(*) from pg_stat_replication where state = 'streaming'";
        let whole = async || {
            let leader = self.leader().await?;
            (self.psql(leader, streaming).await.ok()? == others).then_some(())
        };
        timeout(START, eventually("all members stream", START, whole))
            .await
            .context("the members do not stream")
    }
}

fn spawn(name: &str, dir: &Path, account: &Account) -> Result<Process> {
    let pipe = pipe(dir, name);
    let mut agent = Command::new("/usr/bin/patroni");
    agent.arg(dir.join(format!("{name}.yml"))).current_dir("/");
    let mut keeper = vec!["unshare", "--pid", "--mount-proc", "--kill-child"];
    if !rustix::process::geteuid().is_root() {
        keeper.push("--map-current-user");
    }
    keeper.extend(["sh", "-c", KEEPER, "sh"]);
    let mut keeper: Vec<_> = keeper.into_iter().map(str::to_owned).collect();
    keeper.push(pipe.display().to_string());
    let command = prefixed(&keeper, &account.command(&agent));
    Process::spawn(name, &command, &dir.join(format!("{name}.log")))
}

fn pipe(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.kill"))
}

async fn start_etcd(dir: &Path) -> Result<(Process, Port)> {
    let (client, peer) = (Port::lease()?, Port::lease()?);
    let url = |port: &Port| format!("http://127.0.0.1:{}", port.number);
    let mut etcd = Command::new(tools::etcd()?);
    etcd.arg("--data-dir").arg(dir.join("etcd")).current_dir(dir);
    for (option, url) in [
        ("--listen-client-urls", url(&client)),
        ("--advertise-client-urls", url(&client)),
        ("--listen-peer-urls", url(&peer)),
        ("--initial-advertise-peer-urls", url(&peer)),
        ("--initial-cluster", format!("default={}", url(&peer))),
    ] {
        etcd.args([option, &url]);
    }
    etcd.arg("--unsafe-no-fsync");
    let mut process = Process::spawn("etcd", &etcd, &dir.join("etcd.log"))?;
    let answers =
        async |_: &Process| matches!(http::get(client.number, "/health").await, Ok((200, _)));
    process.ready(START, answers).await.context("cannot start a temporary etcd")?;
    Ok((process, client))
}

//! Servers, replicas, and everything that watches them.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use tempfile::TempDir;
use testbed::{Broker, BrokerOptions, Database, Postgres, Proxy};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::ack_oracle::AckOracle;
use crate::disk::Disk;
use crate::ledger::Ledger;
use crate::load::{Load, Storm};
use crate::observer;
use crate::readers::Reader;
use crate::replica::{Common, Replica};

/// The channel the orders come through.
pub(crate) const CHANNEL: &str = "orders";

/// What the broker calls the service's group.
const GROUP: &str = "waybill:waybill";

/// Few, so that they can be used up.
const POSTGRES_CONNECTIONS: &str = "40";

/// How long the watchers may take to end.
const END: Duration = Duration::from_secs(20);

/// What a world is made of.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    /// Messages a second.
    pub(crate) rate: f64,
    pub(crate) replicas: usize,
    /// The service.
    pub(crate) binary: PathBuf,
    /// Whether the tables lie on a small disk of their own, which needs root.
    pub(crate) with_disk: bool,
}

pub(crate) struct World {
    pub(crate) broker: Mutex<Broker>,
    pub(crate) postgres: Mutex<Postgres>,
    pub(crate) database: Database,
    /// To Postgres past the faulty links, as the superuser: it finds a connection when others do
    /// not.
    pub(crate) sql: PgPool,
    pub(crate) sql_link: Mutex<Proxy>,
    pub(crate) replicas: Vec<Arc<Replica>>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) storms: mpsc::UnboundedSender<Storm>,
    pub(crate) broker_url: String,
    /// Where the tables are; none without root.
    pub(crate) disk: Option<Disk>,
    load: CancellationToken,
    watch: CancellationToken,
    loads: JoinSet<Result<()>>,
    watchers: JoinSet<Result<()>>,
    oracles: JoinSet<()>,
    dir: TempDir,
}

impl World {
    /// Fresh servers with publishers, readers and replicas at work.
    pub(crate) async fn begin(settings: &Settings) -> Result<Self> {
        let &Settings { seed, rate, replicas, with_disk, .. } = settings;
        let binary = settings.binary.clone();
        let options = BrokerOptions::default();
        let limits = [("max_connections", POSTGRES_CONNECTIONS)];
        let (broker, postgres) =
            tokio::try_join!(Broker::start(options), Postgres::start_with(&limits))?;
        let database = postgres.database().await?;
        let sql_link = Proxy::start((Ipv4Addr::LOCALHOST, postgres.port()).into()).await?;
        let sql = superuser_pool(&postgres, &database, sql_link.port())?;
        let disk = if with_disk {
            Some(Disk::for_tables(&postgres, &sql, &database).await?)
        } else {
            None
        };
        let dir = tempfile::Builder::new().prefix("waybill-chaos-").tempdir()?;
        let common = Common {
            broker_port: broker.port(),
            postgres_port: postgres.port(),
            database: &database,
            binary,
            dir: dir.path().to_owned(),
        };
        let ledger = Arc::<Ledger>::default();
        let (storms, orders) = mpsc::unbounded_channel();
        let broker_url = broker.url();
        let (load, watch) = (CancellationToken::new(), CancellationToken::new());
        let (mut loads, mut watchers) = (JoinSet::new(), JoinSet::new());
        let mut oracles = JoinSet::new();
        let publisher = Load::new(&broker_url, seed, rate, Arc::clone(&ledger));
        loads.spawn(publisher.run(orders, load.clone()));
        watchers.spawn(observer::run(broker_url.clone(), Arc::clone(&ledger), watch.clone()));
        let mut all = Vec::new();
        for number in 0..replicas {
            let name = format!("replica-{number}");
            let (replica, acks) = Replica::new(&name, &common).await?;
            let replica = Arc::new(replica);
            let oracle = AckOracle {
                replica: Arc::clone(&replica),
                ledger: Arc::clone(&ledger),
                postgres: sql.clone(),
            };
            oracles.spawn(oracle.run(acks));
            let reader = Reader {
                replica: Arc::clone(&replica),
                ledger: Arc::clone(&ledger),
                rng: fastrand::Rng::with_seed(seed.wrapping_add(1 + number as u64)),
            };
            loads.spawn(reader.run(load.clone()));
            all.push(replica);
        }
        Ok(Self {
            broker: Mutex::new(broker),
            postgres: Mutex::new(postgres),
            database,
            sql,
            sql_link: Mutex::new(sql_link),
            replicas: all,
            ledger,
            storms,
            broker_url,
            disk,
            load,
            watch,
            loads,
            watchers,
            oracles,
            dir,
        })
    }

    /// Starts every replica and waits until they are ready.
    pub(crate) async fn start_replicas(&self) -> Result<()> {
        for replica in &self.replicas {
            replica.start(&mut *replica.process.lock().await).await?;
        }
        for replica in &self.replicas {
            replica.until_ready(Duration::from_mins(1)).await?;
        }
        Ok(())
    }

    /// Ends the publishers and readers; every publish has its outcome then.
    pub(crate) async fn end_load(&mut self) -> Result<()> {
        self.load.cancel();
        end(&mut self.loads).await
    }

    /// Messages not sent to the group yet, and messages it has not acknowledged.
    pub(crate) async fn lag(&self) -> Option<(u64, u64)> {
        let channel = self.broker.lock().await.channel(CHANNEL).await.ok()?;
        let members: Vec<_> =
            channel.subscriptions.iter().filter(|member| member.queue_name == GROUP).collect();
        let sent = members.iter().map(|member| member.last_sent).max()?;
        let unacked = members.iter().map(|member| member.pending_count).sum();
        Some((channel.last_seq.saturating_sub(sent), unacked))
    }

    /// Writes down what Postgres has said of deadlocks since it was started last.
    pub(crate) fn note_deadlocks(&self, postgres: &Postgres) {
        let deadlocks = postgres.log().matches("deadlock detected").count();
        for _ in 0..deadlocks {
            self.ledger.violation("deadlocks", "Postgres ended a transaction".to_owned());
        }
    }

    /// Stops everything; a folder with logs is kept and named if `keep`.
    pub(crate) async fn end(mut self, keep: bool) -> Result<Option<PathBuf>> {
        self.watch.cancel();
        end(&mut self.watchers).await?;
        for replica in &self.replicas {
            replica.kill(&mut *replica.process.lock().await)?;
        }
        self.oracles.shutdown().await;
        self.note_deadlocks(&*self.postgres.lock().await);
        if !keep {
            return Ok(None);
        }
        let dir = self.dir.keep();
        std::fs::write(dir.join("postgres.log"), self.postgres.lock().await.log())?;
        std::fs::write(dir.join("broker.log"), self.broker.lock().await.log())?;
        Ok(Some(dir))
    }
}

async fn end(tasks: &mut JoinSet<Result<()>>) -> Result<()> {
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(())
    };
    tokio::time::timeout(END, all).await.context("a watcher did not end")?
}

fn superuser_pool(postgres: &Postgres, database: &Database, port: u16) -> Result<PgPool> {
    let options: PgConnectOptions = postgres.superuser_url().parse()?;
    let options = options.port(port).database(&database.name).application_name("chaos");
    // Else a look at a few orders reads and hashes all of them while the statistics are old.
    let options = options.options([
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("enable_seqscan", "off"),
    ]);
    // A fault that is made through it must not fail because the server that has just begun anew
    // takes a while to let anybody in, as it does on a busy machine.
    let pool = PgPoolOptions::new().max_connections(6).acquire_timeout(Duration::from_secs(15));
    Ok(pool.test_before_acquire(true).connect_lazy_with(options))
}

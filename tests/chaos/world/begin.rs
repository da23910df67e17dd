//! How a world comes about.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use testbed::{Broker, BrokerOptions, Database, Postgres, Proxy};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{BROKER_URL, MUTANT_PATIENCE, PATIENCE, Settings, World};
use crate::ack_oracle::AckOracle;
use crate::bridge::Bridge;
use crate::disk::Disk;
use crate::ledger::Ledger;
use crate::load::Load;
use crate::observer;
use crate::origin::{Origin, Sources};
use crate::outlet::Outlet;
use crate::power::{self, Disks, Mutant};
use crate::readers::Reader;
use crate::replica::{Common, Replica};
use crate::streams::Streams;

/// Few, so that they can be used up.
const POSTGRES_CONNECTIONS: &str = "40";

impl World {
    /// Fresh servers with publishers, readers and replicas at work.
    pub(crate) async fn begin(settings: &Settings) -> Result<Self> {
        let &Settings { seed, rate, sources, .. } = settings;
        let mut postgres_settings = vec![("max_connections", POSTGRES_CONNECTIONS)];
        postgres_settings.extend(power::postgres_settings(settings));
        let (mut broker, mut streams, mut postgres) = tokio::try_join!(
            start_broker(settings),
            start_streams(settings),
            Postgres::start_with(&postgres_settings)
        )?;
        let disks = if settings.power {
            Some(Disks::mount(&mut postgres, broker.as_mut(), streams.as_mut()).await?)
        } else {
            None
        };
        let database = postgres.database().await?;
        let sql_link = Proxy::start((Ipv4Addr::LOCALHOST, postgres.port()).into()).await?;
        let sql = superuser_pool(&postgres, &database, sql_link.port())?;
        let disk = if settings.with_disk {
            Some(Disk::for_tables(&postgres, &sql, &database).await?)
        } else {
            None
        };
        let ledger = Arc::new(Ledger::new(sources.origins()));
        let (storms, orders) = mpsc::unbounded_channel();
        let mut world = Self {
            disks,
            postgres: Mutex::new(postgres),
            database,
            sql,
            sql_link: Mutex::new(sql_link),
            replicas: Vec::new(),
            sources,
            patience: if settings.mutant.is_some() { MUTANT_PATIENCE } else { PATIENCE },
            ledger,
            storms,
            direct: Vec::new(),
            broker,
            streams,
            bridge: None,
            disk: Mutex::new(disk),
            load: CancellationToken::new(),
            watch: CancellationToken::new(),
            loads: JoinSet::new(),
            watchers: JoinSet::new(),
            oracles: JoinSet::new(),
            dir: tempfile::Builder::new().prefix("waybill-chaos-").tempdir()?,
        };
        let outlets = world.watch_origins().await;
        let publisher = Load::new(outlets, seed, rate, Arc::clone(&world.ledger));
        world.loads.spawn(publisher.run(orders, world.load.clone()));
        for number in 0..settings.replicas {
            world.add_replica(number, settings).await?;
        }
        if sources == Sources::Both {
            let log = world.dir.path().join("bridge.log");
            world.bridge = Some(Bridge::start(&world.command("bridge"), log)?);
        }
        Ok(world)
    }

    /// Has all messages written down, and returns the ways for them to be published.
    async fn watch_origins(&mut self) -> Vec<Outlet> {
        let mut outlets = Vec::new();
        let (ledger, watch) = (&self.ledger, &self.watch);
        if let Some(broker) = &self.broker {
            let url = broker.lock().await.url();
            let observer = observer::of_channel(url.clone(), Arc::clone(ledger), watch.clone());
            self.watchers.spawn(observer);
            outlets.push(Outlet::to_channel(&url));
            self.direct.push((BROKER_URL, url));
        }
        if let Some(streams) = &self.streams {
            let (urls, servers) = (streams.urls.clone(), streams.ports.len());
            let observer =
                observer::of_stream(urls.clone(), servers, Arc::clone(ledger), watch.clone());
            self.watchers.spawn(observer);
            outlets.push(Outlet::to_stream(&urls));
            self.direct.push(("WAYBILL_JETSTREAM__URL", urls));
        }
        outlets
    }

    /// With a reader, and an oracle for each link that it acknowledges messages by.
    async fn add_replica(&mut self, number: usize, settings: &Settings) -> Result<()> {
        let broker_port = match &self.broker {
            Some(broker) => Some(broker.lock().await.port()),
            None => None,
        };
        let common = Common {
            broker_port,
            stream_ports: self.streams.as_ref().map_or(&[], |streams| &streams.ports),
            postgres_port: self.postgres.lock().await.port(),
            database: &self.database,
            several_addresses: settings.several_addresses,
            binary: settings.binary.clone(),
            with_clock: settings.with_clocks,
            dir: self.dir.path().to_owned(),
        };
        let (replica, held) = Replica::new(&format!("replica-{number}"), &common).await?;
        let replica = Arc::new(replica);
        for (origin, acks) in held {
            let oracle = AckOracle {
                replica: Arc::clone(&replica),
                origin,
                ledger: Arc::clone(&self.ledger),
                postgres: self.sql.clone(),
            };
            self.oracles.spawn(oracle.run(acks));
        }
        let reader = Reader {
            replica: Arc::clone(&replica),
            ledger: Arc::clone(&self.ledger),
            rng: fastrand::Rng::with_seed(settings.seed.wrapping_add(1 + number as u64)),
        };
        self.loads.spawn(reader.run(self.load.clone()));
        self.replicas.push(replica);
        Ok(())
    }
}

async fn start_broker(settings: &Settings) -> Result<Option<Mutex<Broker>>> {
    if !settings.sources.origins().contains(&Origin::Channel) {
        return Ok(None);
    }
    let syncs = settings.power && settings.mutant != Some(Mutant::FileSyncOff);
    let options = BrokerOptions { syncs, ..BrokerOptions::default() };
    Ok(Some(Mutex::new(Broker::start(options).await?)))
}

async fn start_streams(settings: &Settings) -> Result<Option<Streams>> {
    if !settings.sources.origins().contains(&Origin::Stream) {
        return Ok(None);
    }
    Ok(Some(Streams::start(settings).await?))
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

//! Starts real Postgres, PgBouncer, nats-streaming-server, nats-server, Prometheus and
//! Chromium, for tests, benches and `make up`.
//!
//! What a test starts ends with the test process, however that ends: see [`process`].
//! The servers are found on the machine; `scripts/install-tools` installs them.

pub mod broker;
pub mod chromium;
pub mod clock;
pub mod http;
pub mod local;
pub mod memory;
pub mod nats;
pub mod nginx;
pub mod patroni;
pub mod pgbouncer;
pub mod postgres;
pub mod power;
pub mod process;
pub mod prometheus;
pub mod proxy;
pub mod wait;

mod account;
mod log;
mod port;
mod proc;
mod reaper;
mod secret;
mod tools;

pub use broker::{Broker, BrokerOptions, SubscriptionState};
pub use chromium::Chromium;
pub use clock::Clock;
pub use log::unexpected_errors;
pub use memory::MemoryLimit;
pub use nats::{NatsOptions, NatsServer};
pub use nginx::Nginx;
pub use patroni::Patroni;
pub use pgbouncer::{PgBouncer, PoolMode};
pub use port::Port;
pub use postgres::{Database, Postgres};
pub use power::{Losses, PowerDisk};
pub use process::{Process, Signal};
pub use prometheus::Prometheus;
pub use proxy::{Direction, Held, Proxy, Publication, Tap};
pub use tools::{axe_core, vegeta};
pub use wait::eventually;

//! A primary, a standby that lags behind, and the service on them.

use std::net::Ipv4Addr;

use http::StatusCode;
use testbed::{BrokerOptions, Postgres, Proxy, eventually};

use crate::service::{PATIENCE, Replica, World, order};

/// A primary, a standby that lags behind, and the service that is led to one of them by an
/// address that stays the same.
pub(super) struct Pair {
    pub(super) world: World,
    pub(super) primary: Postgres,
    pub(super) standby: Postgres,
    pub(super) address: Proxy,
}

impl Pair {
    pub(super) async fn new() -> Self {
        Self::with(BrokerOptions::default()).await
    }

    pub(super) async fn with(broker: BrokerOptions) -> Self {
        let primary = Postgres::start().await.expect("a primary");
        let standby = primary.standby().await.expect("a standby");
        let world = World::with(broker, &primary).await;
        let server = (Ipv4Addr::LOCALHOST, primary.port()).into();
        let address = Proxy::start(server).await.expect("a proxy");
        Self { world, primary, standby, address }
    }

    /// A ready replica behind the address.
    pub(super) async fn serve(&self, name: &str, more: &[(&str, &str)]) -> Replica {
        self.serve_at(&[self.address.port()], name, more).await
    }

    /// A ready replica with the servers at these ports in its URL, in this order.
    pub(super) async fn serve_at(
        &self,
        ports: &[u16],
        name: &str,
        more: &[(&str, &str)],
    ) -> Replica {
        let ports: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let through = |url: &str| {
            let one = format!("127.0.0.1:{}/", self.primary.port());
            url.replace(&one, &format!("{}/", ports.join(",")))
        };
        let (url, owner) =
            (through(&self.world.database.url), through(&self.world.database.owner_url));
        let database = [
            ("WAYBILL_DATABASE__URL", &*url),
            ("WAYBILL_DATABASE__MIGRATE_URL", &*owner),
            ("WAYBILL_DATABASE__CONNECT_TIMEOUT", "1s"),
        ];
        let replica = self.world.start(name, &[&database, more].concat()).await;
        replica.until_ready().await;
        replica
    }

    pub(super) async fn publish(&self, orders: std::ops::Range<u32>) {
        let orders = orders.map(|n| order(&format!("order-{n}")));
        self.world.publish_raw(orders).await;
        self.world.until_drained().await;
    }

    /// From here on the standby gets nothing.
    pub(super) async fn let_lag(&self) {
        let count = "select count(*) from orders";
        let url = self.world.database.on(&self.standby).owner_url;
        let all = self.primary.psql(&self.world.database.owner_url, count).await.expect("asked");
        eventually("the standby has everything", PATIENCE, async || {
            (self.standby.psql(&url, count).await.ok()? == all).then_some(())
        })
        .await;
        let cut_off = "alter system set primary_conninfo = ''; select pg_reload_conf()";
        let url = self.standby.superuser_url();
        self.standby.psql(&url, cut_off).await.expect("cut off");
        eventually("the standby is cut off", PATIENCE, async || {
            let receivers = "select count(*) from pg_stat_wal_receiver";
            (self.standby.psql(&url, receivers).await.ok()? == "0").then_some(())
        })
        .await;
    }

    /// The primary dies, and the standby takes its place at the address.
    pub(super) async fn fail_over(&mut self) {
        self.primary.kill().expect("killed");
        self.standby.promote().await.expect("promoted");
        let server = (Ipv4Addr::LOCALHOST, self.standby.port()).into();
        self.address.redirect(server).await.expect("redirected");
    }

    pub(super) async fn sql(&self, sql: &str) -> String {
        let url = self.world.database.on(&self.standby).owner_url;
        self.standby.psql(&url, sql).await.expect("asked")
    }

    pub(super) async fn until_repaired(&self) {
        let repairs = "select count(*) > 0 and bool_and(finished_at is not null) from repairs";
        eventually("it is repaired", PATIENCE, async || {
            (self.sql(repairs).await == "t").then_some(())
        })
        .await;
    }
}

pub(super) async fn served(replica: &Replica, orders: std::ops::Range<u32>) {
    for uid in orders.map(|n| format!("order-{n}")) {
        let reply = replica.order(&uid).await;
        assert_eq!((reply.status, reply.body), (StatusCode::OK, order(&uid)), "{uid}");
    }
}

/// Until a replica has noticed another primary, or has repaired what that lacked.
pub(super) async fn until_repair_is_pending(replica: &Replica, pending: bool) {
    let what =
        if pending { "another primary is noticed" } else { "the replica knows of the repair" };
    let expected = f64::from(u8::from(pending));
    eventually(what, PATIENCE, async || {
        (replica.measured("waybill_repair_pending").await == Some(expected)).then_some(())
    })
    .await;
}

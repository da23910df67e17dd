//! Looks orders up on one replica, all the time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::http::Client;
use crate::ledger::Ledger;
use crate::replica::Replica;

/// Between two lookups.
const PAUSE: Duration = Duration::from_millis(10);

/// After a failure: the replica may be down.
const RETRY: Duration = Duration::from_millis(50);

/// A replica that is halted does not answer at all.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks one replica.
pub(crate) struct Reader {
    pub(crate) replica: Arc<Replica>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) rng: fastrand::Rng,
}

impl Reader {
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<()> {
        stop.run_until_cancelled(self.read()).await;
        Ok(())
    }

    async fn read(mut self) {
        let mut client = None;
        loop {
            let pause = if self.look_up(&mut client).await.is_some() {
                PAUSE
            } else {
                client = None;
                RETRY
            };
            sleep(pause).await;
        }
    }

    async fn look_up(&mut self, client: &mut Option<Client>) -> Option<()> {
        let address = (*self.replica.address.borrow())?;
        let client = match client {
            Some(client) => client,
            None => client.insert(Client::connect(address.site).await.ok()?),
        };
        let uid = self.ledger.pick(&mut self.rng);
        let path = format!("/api/v1/orders/{uid}");
        let name = &self.replica.name;
        let asked = Instant::now();
        let Ok(Ok((status, body))) = timeout(PATIENCE, client.get(&path)).await else {
            self.ledger.no_answer();
            return None;
        };
        match status {
            200 => self.ledger.served(name, &uid, &body, asked),
            404 => self.ledger.denied(name, &uid, asked, Instant::now()),
            410 => self.ledger.gone(name, &uid),
            503 => self.ledger.cannot_tell(asked.elapsed()),
            other => self.ledger.violation("wrong", format!("{name} answers {other} for {uid}")),
        }
        Some(())
    }
}

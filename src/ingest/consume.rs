//! A session with a broker and the writers that empty it.

use std::panic::resume_unwind;

use stan::Messages;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Watch, Writer};
use crate::session::Subscription;

/// Takes orders off a channel or a stream.
pub struct Consumer<W> {
    /// What to read.
    pub subscription: Subscription,
    /// How many batches may be written at the same time.
    pub writers: usize,
    /// Makes a writer for the session's messages.
    pub writer: W,
    /// Gets the session, for health and metrics.
    pub watch: Watch,
}

impl<W: FnOnce(Messages) -> Writer + Send> Consumer<W> {
    /// Consumes until `stop`: then the writers finish what they are writing, and the session is
    /// closed in order, which hands what was only queued to the other replicas at once.
    pub async fn run(self, stop: CancellationToken) {
        let session = match self.subscription.supervise().await {
            Ok(session) => session,
            Err(error) => {
                let error = format!("{error:#}");
                return tracing::error!(error, "The session with the broker cannot even begin");
            }
        };
        self.watch.set(session.monitor());
        let writer = (self.writer)(session.messages());
        let refusals = writer.refusals.clone();
        // They tell of what happens, and end when this does.
        let mut observers = JoinSet::new();
        observers.spawn(self.watch.follow());
        observers.spawn(refusals.clone().summarise_every_minute());
        let mut writers = JoinSet::new();
        for _ in 0..self.writers {
            writers.spawn(writer.clone().run(stop.clone()));
        }
        while let Some(ended) = writers.join_next().await {
            match ended.map_err(tokio::task::JoinError::try_into_panic) {
                Ok(()) if stop.is_cancelled() => {}
                Ok(()) | Err(Err(_)) => return tracing::error!("A writer ended on its own"),
                // The panic goes on where the whole service notices it.
                Err(Ok(panic)) => resume_unwind(panic),
            }
        }
        refusals.summarise();
        session.close().await;
    }
}

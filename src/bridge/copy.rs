//! From the channel into the stream.

use std::pin::pin;
use std::time::Duration;

use stan::Message;

use super::Observer;
use super::archive::Content;
use super::window::{MOST_MESSAGES, Window};
use crate::reconcile::reader::channel::{ChannelReader, ChannelStep};
use crate::reconcile::retry::{Failure, retry};

/// What copies.
pub(super) struct Copier<'a> {
    pub(super) reader: &'a mut ChannelReader,
    pub(super) window: &'a mut Window,
    pub(super) observer: &'a dyn Observer,
    /// How long a server may be away.
    pub(super) patience: Duration,
}

impl Copier<'_> {
    /// Copies from `first` on, to the last sequence or without an end. A stream that is still to
    /// be made begins with the first message that the channel has.
    pub(super) async fn copy(
        &mut self,
        first: u64,
        last: Option<u64>,
        mut is_made: bool,
    ) -> anyhow::Result<()> {
        let mut next = first;
        while last.is_none_or(|last| next <= last) {
            let step = self.next_step().await?;
            if !is_made {
                let first = if let ChannelStep::Gone { to, .. } = step { to + 1 } else { next };
                self.create(first).await?;
                is_made = true;
            }
            match step {
                ChannelStep::Gone { from, to } => {
                    next = to + 1;
                    self.fill(from, to).await?;
                }
                ChannelStep::Messages(messages) => {
                    next += messages.len() as u64;
                    for message in messages {
                        let content = Content::Message(message.data.clone());
                        let sent = self.window.send(message.sequence, content).await;
                        self.recover(sent).await?;
                        // What is not stored the stream tells, so that the broker need not know.
                        [message].into_iter().for_each(Message::ack);
                    }
                }
            }
            self.observer.progress(self.window.next());
        }
        if !is_made {
            self.create(next).await?;
        }
        let confirmed = self.window.confirm_all().await;
        self.recover(confirmed).await?;
        self.observer.progress(self.window.next());
        Ok(())
    }

    /// What the channel has next. Meanwhile what is stored is settled.
    async fn next_step(&mut self) -> anyhow::Result<ChannelStep> {
        let (observer, patience) = (self.observer, self.patience);
        let (window, told) = (&mut *self.window, &mut { observer });
        let step = async |reader: &mut ChannelReader| reader.step().await;
        let mut step = pin!(retry(patience, told, self.reader, step));
        loop {
            tokio::select! {
                step = &mut step => return step,
                confirmed = window.confirm(), if !window.is_empty() => {
                    recover(window, confirmed, patience, observer).await?;
                    observer.progress(window.next());
                }
            }
        }
    }

    async fn create(&mut self, first: u64) -> anyhow::Result<()> {
        let create = async |window: &mut Window| window.create(first).await;
        retry(self.patience, &mut { self.observer }, self.window, create).await
    }

    /// Makes gaps in the stream, so that what follows has the numbers that it has in the channel.
    async fn fill(&mut self, from: u64, to: u64) -> anyhow::Result<()> {
        for sequence in from..=to {
            let sent = self.window.send(sequence, Content::Gap).await;
            self.recover(sent).await?;
            if sequence == to || self.window.len() == MOST_MESSAGES {
                let confirmed = self.window.confirm_all().await;
                self.recover(confirmed).await?;
                let delete = async |window: &mut Window| window.delete_fillers().await;
                retry(self.patience, &mut { self.observer }, self.window, delete).await?;
                self.observer.progress(self.window.next());
            }
        }
        Ok(())
    }

    async fn recover(&mut self, outcome: Result<(), Failure>) -> anyhow::Result<()> {
        recover(self.window, outcome, self.patience, self.observer).await
    }
}

/// After a failure that may pass, looks what is stored and sends the rest again.
async fn recover(
    window: &mut Window,
    outcome: Result<(), Failure>,
    patience: Duration,
    observer: &dyn Observer,
) -> anyhow::Result<()> {
    match outcome {
        Ok(()) => Ok(()),
        Err(Failure::Permanent(error)) => Err(error),
        Err(Failure::Transient(_)) => {
            let send_again = async |window: &mut Window| window.send_again().await;
            retry(patience, &mut { observer }, window, send_again).await
        }
    }
}

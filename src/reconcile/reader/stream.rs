//! A stream's messages, looked up one by one under their sequences.

use std::collections::VecDeque;
use std::pin::pin;

use anyhow::{Error, anyhow};
use futures_util::StreamExt as _;
use jetstream::{Connection, ErrorKind, Options, StoredMessage, Stream, StreamInfo};

use super::super::retry::Failure;
use super::super::{Reconcile, StreamOrigin};
use super::{Read, Step};

/// Reads a batch at a time. The stream's leader answers, so that what it does not find is gone.
pub(in super::super) struct StreamReader {
    options: Options,
    name: String,
    /// Messages of others are passed over; none to look at all.
    subject: Option<String>,
    batch_max_rows: u64,
    batch_max_bytes: usize,
    next: u64,
    last: u64,
    /// None before the first request, and after one that failed.
    stream: Option<Stream>,
    /// When the stream was made: under another date the same sequences mean other messages.
    created: String,
    /// Read and not handed out yet.
    held: VecDeque<StoredMessage>,
    /// All up to this one were asked for.
    asked_to: u64,
}

impl StreamReader {
    pub(super) fn new(reconcile: &Reconcile, origin: &StreamOrigin) -> Self {
        Self {
            options: origin.options.clone(),
            name: origin.name.clone(),
            subject: origin.subject.clone(),
            batch_max_rows: reconcile.limits.batch_max_rows as u64,
            batch_max_bytes: reconcile.limits.batch_max_bytes,
            next: reconcile.from,
            last: 0,
            stream: None,
            created: String::new(),
            held: VecDeque::new(),
            asked_to: reconcile.from - 1,
        }
    }

    pub(super) fn read_to(&mut self, last: u64) {
        self.last = last;
    }

    pub(super) async fn last_sequence(&mut self) -> Result<u64, Failure> {
        let info = self.info().await?;
        self.created = info.created;
        Ok(info.last_sequence)
    }

    pub(super) async fn step(&mut self) -> Result<Step, Failure> {
        if self.asked_to < self.next {
            self.fill().await?;
        }
        let following = self.following();
        if !following.is_empty() {
            return Ok(Step::Messages(following));
        }
        match self.held.front() {
            Some(other) if other.sequence == self.next => {
                self.held.pop_front();
                self.next += 1;
                Ok(Step::Others { to: self.next - 1 })
            }
            _ => self.pass_over().await,
        }
    }

    /// The next batch. What was read before an error is kept; the error will come again.
    async fn fill(&mut self) -> Result<(), Failure> {
        let stream = self.stream().await?;
        let to = self.last.min(self.next + self.batch_max_rows - 1);
        let mut reading = pin!(stream.read(self.next..=to));
        let mut bytes = 0;
        while let Some(read) = reading.next().await {
            match read {
                Ok(message) => {
                    self.asked_to = message.sequence;
                    bytes += message.data.len();
                    self.held.push_back(message);
                    if bytes >= self.batch_max_bytes {
                        return Ok(());
                    }
                }
                Err(_) if !self.held.is_empty() => return Ok(()),
                Err(error) => return Err(self.failed(error)),
            }
        }
        self.asked_to = to;
        Ok(())
    }

    /// The messages of our subject that follow each other from the next on.
    fn following(&mut self) -> Vec<Read> {
        let mut following = Vec::with_capacity(self.held.len());
        let is_ours = |subject: &String, message: &StoredMessage| *subject == message.subject;
        while let Some(message) = self.held.pop_front_if(|message| {
            message.sequence == self.next
                && self.subject.as_ref().is_none_or(|subject| is_ours(subject, message))
        }) {
            self.next += 1;
            following.push(Read::Stored(message));
        }
        following
    }

    /// There is nothing under the next sequence, and perhaps under more.
    async fn pass_over(&mut self) -> Result<Step, Failure> {
        let info = self.info().await?;
        if info.created != self.created || info.last_sequence < self.last {
            return Err(Failure::Permanent(anyhow!(
                "stream {} ended at {} and now ends at {}: it was made anew or has lost its messages",
                self.name,
                self.last,
                info.last_sequence
            )));
        }
        let (from, to) = match self.held.front() {
            Some(message) => (self.next, message.sequence - 1),
            // Before the first there may be more than anybody wants to ask for one by one.
            None => {
                (self.next, self.asked_to.max(self.last.min(info.first_sequence.saturating_sub(1))))
            }
        };
        self.next = to + 1;
        self.asked_to = self.asked_to.max(to);
        Ok(Step::Gone { from, to })
    }

    async fn info(&mut self) -> Result<StreamInfo, Failure> {
        let stream = self.stream().await?;
        stream.info().await.map_err(|error| self.failed(error))
    }

    async fn stream(&mut self) -> Result<Stream, Failure> {
        if let Some(stream) = &self.stream {
            return Ok(stream.clone());
        }
        let connected = Connection::connect(self.options.clone()).await;
        let stream = connected.and_then(|connection| connection.stream(&self.name));
        let stream = stream.map_err(|error| self.failed(error))?;
        Ok(self.stream.insert(stream).clone())
    }

    /// What a failed request means; the next begins with a new connection.
    fn failed(&mut self, error: jetstream::Error) -> Failure {
        self.stream = None;
        let kind = error.kind();
        let error = Error::new(error).context(format!("stream {}", self.name));
        match kind {
            ErrorKind::Permanent => Failure::Permanent(error),
            ErrorKind::Retryable => Failure::Transient(error),
        }
    }
}

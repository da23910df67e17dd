//! Records of commands that operators type.

use super::record::{Action, Actor, Outcome, Record};
use super::target::Target;
use crate::config;
use crate::store::Store;

/// The record of one command that reveals or changes data: one line before it does, one after.
#[derive(Debug)]
pub struct CommandLog {
    /// Nothing where nothing is audited.
    target: Option<Target>,
    action: Action,
    targets: Vec<String>,
    operator: Actor,
}

impl CommandLog {
    /// Records that `operator` is about to do it, whatever `audit.on_overflow` says.
    ///
    /// Records that go to standard output for the service go to standard error here: the output
    /// of a command is its data.
    ///
    /// # Errors
    /// When that cannot be recorded; then the command must not do it.
    pub async fn begin(
        settings: &config::Audit,
        store: &Store,
        action: Action,
        targets: Vec<String>,
        operator: Actor,
    ) -> anyhow::Result<Self> {
        let target = Target::of(settings, store, Target::Stderr)?;
        let mut log = Self { target, action, targets, operator };
        log.write(Outcome::Attempted).await?;
        Ok(log)
    }

    /// Records what came of it, and hands that on.
    ///
    /// # Errors
    /// Those of the command, or that its success cannot be recorded.
    pub async fn end<T>(mut self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        let outcome = if result.is_ok() { Outcome::Success } else { Outcome::Failed };
        let written = self.write(outcome).await;
        let done = result?;
        written.map(|()| done)
    }

    async fn write(&mut self, outcome: Outcome) -> anyhow::Result<()> {
        let Some(target) = &mut self.target else { return Ok(()) };
        let record = Record::new(self.action, self.targets.clone(), outcome, self.operator.clone());
        let written = target.append(&[&record.line()]).await;
        written.map_err(|error| error.context("this cannot be recorded in the audit log"))
    }
}

//! `waybill rejects`: look at what could not become an order, try it again, let it go.

mod export;
mod filters;
mod list;
mod pager;
mod prune;
mod record;
mod replay;
mod show;

use std::process::ExitCode;

use clap::Subcommand;

use super::operator;
use crate::audit::{Action, CommandLog};
use crate::config::Settings;
use crate::signals::Signals;
use crate::store::Store;

/// One statement at a time, and one to spare.
const CONNECTIONS: u32 = 2;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List rejects, the newest first
    List(list::Args),
    /// Show one reject and its payload
    Show(show::Args),
    /// Write rejects with their payloads as lines of JSON, the oldest first
    Export(export::Args),
    /// Try rejects again, the oldest first; what becomes an order is no reject any more
    ///
    /// Exit code 0 when all became orders, 1 when some stay.
    Replay(replay::Args),
    /// Delete rejects for good
    Prune(prune::Args),
}

impl Command {
    /// Whether it does nothing but show what there is.
    pub(super) fn only_shows(&self) -> bool {
        matches!(self, Self::List(_) | Self::Show(_) | Self::Export(_))
    }

    /// What is recorded in the audit log, if it changes rejects or reveals what is in them.
    fn recorded(&self) -> Option<(Action, Vec<String>)> {
        match self {
            Self::List(_) => None,
            Self::Show(args) => Some((Action::RejectRead, args.targets())),
            Self::Export(args) => Some((Action::RejectExport, args.targets())),
            Self::Replay(args) => args.is_change().then(|| (Action::RejectReplay, args.targets())),
            Self::Prune(args) => Some((Action::RejectPrune, args.targets())),
        }
    }

    /// Whether it has something to finish and to tell when it is interrupted.
    pub(super) fn ends_in_order(&self) -> bool {
        matches!(self, Self::Export(_) | Self::Replay(_) | Self::Prune(_))
    }
}

/// Runs one of the commands, over the database that the service uses.
pub(super) async fn run(
    command: &Command,
    settings: &Settings,
    signals: &Signals,
) -> anyhow::Result<ExitCode> {
    let database = &settings.database;
    let url = database.url()?;
    let store = Store::new(url.expose(), CONNECTIONS, database.connect_timeout)?;
    let (audit, recorded) = (&settings.audit, command.recorded());
    let log = match recorded {
        Some((action, targets)) => {
            Some(CommandLog::begin(audit, &store, action, targets, operator()).await?)
        }
        None => None,
    };
    let done = match command {
        Command::List(args) => list::run(args, store).await,
        Command::Show(args) => show::run(args, &store).await,
        Command::Export(args) => export::run(args, store, signals).await,
        Command::Replay(args) => replay::run(args, store, settings, signals).await,
        Command::Prune(args) => prune::run(args, &store, signals).await,
    };
    match log {
        Some(log) => log.end(done).await,
        None => done,
    }
}

//! The command line: one file a command.

mod bridge;
mod broker_store;
mod completions;
mod config;
mod erase;
mod healthcheck;
mod load;
mod migrate;
mod output;
mod progress;
mod publish;
mod reconcile;
mod rejects;
mod serve;
mod status;
mod tls;
mod token;
mod verify;

use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::audit::Actor;
use crate::config::{Settings, SettingsError};
use crate::signals::Signals;

/// The command line or the settings are wrong (`EX_USAGE` of sysexits.h).
const USAGE: u8 = 64;

/// Version, commit, profile and compiler.
const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit: ",
    env!("WAYBILL_COMMIT"),
    "\nprofile: ",
    env!("WAYBILL_PROFILE"),
    "\ncompiler: ",
    env!("WAYBILL_RUSTC"),
);

/// How long a command may take to end in order after a signal: Docker kills after ten seconds.
const GRACE: Duration = Duration::from_secs(8);

/// Takes orders off a NATS Streaming channel, keeps them in Postgres and answers
/// lookups by id from memory.
///
/// SIGTERM, SIGINT and SIGHUP end every command with what it has done written out, a second one
/// ends it at once. The exit code is then 128 and the number of the signal: 143, 130 or 129;
/// that of `serve` and of a `bridge` without an end is 0 when it has stopped in order, that of
/// `load watch` always. It is 64 when the
/// command line or the settings are wrong, 1 when a command has failed or has found what it was to
/// look for, and 2 when a `load` command could not measure it.
#[derive(Debug, Parser)]
#[command(name = "waybill", version, long_version = LONG_VERSION, after_help = "Examples:
  waybill serve
  waybill publish data/model.json
  waybill status
  waybill help publish")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

// Where settings come from besides the defaults and the environment. Every command
// takes these. No doc comment: clap would show it in place of the command's own.
#[derive(Debug, Default, Args)]
struct Sources {
    /// Settings file to read instead of ./waybill.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sets one setting, over all other sources; may be given several times
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service
    #[command(after_help = "Examples:
  waybill serve
  waybill serve --config /etc/waybill.toml
  WAYBILL_DATABASE__URL=postgres://waybill@db/waybill waybill serve --set telemetry.log_format=json")]
    Serve,
    /// Send orders, or anything else, into the channel or the stream
    Publish(publish::Args),
    // Described where their arguments are: a doc comment here would replace that one.
    Bridge(bridge::Args),
    Reconcile(reconcile::Args),
    Verify(verify::Args),
    Healthcheck(healthcheck::Args),
    Status(status::Args),
    Migrate(migrate::Args),
    Erase(erase::Args),
    RepairBrokerStore(broker_store::Args),
    /// List, show, export, replay or prune what could not become an order
    #[command(subcommand)]
    Rejects(rejects::Command),
    /// Put load on a running service and measure how it does
    #[command(subcommand)]
    Load(load::Command),
    /// Show or check the settings
    #[command(subcommand)]
    Config(config::Command),
    Completions(completions::Args),
    Man(completions::ManArgs),
}

impl Command {
    /// The exit code when what it has to say is not read to its end: a success only if saying it
    /// is all that it does.
    fn unread(&self) -> ExitCode {
        match self {
            Self::Config(_) | Self::Status(_) | Self::Completions(_) => ExitCode::SUCCESS,
            Self::Rejects(command) if command.only_shows() => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }

    /// How long it may take to end in order after a signal.
    fn grace(&self) -> Duration {
        match self {
            Self::Publish(_)
            | Self::Bridge(_)
            | Self::Reconcile(_)
            | Self::Verify(_)
            | Self::Erase(_) => GRACE,
            Self::Rejects(command) if command.ends_in_order() => GRACE,
            Self::Load(command) if command.ends_in_order() => GRACE,
            // What only shows has shown it, and a migration that is cut off Postgres takes back.
            _ => Duration::ZERO,
        }
    }
}

/// Runs the command the process was called with.
#[must_use]
pub fn main() -> ExitCode {
    let (sources, command) = match parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(error) => return explain(&error),
    };
    match run(&sources, &command) {
        Ok(code) => code,
        // The reader of our output, such as `head`, has seen enough.
        Err(error) if is_broken_pipe(&error) => command.unread(),
        Err(error) => report(&error),
    }
}

fn run(sources: &Sources, command: &Command) -> anyhow::Result<ExitCode> {
    // These need no settings, so that wrong ones do not matter.
    match command {
        Command::Completions(args) => return completions::completions(args, arguments()),
        Command::Man(args) => return completions::man(args, arguments()),
        Command::RepairBrokerStore(args) => return broker_store::run(args),
        _ => {}
    }
    let runtime = serve::runtime()?;
    // Before all else: without a handler, a signal may end the process half way, or not at all.
    let signals = runtime.block_on(async { Signals::listen() });
    let signals = signals.context("signals cannot be received")?;
    if !matches!(command, Command::Serve) {
        runtime.spawn(signals.clone().end_process_after(command.grace()));
    }
    let settings = Settings::load(sources.config.as_deref(), &sources.set, environment())?;
    if let Command::Serve = command {
        return serve::run(&settings, runtime, signals);
    }
    let outcome = runtime.block_on(async {
        match command {
            Command::Publish(args) => publish::run(args, &settings, &signals).await,
            Command::Bridge(args) => bridge::run(args, &settings, &signals).await,
            Command::Reconcile(args) => reconcile::run(args, &settings, &signals).await,
            Command::Verify(args) => verify::run(args, &settings, &signals).await,
            Command::Erase(args) => erase::run(args, &settings, &signals).await,
            Command::Healthcheck(args) => healthcheck::run(args, &settings).await,
            Command::Status(args) => status::run(args, &settings).await,
            Command::Rejects(command) => rejects::run(command, &settings, &signals).await,
            Command::Load(command) => load::run(command, &settings, &signals).await,
            Command::Config(command) => config::run(command, &settings),
            Command::Migrate(args) => migrate::run(args, &settings).await,
            Command::Serve
            | Command::RepairBrokerStore(_)
            | Command::Completions(_)
            | Command::Man(_) => Ok(ExitCode::SUCCESS),
        }
    });
    // A thread of the runtime may still wait for a line to be typed.
    runtime.shutdown_background();
    outcome
}

/// Gathers the sources from before and after the command. Clap's own global
/// options would forget each `--set` before the command if one stands after it.
fn parse(arguments: impl Iterator<Item = OsString>) -> Result<(Sources, Command), clap::Error> {
    let matches = self::arguments().try_get_matches_from(arguments)?;
    let mut sources = Sources::default();
    let mut level = Some(&matches);
    while let Some(matches) = level {
        let found = Sources::from_arg_matches(matches)?;
        sources.config = found.config.or(sources.config);
        sources.set.extend(found.set);
        level = matches.subcommand().map(|(_name, matches)| matches);
    }
    Ok((sources, Arguments::from_arg_matches(&matches)?.command))
}

/// The whole command line, as clap knows it.
#[must_use]
pub fn arguments() -> clap::Command {
    with_sources(Arguments::command())
}

fn with_sources(command: clap::Command) -> clap::Command {
    Sources::augment_args(command.mut_subcommands(with_sources))
}

/// The variables of the process. The only place that reads them.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        // A value that is no UTF-8 is kept, so that it is refused and not ignored.
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    })
}

/// Prints help, the version or what is wrong with the command line.
fn explain(error: &clap::Error) -> ExitCode {
    // If nobody reads it, nothing is lost.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}

fn report(error: &anyhow::Error) -> ExitCode {
    let mut stderr = io::stderr();
    if let Some(error) = error.downcast_ref::<SettingsError>() {
        for problem in &error.problems {
            let _ = writeln!(stderr, "error: {problem}");
        }
        return ExitCode::from(USAGE);
    }
    let _ = writeln!(stderr, "error: {error:#}");
    ExitCode::FAILURE
}

/// Whether our output has no reader any more.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Who types the command, for the audit log: the user of the system, and behind sudo the one who
/// called it.
fn operator() -> Actor {
    let uid = rustix::process::getuid().as_raw();
    let subject = match std::env::var("SUDO_USER") {
        Ok(name) => format!("uid {uid}, sudo by {name}"),
        Err(_) => format!("uid {uid}"),
    };
    Actor { subject: Some(subject), address: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        arguments().debug_assert();
    }

    #[test]
    fn sources_may_stand_before_and_after_the_command() {
        let arguments = "waybill --set a.a=1 --set a.b=2 --config x.toml config --set a.c=3 show \
                         --set a.d=4 --config y.toml";
        let (sources, command) =
            parse(arguments.split_whitespace().map(OsString::from)).expect("valid");
        assert_eq!(sources.set, ["a.a=1", "a.b=2", "a.c=3", "a.d=4"]);
        assert_eq!(sources.config, Some("y.toml".into()));
        assert!(matches!(command, Command::Config(config::Command::Show { .. })));
    }

    fn leaves(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
        let path = format!("{path} {}", command.get_name()).trim_start().to_owned();
        let subcommands = command.get_subcommands().filter(|it| it.get_name() != "help");
        let subcommands: Vec<_> = subcommands.collect();
        if subcommands.is_empty() {
            found.push((path, command.clone()));
        } else {
            for it in subcommands {
                leaves(it, &path, found);
            }
        }
    }

    #[test]
    fn every_command_has_examples_that_are_commands() {
        let (whole, mut found) = (arguments(), Vec::new());
        leaves(&whole, "", &mut found);
        found.push(("waybill".to_owned(), whole));
        for (path, command) in found {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples = help.strip_prefix("Examples:\n").expect(&path);
            for example in examples.lines() {
                assert!(example.contains(&path), "{example}");
                // Without what the shell reads and writes.
                let words = example.split_whitespace().map(|word| word.trim_matches('\''));
                let words = words.take_while(|word| !word.starts_with(['<', '>']));
                let (mut variables, mut words) = (Vec::new(), words.peekable());
                while let Some(pair) = words.peek().and_then(|word| word.split_once('=')) {
                    variables.push((pair.0.to_owned(), pair.1.to_owned()));
                    words.next();
                }
                let sets = match parse(words.map(OsString::from)) {
                    Ok((sources, _)) => sources.set,
                    Err(error) if error.use_stderr() => panic!("{example}: {error}"),
                    // It asks for help.
                    Err(_) => continue,
                };
                let settings = Settings::load(None, &sets, variables.into_iter());
                assert!(settings.is_ok(), "{example}: {settings:?}");
            }
        }
    }
}

//! `waybill config`: show or check the settings.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::output::Output;
use crate::access::Access;
use crate::broker;
use crate::config::{Settings, SettingsError};
use crate::metrics::Metrics;
use crate::tls;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print the settings in force, passwords masked, and where each came from
    #[command(after_help = "Examples:
  waybill config show
  waybill config show --output json --set http.listen=0.0.0.0:80")]
    Show {
        /// How to write them: TOML for people, or a JSON object of name, value and origin
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        output: Output,
    },
    /// Say whether the settings are valid
    ///
    /// Exits with 0 when they are, else with 64.
    #[command(after_help = "Examples:
  waybill config check --config waybill.toml")]
    Check,
}

/// Settings that are not valid never get here.
pub(super) fn run(command: &Command, settings: &Settings) -> anyhow::Result<ExitCode> {
    let mut stdout = io::stdout().lock();
    match command {
        Command::Show { output: Output::Text } => {
            stdout.write_all(settings.to_toml().as_bytes())?;
        }
        Command::Show { output: Output::Json } => {
            serde_json::to_writer_pretty(&mut stdout, &shown(settings))?;
            writeln!(stdout)?;
        }
        Command::Check => {
            for note in check_files(settings)? {
                writeln!(io::stderr(), "note: {note}")?;
            }
            writeln!(stdout, "settings are fine")?;
        }
    }
    stdout.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// By the name of each setting, such as `broker.url`. `origin` is null for a built-in default.
fn shown(settings: &Settings) -> BTreeMap<String, serde_json::Value> {
    let shown = settings.shown();
    shown.map(|(name, value, origin)| (name, json!({ "value": value, "origin": origin }))).collect()
}

/// Also looks into the files that hold a login, a certificate, tokens or keys, which `serve` reads
/// when it needs them: one that is just being replaced must not fail every command.
fn check_files(settings: &Settings) -> Result<Vec<String>, SettingsError> {
    let broker = broker::options(&settings.broker, &settings.broker.client_id).map(drop);
    let stream = broker::stream_options(&settings.jetstream, "").map(drop);
    let (mut notes, database) = match settings.database.notes() {
        Ok(notes) => (notes, Ok(())),
        Err(error) => (Vec::new(), Err(error)),
    };
    let access = Access::new(&settings.access, &Metrics::new());
    let access = access.map(drop).map_err(anyhow::Error::new);
    let mut problems: Vec<_> = [broker, stream, database, access]
        .into_iter()
        .filter_map(|result| Some(format!("{:#}", result.err()?)))
        .collect();
    match tls::Ports::load(settings) {
        Ok(ports) => notes.extend(ports.notes()),
        Err(error) => problems.extend(error.problems),
    }
    if problems.is_empty() { Ok(notes) } else { Err(SettingsError { problems }) }
}

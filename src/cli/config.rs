//! `waybill config`: show or check the settings.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Subcommand;

use crate::broker;
use crate::config::{Settings, SettingsError};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print the settings in force as TOML, and where each came from
    Show,
    /// Say whether the settings are valid
    Check,
}

/// Settings that are not valid never get here.
pub(super) fn run(command: &Command, settings: &Settings) -> anyhow::Result<ExitCode> {
    let mut stdout = io::stdout().lock();
    match command {
        Command::Show => stdout.write_all(settings.to_toml().as_bytes())?,
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

/// Also looks into the files that hold a login, which `serve` reads when it needs them: one that
/// is just being replaced must not fail every command.
fn check_files(settings: &Settings) -> Result<Vec<String>, SettingsError> {
    let broker = broker::options(&settings.broker, &settings.broker.client_id).map(drop);
    let (notes, database) = match settings.database.notes() {
        Ok(notes) => (notes, Ok(())),
        Err(error) => (Vec::new(), Err(error)),
    };
    let problems: Vec<_> = [broker, database]
        .into_iter()
        .filter_map(|result| Some(format!("{:#}", result.err()?)))
        .collect();
    if problems.is_empty() { Ok(notes) } else { Err(SettingsError { problems }) }
}

//! `waybill config`: show or check the settings.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Subcommand;

use crate::config::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print the settings in force as TOML, and where each came from
    Show,
    /// Say whether the settings are legal
    Check,
}

/// Settings that are not legal never get here.
pub(super) fn run(command: &Command, settings: &Settings) -> anyhow::Result<ExitCode> {
    let mut stdout = io::stdout().lock();
    match command {
        Command::Show => stdout.write_all(settings.to_toml().as_bytes())?,
        Command::Check => writeln!(stdout, "settings are fine")?,
    }
    stdout.flush()?;
    Ok(ExitCode::SUCCESS)
}

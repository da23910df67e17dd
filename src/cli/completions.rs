//! `waybill completions` and `waybill man`: what shells and `man` know of the command line.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap_complete::{Shell, generate};

/// Write what a shell needs to complete commands, options and their values
///
/// Bash reads it from a file `waybill` in the folder
/// ~/.local/share/bash-completion/completions; zsh from a file `_waybill` in a folder of $fpath;
/// fish from ~/.config/fish/completions/waybill.fish.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waybill completions bash > ~/.local/share/bash-completion/completions/waybill
  waybill completions fish > ~/.config/fish/completions/waybill.fish")]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

/// Write a manual page for each command into a folder
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waybill man ~/.local/share/man/man1")]
pub(super) struct ManArgs {
    /// The folder, which is made if it is not there
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Prints the completions of `command`.
pub(super) fn completions(args: &Args, mut command: clap::Command) -> anyhow::Result<ExitCode> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    generate(args.shell, &mut command, name, &mut script);
    let mut stdout = io::stdout().lock();
    stdout.write_all(&script)?;
    stdout.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Writes `waybill.1`, `waybill-publish.1` and so on.
pub(super) fn man(args: &ManArgs, command: clap::Command) -> anyhow::Result<ExitCode> {
    let folder = &args.folder;
    let written =
        fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
    written.with_context(|| format!("the pages cannot be written to {}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}

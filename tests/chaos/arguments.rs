//! What the command line asks for.

use std::path::PathBuf;

use clap::Parser;

use crate::origin::Sources;
use crate::plan::Kind;
use crate::power::Mutant;

/// Makes faults under load and checks that nothing was lost and nothing wrong
///
/// Without --kills and --alone every kind of fault is made once, alone, and then some at the same
/// time.
#[derive(Debug, Clone, Parser)]
#[command(name = "chaos")]
pub(crate) struct Arguments {
    /// Make every kind of fault so often, each recovered from before the next
    #[arg(long, value_name = "N", conflicts_with = "kills")]
    pub(crate) alone: Option<usize>,
    /// Make so many faults, mixed
    #[arg(long, value_name = "N")]
    pub(crate) kills: Option<usize>,
    /// Cut the power of servers whose disks lose what was not synced, and make no other faults
    #[arg(long)]
    pub(crate) power: bool,
    /// What does not sync as it must, so that cuts are found out
    #[arg(long, value_enum, value_name = "MUTANT", requires = "power")]
    pub(crate) mutant: Option<Mutant>,
    /// What the service reads; without --kills and --alone: the channel, and then both
    #[arg(long, value_enum, value_name = "SOURCE")]
    pub(crate) source: Option<Sources>,
    /// Decides which faults come, when and where
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Only these kinds of faults, separated by commas
    #[arg(long, value_enum, value_name = "KIND", value_delimiter = ',')]
    pub(crate) only: Vec<Kind>,
    /// Messages a second
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) rate: u32,
    /// How many replicas there are
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub(crate) replicas: u8,
    /// The service to be tested, if not the one built along
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_waybill"))]
    pub(crate) binary: PathBuf,
    /// Write the report to this file too, as tables in Markdown
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// What `cargo test` passes to every test program: flags, and names of tests.
    #[arg(hide = true, allow_hyphen_values = true)]
    test_runner: Vec<String>,
}

impl Arguments {
    /// The same, but for cuts of the power.
    pub(crate) fn of_power(&self) -> Self {
        Self { power: true, ..self.clone() }
    }

    /// Whether `cargo test` asks for something that is not this: another test by name, a list of
    /// tests.
    pub(crate) fn ask_for_other_tests(&self) -> bool {
        let is_other =
            |word: &String| word == "--list" || !word.starts_with('-') && !word.contains("chaos");
        self.test_runner.iter().any(is_other)
    }
}

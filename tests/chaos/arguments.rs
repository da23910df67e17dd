//! What the command line asks for.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::plan::Kind;

/// How much, of what, from which seed.
#[derive(Debug, Clone)]
pub(crate) struct Arguments {
    /// How often every kind is made alone, and nothing else.
    pub(crate) alone: Option<usize>,
    /// Faults to make; none for the short run.
    pub(crate) kills: Option<usize>,
    pub(crate) seed: u64,
    /// Only these kinds, if any are named.
    pub(crate) only: Vec<Kind>,
    /// Messages a second.
    pub(crate) rate: f64,
    pub(crate) replicas: usize,
    /// The service to be tested, if not the one built along.
    pub(crate) binary: PathBuf,
    /// Where to write the report as tables in Markdown.
    pub(crate) report: Option<PathBuf>,
}

pub(crate) const USAGE: &str = "\
usage: chaos [--kills N | --alone N] [--seed S] [--only KIND,KIND] [--rate N] [--replicas N]
             [--binary FILE] [--report FILE]
--alone makes every kind of fault so often, each recovered from before the next. Without it and
--kills, every kind once, alone, and then some at the same time.";

impl Arguments {
    /// None when the test runner asks for something that is not this: another test by name, a
    /// list of tests.
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Option<Self>> {
        let mut arguments = Self {
            alone: None,
            kills: None,
            seed: 1,
            only: Vec::new(),
            rate: 150.0,
            replicas: 3,
            binary: PathBuf::from(env!("CARGO_BIN_EXE_waybill")),
            report: None,
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match word.as_str() {
                "--kills" => arguments.kills = Some(value()?.parse().context("--kills")?),
                "--alone" => arguments.alone = Some(value()?.parse().context("--alone")?),
                "--seed" => arguments.seed = value()?.parse().context("--seed")?,
                "--rate" => arguments.rate = value()?.parse().context("--rate")?,
                "--replicas" => arguments.replicas = value()?.parse().context("--replicas")?,
                "--binary" => arguments.binary = value()?.into(),
                "--report" => arguments.report = Some(value()?.into()),
                "--only" => {
                    for name in value()?.split(',') {
                        let kind = Kind::named(name).with_context(|| {
                            let names: Vec<_> = Kind::all().map(Kind::name).collect();
                            format!("no kind of fault {name:?}; there are {}", names.join(", "))
                        })?;
                        arguments.only.push(kind);
                    }
                }
                "--help" => bail!("{USAGE}"),
                "--list" => return Ok(None),
                // Other words of `cargo test` are for other tests.
                word if word.starts_with('-') => {}
                name if name.contains("chaos") => {}
                _ => return Ok(None),
            }
        }
        let Self { rate, replicas, .. } = arguments;
        if !(1.0..=10_000.0).contains(&rate) || !(1..=9).contains(&replicas) {
            bail!("--rate may be 1 to 10000, --replicas 1 to 9");
        }
        Ok(Some(arguments))
    }
}

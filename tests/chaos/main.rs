//! Faults under load, again and again, and the proof that nothing was lost and nothing wrong.
//!
//! See `docs/reliability.md`. `cargo test --test chaos` makes every fault once; `make chaos`
//! makes as many as asked for.

mod ack_oracle;
mod arguments;
mod bridge;
mod checker;
mod clocks;
mod course;
mod disk;
mod epoch;
mod erasure;
mod failover;
mod faults;
mod http;
mod ledger;
mod link_faults;
mod load;
mod memory;
mod observer;
mod origin;
mod outlet;
mod plan;
mod power;
mod readers;
mod replica;
mod report;
mod stream_faults;
mod streams;
mod tables;
mod world;

use std::io::{Write as _, stdout};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{Parser as _, ValueEnum};

use arguments::Arguments;
use epoch::Epoch;
use origin::Sources;
use report::Tally;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("chaos: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing was found.
fn run() -> Result<bool> {
    let arguments = Arguments::parse();
    if arguments.ask_for_other_tests() {
        return Ok(true);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let began = Instant::now();
    let mut whole = Tally::default();
    for epoch in course::epochs(&arguments)? {
        let again = again(&arguments, &epoch);
        let faults = epoch.alone.len() + epoch.mixed.len();
        say(&format!("world of seed {}: {faults} faults", epoch.settings.seed));
        let ran = runtime.block_on(epoch.run());
        // A world that broke down is no reason not to make the others.
        let (tally, logs) = ran.unwrap_or_else(|error| {
            let mut broken = Tally::default();
            say(&format!("  the world broke down: {error:#}"));
            broken.violation("stuck", format!("the world broke down: {error:#}"));
            (broken, None)
        });
        let (clean, found) = (tally.is_clean(), tally.found().to_vec());
        whole.add(tally);
        say(&format!("  {} faults so far, {:.0} s", whole.kills(), began.elapsed().as_secs_f64()));
        if !clean {
            for what in found {
                say(&format!("  {what}"));
            }
            say(&format!("  failed; again with: {again}"));
            if let Some(logs) = logs {
                say(&format!("  logs: {}", logs.display()));
            }
        }
    }
    say(&whole.text(began.elapsed()));
    if let Some(file) = &arguments.report {
        std::fs::write(file, whole.markdown(began.elapsed()))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(whole.is_clean())
}

/// The command that makes the same world again.
fn again(arguments: &Arguments, epoch: &Epoch) -> String {
    let (target, faults) = if arguments.power { ("power", "CUTS") } else { ("chaos", "KILLS") };
    let mut words = vec![format!("make {target} SEED={}", epoch.settings.seed)];
    if arguments.kills.is_some() {
        words.push(format!("{faults}={}", epoch.mixed.len()));
    }
    if let Some(mutant) = arguments.mutant {
        words.push(format!("MUTANT={}", value_name(&mutant)));
    }
    if let Some(rounds) = arguments.alone {
        words.push(format!("ALONE={rounds}"));
    }
    if epoch.settings.sources != Sources::Stan || arguments.power {
        words.push(format!("SOURCE={}", value_name(&epoch.settings.sources)));
    }
    if !arguments.only.is_empty() {
        let only: Vec<_> = arguments.only.iter().map(|kind| kind.name()).collect();
        words.push(format!("ONLY={}", only.join(",")));
    }
    words.join(" ")
}

/// What the command line takes for it.
fn value_name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn say(text: &str) {
    // Nobody listens: then there is nobody to tell either.
    let _ = writeln!(stdout(), "{text}");
}

//! Faults under load, again and again, and the proof that nothing was lost and nothing wrong.
//!
//! See `docs/reliability.md`. `cargo test --test chaos` makes every fault once; `make chaos`
//! makes as many as asked for.

mod ack_oracle;
mod arguments;
mod checker;
mod disk;
mod epoch;
mod erasure;
mod failover;
mod faults;
mod http;
mod ledger;
mod load;
mod observer;
mod plan;
mod readers;
mod replica;
mod report;
mod world;

use std::io::{Write as _, stdout};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;

use arguments::Arguments;
use epoch::Epoch;
use plan::{Kind, each, mixed};
use report::Tally;
use world::Settings;

/// Faults in one world; then everything is healed, drained and checked, and a new one begins.
const KILLS_IN_A_WORLD: usize = 50;

/// Faults at the same time that end the short run.
const MIXED_IN_THE_SHORT_RUN: usize = 8;

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
    for epoch in epochs(&arguments)? {
        let again = again(&arguments, &epoch);
        let faults = epoch.alone.len() + epoch.mixed.len();
        say(&format!("world of seed {}: {faults} faults", epoch.settings.seed));
        let ran = runtime.block_on(epoch.run());
        // A world that broke down is no reason not to make the others.
        let (tally, logs) = ran.unwrap_or_else(|error| {
            let mut broken = Tally::default();
            broken.violation("stuck", format!("the world broke down: {error:#}"));
            (broken, None)
        });
        let clean = tally.is_clean();
        whole.add(tally);
        say(&format!("  {} faults so far, {:.0} s", whole.kills(), began.elapsed().as_secs_f64()));
        if !clean {
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

fn epochs(arguments: &Arguments) -> Result<Vec<Epoch>> {
    let mut kinds: Vec<Kind> =
        if arguments.only.is_empty() { Kind::all().collect() } else { arguments.only.clone() };
    if !disk::is_possible() && kinds.contains(&Kind::FillDisk) {
        ensure!(
            std::env::var_os("CI").is_none(),
            "fill-disk needs root, and where CI is set no fault is left out"
        );
        say("fill-disk is left out: it needs root");
        kinds.retain(|kind| *kind != Kind::FillDisk);
    }
    // A base backup does not copy a disk of its own, so a world has one or the other.
    let without = |other: Kind| -> Vec<Kind> {
        let both = kinds.contains(&Kind::FillDisk) && kinds.contains(&Kind::FailOver);
        kinds.iter().copied().filter(|kind| !both || *kind != other).collect()
    };
    let (with_disk, with_failover) = (without(Kind::FailOver), without(Kind::FillDisk));
    let (seed, rate) = (arguments.seed, f64::from(arguments.rate));
    let replicas = usize::from(arguments.replicas);
    let epoch = |seed, alone: Vec<_>, mixed: Vec<plan::Fault>| {
        let with_disk = alone.iter().chain(&mixed).any(|fault| fault.kind == Kind::FillDisk);
        let binary = arguments.binary.clone();
        Epoch { settings: Settings { seed, rate, replicas, binary, with_disk }, alone, mixed }
    };
    let rounds = arguments.alone.unwrap_or(1);
    let alone = |kinds: &[Kind]| each(seed, replicas, &kinds.repeat(rounds));
    let Some(kills) = arguments.kills else {
        let rest: Vec<_> =
            with_failover.iter().copied().filter(|kind| !with_disk.contains(kind)).collect();
        let mut epochs = vec![epoch(seed, alone(&with_disk), Vec::new())];
        let mixed_count = if arguments.alone.is_some() { 0 } else { MIXED_IN_THE_SHORT_RUN };
        let mixed = mixed(seed, mixed_count, replicas, &with_failover);
        epochs.push(epoch(seed, alone(&rest), mixed));
        epochs.retain(|epoch| !epoch.alone.is_empty() || !epoch.mixed.is_empty());
        return Ok(epochs);
    };
    let epochs = (seed..).zip((0..kills).step_by(KILLS_IN_A_WORLD)).map(|(seed, done)| {
        let count = KILLS_IN_A_WORLD.min(kills - done);
        let kinds = if seed.is_multiple_of(2) { &with_failover } else { &with_disk };
        epoch(seed, Vec::new(), mixed(seed, count, replicas, kinds))
    });
    Ok(epochs.collect())
}

/// The command that makes the same world again.
fn again(arguments: &Arguments, epoch: &Epoch) -> String {
    let mut words = vec![format!("make chaos SEED={}", epoch.settings.seed)];
    if arguments.kills.is_some() {
        words.push(format!("KILLS={}", epoch.mixed.len()));
    }
    if let Some(rounds) = arguments.alone {
        words.push(format!("ALONE={rounds}"));
    }
    if !arguments.only.is_empty() {
        let only: Vec<_> = arguments.only.iter().map(|kind| kind.name()).collect();
        words.push(format!("ONLY={}", only.join(",")));
    }
    words.join(" ")
}

fn say(text: &str) {
    // Nobody listens: then there is nobody to tell either.
    let _ = writeln!(stdout(), "{text}");
}

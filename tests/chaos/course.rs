//! Which worlds there are, and which faults each of them sees.

use anyhow::{Result, bail, ensure};
use testbed::{Clock, MemoryLimit};

use crate::arguments::Arguments;
use crate::disk;
use crate::epoch::Epoch;
use crate::origin::Sources;
use crate::plan::{Fault, Kind, each, mixed};
use crate::power;
use crate::world::Settings;

/// Faults in one world; then everything is healed, drained and checked, and a new one begins.
const KILLS_IN_A_WORLD: usize = 50;

/// Faults at the same time that end a short run.
const MIXED_IN_THE_SHORT_RUN: usize = 8;

/// All worlds that the command line asks for.
pub(crate) fn epochs(arguments: &Arguments) -> Result<Vec<Epoch>> {
    let kinds = kinds(arguments)?;
    let is_short = arguments.kills.is_none() && arguments.alone.is_none();
    let usual = if arguments.power { Sources::Both } else { Sources::Stan };
    let sources = arguments.source.unwrap_or(usual);
    let mut epochs = match arguments.kills {
        Some(kills) => many(arguments, sources, kills, &kinds),
        None if is_short && arguments.power => short_of_power(arguments, sources, &kinds),
        None => short(arguments, sources, &kinds, MIXED_IN_THE_SHORT_RUN),
    };
    if is_short && !arguments.power && arguments.source.is_none() {
        // What does not concern a stream has just been seen.
        let of_streams: Vec<Kind> = kinds
            .iter()
            .copied()
            .filter(|kind| !kind.is_possible(Sources::Stan, 0) || *kind == Kind::FailOver)
            .collect();
        epochs.extend(short(arguments, Sources::Both, &of_streams, MIXED_IN_THE_SHORT_RUN));
        if arguments.only.is_empty() {
            epochs.extend(self::epochs(&arguments.of_power())?);
        }
    }
    epochs.retain(|epoch| !epoch.alone.is_empty() || !epoch.mixed.is_empty());
    Ok(epochs)
}

fn kinds(arguments: &Arguments) -> Result<Vec<Kind>> {
    let asked: Vec<Kind> = match &arguments.only[..] {
        [] => Kind::all(arguments.power).collect(),
        only => only.to_owned(),
    };
    let mut kinds = Vec::new();
    for kind in asked {
        let needs = match kind {
            Kind::FillDisk | Kind::FillStreamDisk if !disk::is_possible() => "root",
            Kind::ShiftClock if !Clock::is_possible() => "libfaketime",
            kind if kind.is_of_memory() && !MemoryLimit::is_possible() => "root and cgroups",
            kind if kind.is_of_power() && !power::is_possible() => "root and /dev/fuse",
            kind if kind.is_of_power() != arguments.power => {
                bail!("{} comes with --power, and nothing else does", kind.name())
            }
            kind => {
                kinds.push(kind);
                continue;
            }
        };
        let name = kind.name();
        ensure!(
            std::env::var_os("CI").is_none(),
            "{name} needs {needs}, and where CI is set no fault is left out"
        );
        crate::say(&format!("{name} is left out: it needs {needs}"));
    }
    Ok(kinds)
}

/// Worlds of so many faults in all. In half of them the replicas have two addresses of
/// Postgres, and of the stream there are one server and three in turn.
fn many(arguments: &Arguments, sources: Sources, kills: usize, kinds: &[Kind]) -> Vec<Epoch> {
    let worlds = (arguments.seed..).zip((0..kills).step_by(KILLS_IN_A_WORLD));
    worlds
        .map(|(seed, done)| {
            let count = KILLS_IN_A_WORLD.min(kills - done);
            let servers = if seed / 2 % 2 == 0 { 1 } else { 3 };
            let kinds = possible(kinds, sources, servers);
            let mixed = mixed(seed, count, usize::from(arguments.replicas), &kinds);
            epoch(arguments, seed, sources, servers, Vec::new(), mixed)
        })
        .collect()
}

/// Each fault by itself as often as asked for, in as few worlds as it takes, and then some mixed.
fn short(arguments: &Arguments, sources: Sources, kinds: &[Kind], mix: usize) -> Vec<Epoch> {
    let replicas = usize::from(arguments.replicas);
    let rounds = arguments.alone.unwrap_or(1);
    let mix = if arguments.alone.is_some() { 0 } else { mix };
    let seed = arguments.seed;
    let alone = |kinds: &[Kind]| each(seed, replicas, &kinds.repeat(rounds));
    let first = possible(kinds, sources, 1);
    let rest = possible(kinds, sources, 3);
    // Once more what depends on how the replicas know of another primary.
    let left = rest.iter().copied();
    let left: Vec<_> =
        left.filter(|kind| !first.contains(kind) || kind.changes_primary()).collect();
    vec![
        epoch(arguments, seed, sources, 1, alone(&first), Vec::new()),
        epoch(arguments, seed, sources, 3, alone(&left), mixed(seed, mix, replicas, &rest)),
    ]
}

/// Each cut of the power once.
fn short_of_power(arguments: &Arguments, sources: Sources, kinds: &[Kind]) -> Vec<Epoch> {
    let kinds = possible(kinds, sources, 1);
    let cuts = each(arguments.seed, usize::from(arguments.replicas), &kinds);
    vec![epoch(arguments, arguments.seed, sources, 1, cuts, Vec::new())]
}

/// The kinds that have a target.
fn possible(kinds: &[Kind], sources: Sources, servers: usize) -> Vec<Kind> {
    kinds.iter().copied().filter(|kind| kind.is_possible(sources, servers)).collect()
}

fn epoch(
    arguments: &Arguments,
    seed: u64,
    sources: Sources,
    stream_servers: usize,
    alone: Vec<Fault>,
    mixed: Vec<Fault>,
) -> Epoch {
    let has = |kind| alone.iter().chain(&mixed).any(|fault: &Fault| fault.kind == kind);
    let settings = Settings {
        seed,
        rate: f64::from(arguments.rate),
        replicas: usize::from(arguments.replicas),
        sources,
        stream_servers,
        // Whatever the number of servers of the stream is.
        several_addresses: (seed + stream_servers as u64 / 2).is_multiple_of(2),
        binary: arguments.binary.clone(),
        with_disk: has(Kind::FillDisk),
        with_stream_disk: has(Kind::FillStreamDisk),
        with_clocks: has(Kind::ShiftClock),
        power: arguments.power,
        mutant: arguments.mutant,
    };
    Epoch { settings, alone, mixed }
}

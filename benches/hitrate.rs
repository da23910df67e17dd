//! How many lookups the cache answers when it has room for a part of the orders, and lookups are
//! for few orders often and for many seldom (Zipf's law), beside the best that could be done.
//!
//! `hitrate ORDERS LOOKUPS EXPONENT` prints a table. A miss puts the order into the cache, as
//! reading through does. The best is a cache that always holds the most wanted orders.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use waybill::cache::{Cache, Prepared};

/// Bytes of a document, and about what an order takes with it.
const DOCUMENT: usize = 1_000;
const ENTRY: usize = 1_070;

fn main() -> Result<()> {
    let usage = "usage: hitrate ORDERS LOOKUPS EXPONENT";
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().context(usage);
    let (orders, lookups): (usize, usize) = (next()?.parse()?, next()?.parse()?);
    let exponent: f64 = next()?.parse()?;
    let shares = cumulated(orders, exponent);
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "| room for | hits | of the most wanted orders alone | ratio |\n|---|---|---|---|"
    )?;
    for percent in [10, 25, 50] {
        let cache = Cache::new((orders * ENTRY * percent / 100) as u64);
        // The first half fills the cache, and only the second counts.
        hits(&cache, &shares, lookups / 2, 1);
        let ours = hits(&cache, &shares, lookups / 2, 2);
        let held = usize::try_from(cache.size().entries)?;
        let best = shares[held - 1];
        let (ours, best) = (ours * 100.0, best * 100.0);
        writeln!(out, "| {percent} % | {ours:.1} % | {best:.1} % | {:.3} |", ours / best)?;
    }
    Ok(())
}

/// The probability of each order and all that are wanted more.
#[expect(clippy::cast_precision_loss, reason = "ranks are far below 2^52")]
fn cumulated(orders: usize, exponent: f64) -> Vec<f64> {
    let weights = (1..=orders).map(|rank| (rank as f64).powf(-exponent));
    let sum: f64 = weights.clone().sum();
    let add = |total: &mut f64, weight: f64| {
        *total += weight / sum;
        Some(*total)
    };
    weights.scan(0.0, add).collect()
}

/// The share of `lookups` that the cache answered.
#[expect(clippy::cast_precision_loss, reason = "lookups are far below 2^52")]
fn hits(cache: &Cache, shares: &[f64], lookups: usize, seed: u64) -> f64 {
    let mut random = fastrand::Rng::with_seed(seed);
    let document = [b'x'; DOCUMENT];
    let mut found = 0;
    for _ in 0..lookups {
        let dice = random.f64();
        let rank = shares.partition_point(|share| *share < dice);
        let uid = format!("order-{rank:08}");
        if cache.get(&uid).is_some() {
            found += 1;
        } else {
            cache.insert(Prepared::from_row(&uid, &document).expect("a short id"));
        }
    }
    f64::from(found) / lookups as f64
}

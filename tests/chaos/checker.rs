//! The judgement after everything is healed and drained: both tables and every replica against
//! what the channel and the stream hold.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use anyhow::{Context as _, Result};
use testbed::unexpected_errors;
use tokio::time::{Instant, sleep};

use crate::http::Client;
use crate::ledger::{Digest, Expectation, History, digest};
use crate::origin::{Origin, Place};
use crate::replica::{FOLLOW_INTERVAL, Replica};
use crate::tables::Tables;
use crate::world::World;

/// Every kind of violation that can be found.
pub(crate) const VIOLATIONS: [&str; 14] = [
    "lost",
    "stale",
    "wrong",
    "changed",
    "resurrected",
    "unexpected",
    "duplicated",
    "unaccounted",
    "acked before commit",
    "not followed",
    "archive",
    "deadlocks",
    "error logged",
    "stuck",
];

/// The NATS client logs at ERROR that a server is away, which many of the faults bring about.
const BROKER_AWAY: [&str; 2] =
    ["async_nats::connector", "connection closed: reached maximum number of reconnects"];

/// Lookups in one go.
const AT_ONCE: usize = 50;

/// Beyond twice its interval, a follower has this much time: the machine is busy.
const FOLLOW_PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn check(world: &World) -> Result<()> {
    let tables = Tables::read(world).await?;
    check_tables(&mut world.ledger.history(), &tables);
    for replica in &world.replicas {
        check_followed(world, replica, &tables).await?;
    }
    // From here on every answer comes from memory, or is a "cannot tell".
    for replica in &world.replicas {
        replica.postgres_link.lock().await.cut().await;
    }
    for replica in &world.replicas {
        check_served(world, replica, &tables, "not followed", 503).await?;
    }
    for replica in &world.replicas {
        replica.postgres_link.lock().await.heal().await?;
    }
    for replica in &world.replicas {
        check_served(world, replica, &tables, "lost", 404).await?;
    }
    let expected = BROKER_AWAY.map(str::to_owned);
    for replica in &world.replicas {
        for line in unexpected_errors(&replica.log()?, &expected) {
            world.ledger.violation("error logged", format!("{}: {line}", replica.name));
        }
    }
    Ok(())
}

/// Every message has its one outcome, and every row its message.
fn check_tables(history: &mut History, Tables { orders, rejects }: &Tables) {
    let History { published, messages, failed_over, erased, vanished, lost_power, tally, .. } =
        history;
    // The service may have stored what its server then lost, and had never confirmed.
    let may_have_vanished = |place: &Place, digest: &Digest| {
        lost_power.contains(&place.0)
            && published.get(digest).is_some_and(|message| message.maybe > 0)
    };
    tally.messages += messages.len() as u64;
    tally.vanished += vanished.len() as u64;
    let mut copies: HashMap<Digest, u64> = HashMap::new();
    let mut expected_rejects = HashSet::new();
    let mut next: BTreeMap<Origin, u64> = BTreeMap::new();
    for (&place, entry) in messages.iter() {
        let expected = next.entry(place.0).or_insert(1);
        if place.1 != *expected {
            tally.violation(
                "unaccounted",
                format!("there is no message {expected} before {place:?}"),
            );
        }
        *expected = place.1 + 1;
        *copies.entry(entry.digest).or_default() += 1;
        if !entry.acked {
            tally.violation("unaccounted", format!("nobody acknowledged message {place:?}"));
        }
        let Some(message) = published.get(&entry.digest) else { continue };
        let reason = match &message.expectation {
            Expectation::Refused(reason) => *reason,
            Expectation::Order(uid) if erased.contains_key(uid) => {
                if orders.contains_key(uid) || rejects.contains_key(&(place, entry.digest)) {
                    let what = format!("message {place:?} is kept, of the erased order {uid}");
                    tally.violation("resurrected", what);
                }
                expected_rejects.insert((place, entry.digest));
                continue;
            }
            Expectation::Order(uid) => match orders.get(uid) {
                Some((document, _)) if *document == message.payload => continue,
                Some(_) => "conflict",
                None => {
                    tally.violation("lost", format!("message {place:?}: no order {uid}"));
                    continue;
                }
            },
        };
        match rejects.get(&(place, entry.digest)) {
            Some(found) if found == reason => {}
            Some(found) => tally
                .violation("wrong", format!("reject {place:?} says {found} instead of {reason}")),
            None => tally.violation("lost", format!("message {place:?}: no reject ({reason})")),
        }
        expected_rejects.insert((place, entry.digest));
    }
    let unexpected = rejects.iter().filter(|(key, _)| !expected_rejects.contains(*key));
    for ((place, digest), reason) in unexpected {
        if may_have_vanished(place, digest) {
            tally.rows_of_vanished += 1;
            continue;
        }
        // The order that it conflicted with went with the old primary, and it was put back itself.
        if *failed_over && reason == "conflict" {
            tally.superfluous_rejects += 1;
            continue;
        }
        tally.violation("unexpected", format!("reject {place:?} has no reason to be there"));
    }
    for (uid, (document, place)) in orders {
        let message = messages.get(place).and_then(|entry| published.get(&entry.digest));
        if message.is_some_and(|message| message.payload == *document) {
            continue;
        }
        if may_have_vanished(place, &digest(document)) {
            tally.rows_of_vanished += 1;
        } else {
            tally.violation("unexpected", format!("order {uid} is not message {place:?}"));
        }
    }
    for (digest, message) in published.iter() {
        let copies = copies.get(digest).copied().unwrap_or(0);
        let expected = message.confirmed..=message.confirmed + message.maybe;
        if !expected.contains(&copies) {
            let kind = if copies < message.confirmed { "lost" } else { "unexpected" };
            let what = format!("there are {copies} copies of a message instead of {expected:?}");
            tally.violation(kind, what);
        }
    }
}

/// Every order is in the replica's memory soon, also those that others have stored.
async fn check_followed(world: &World, replica: &Replica, tables: &Tables) -> Result<()> {
    let began = Instant::now();
    let patience = 2 * FOLLOW_INTERVAL + FOLLOW_PATIENCE;
    loop {
        let entries = replica.metric("waybill_cache_entries").await?;
        #[expect(clippy::cast_precision_loss, reason = "a number of orders")]
        let missing = tables.orders.len() as f64 - entries;
        if missing < 0.5 {
            return Ok(());
        }
        if began.elapsed() > patience {
            let what = format!("{} lacks {missing} orders after {patience:?}", replica.name);
            world.ledger.violation("not followed", what);
            return Ok(());
        }
        sleep(FOLLOW_INTERVAL / 4).await;
    }
}

/// Every order is served as it is stored; `missing` is the violation when it is not there, and
/// what nobody published is answered with `absent`.
async fn check_served(
    world: &World,
    replica: &Replica,
    tables: &Tables,
    missing: &'static str,
    absent: u16,
) -> Result<()> {
    let address = (*replica.address.borrow()).context("every replica runs")?;
    let mut client = Client::connect(address.site).await?;
    let orders: Vec<_> = tables.orders.iter().collect();
    let name = &replica.name;
    for part in orders.chunks(AT_ONCE) {
        let paths: Vec<_> = part.iter().map(|(uid, _)| format!("/api/v1/orders/{uid}")).collect();
        let paths: Vec<_> = paths.iter().map(String::as_str).collect();
        let answers = client.get_all(&paths).await?;
        let mut history = world.ledger.history();
        let History { served, tally, .. } = &mut *history;
        for ((uid, (document, _)), (status, body)) in part.iter().zip(answers) {
            tally.final_lookups += 1;
            if status != 200 {
                tally.violation(missing, format!("{name} answers {status} for {uid}"));
            } else if body != *document {
                tally.violation("wrong", format!("{name} serves {uid} otherwise than stored"));
            }
            if served.get(*uid).is_some_and(|before| before != document) {
                tally.violation("changed", format!("{uid} is stored otherwise than served before"));
            }
        }
    }
    for uid in world.ledger.all_erased() {
        let (status, _) = client.get(&format!("/api/v1/orders/{uid}")).await?;
        if status != 410 {
            let what = format!("{name} answers {status} for the erased order {uid}");
            world.ledger.violation("resurrected", what);
        }
    }
    let (status, _) = client.get("/api/v1/orders/nobody-published-this").await?;
    if status != absent {
        let what = format!("{name} answers {status} for an unknown order instead of {absent}");
        world.ledger.violation("wrong", what);
    }
    Ok(())
}

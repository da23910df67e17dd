//! Orders made up from a seed: varied and realistic, with bad and repeated ones among them on demand.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use fastrand::Rng;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::details::Details;
use crate::{OrderUid, Reason};

mod countries;
mod damage;
mod make;

/// How many of the latest good orders a duplicate is drawn from.
const RECENT_ORDERS: usize = 1000;

/// Which part of the messages is not a new order; each ratio is from 0 to 1, and so is their sum.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Mix {
    /// The part of messages that must be refused.
    pub bad_ratio: f64,
    /// The part of messages that repeat an earlier good one, byte for byte.
    pub duplicate_ratio: f64,
}

/// One message, and what must become of it in a service that has not seen the seed before.
#[derive(Debug, Clone)]
pub struct Generated {
    /// The id of the order. A bad message has one too if it bears a valid id; no order is then
    /// stored under it.
    pub uid: Option<OrderUid>,
    /// The bytes to be published.
    pub payload: Bytes,
    /// What must become of it.
    pub expected: Expected,
}

/// What must become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It is a new order, and is stored.
    Stored,
    /// It is the same as one before it; one of the two is stored, the other counted.
    Duplicate,
    /// It is kept as a reject.
    Refused(Reason),
}

/// `stored`, `duplicate`, or `refused:` and the reason.
impl fmt::Display for Expected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored => formatter.write_str("stored"),
            Self::Duplicate => formatter.write_str("duplicate"),
            Self::Refused(reason) => write!(formatter, "refused:{reason}"),
        }
    }
}

/// A text that is no [`Expected`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected is {0:?} and must be stored, duplicate or refused: with a reason")]
pub struct InvalidExpected(String);

impl FromStr for Expected {
    type Err = InvalidExpected;

    fn from_str(text: &str) -> Result<Self, InvalidExpected> {
        let reason = |name| Reason::ALL.into_iter().find(|reason| reason.as_str() == name);
        match text {
            "stored" => Some(Self::Stored),
            "duplicate" => Some(Self::Duplicate),
            _ => text.strip_prefix("refused:").and_then(reason).map(Self::Refused),
        }
        .ok_or_else(|| InvalidExpected(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Expected {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Expected {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An endless source of messages; the same seed and mix give the same messages.
#[derive(Debug)]
pub struct Generator {
    seed: u64,
    mix: Mix,
    rng: Rng,
    next_index: u64,
    /// The latest good orders, the latest last.
    recent: VecDeque<(OrderUid, Bytes)>,
}

impl Generator {
    /// A generator at its first message.
    #[must_use]
    pub fn new(seed: u64, mix: Mix) -> Self {
        Self {
            seed,
            mix,
            rng: Rng::with_seed(seed),
            next_index: 0,
            recent: VecDeque::with_capacity(RECENT_ORDERS),
        }
    }

    fn new_details(&mut self) -> (OrderUid, Details) {
        let text = uid_text(self.seed, self.next_index);
        let uid = OrderUid::try_from(text.as_str()).expect("19 hexadecimal digits are a valid id");
        self.next_index += 1;
        (uid, make::details(&mut self.rng, text))
    }

    fn good(&mut self) -> Generated {
        let (uid, details) = self.new_details();
        let payload = Bytes::from(make::document(&mut self.rng, &details));
        if self.recent.len() == RECENT_ORDERS {
            self.recent.pop_front();
        }
        self.recent.push_back((uid.clone(), payload.clone()));
        Generated { uid: Some(uid), payload, expected: Expected::Stored }
    }

    fn bad(&mut self) -> Generated {
        let (uid, details) = self.new_details();
        let damaged = damage::damaged(&mut self.rng, &details);
        Generated {
            uid: damaged.bears_uid.then_some(uid),
            payload: damaged.payload.into(),
            expected: Expected::Refused(damaged.reason),
        }
    }

    /// A message of before, if there was one.
    fn duplicate(&mut self) -> Option<Generated> {
        let (uid, payload) = self.rng.choice(&self.recent)?;
        Some(Generated {
            uid: Some(uid.clone()),
            payload: payload.clone(),
            expected: Expected::Duplicate,
        })
    }
}

impl Iterator for Generator {
    type Item = Generated;

    fn next(&mut self) -> Option<Generated> {
        let draw = self.rng.f64();
        if draw < self.mix.bad_ratio {
            return Some(self.bad());
        }
        let duplicate = if draw < self.mix.bad_ratio + self.mix.duplicate_ratio {
            self.duplicate()
        } else {
            None
        };
        duplicate.or_else(|| Some(self.good()))
    }
}

/// The id of the order `index` of `seed`, 19 hexadecimal digits: 16 that differ for every index
/// of a seed, because `mix_bits` maps no two numbers to the same, and 3 of the seed alone.
/// Two seeds share an id with a likelihood below 10⁻¹⁵, however many orders are made.
fn uid_text(seed: u64, index: u64) -> String {
    let start = mix_bits(seed);
    let order = mix_bits(start.wrapping_add(index));
    let seed_digits = mix_bits(!start) & 0xfff;
    format!("{order:016x}{seed_digits:03x}")
}

/// The finaliser of `SplitMix64`, a bijection that spreads every bit over all others.
fn mix_bits(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use super::*;
    use crate::Order;

    const MIXED: Mix = Mix { bad_ratio: 0.2, duplicate_ratio: 0.1 };

    fn parse(message: &Generated) -> Result<Order, crate::Refusal> {
        Order::parse(message.payload.clone(), 256 * 1024)
    }

    #[test]
    fn the_same_seed_gives_the_same_messages_and_another_gives_others() {
        let payloads = |seed| -> Vec<Bytes> {
            let generator = Generator::new(seed, MIXED).take(200);
            generator.map(|message| message.payload).collect()
        };
        assert_eq!(payloads(7), payloads(7));
        assert_ne!(payloads(7), payloads(8));
    }

    #[test]
    fn every_message_has_the_fate_it_says() {
        let mut reasons = BTreeSet::new();
        let mut seen = HashSet::new();
        for message in Generator::new(1, MIXED).take(20_000) {
            match (message.expected, parse(&message)) {
                (Expected::Stored, Ok(order)) => {
                    assert_eq!(Some(order.uid()), message.uid.as_ref());
                    assert!(seen.insert(order.into_parts()));
                }
                (Expected::Duplicate, Ok(order)) => {
                    assert_eq!(Some(order.uid()), message.uid.as_ref());
                    assert!(seen.contains(&order.into_parts()));
                }
                (Expected::Refused(reason), Err(refusal)) => {
                    assert_eq!(refusal.reason, reason, "{refusal}\n{message:?}");
                    reasons.insert(reason);
                    let bears_uid = message.uid.is_some_and(|uid| {
                        String::from_utf8_lossy(&message.payload).contains(uid.as_str())
                    });
                    let cannot = [Reason::Empty, Reason::IllegalUid].contains(&reason);
                    assert!(!(cannot && bears_uid), "{refusal}");
                }
                (expected, outcome) => panic!("{expected}, {outcome:?}\n{message:?}"),
            }
        }
        assert!(reasons.len() >= 12, "only {reasons:?}");
    }

    #[test]
    fn the_mix_is_what_was_asked_for() {
        let messages: Vec<_> = Generator::new(3, MIXED).take(20_000).collect();
        let count = |wanted: fn(&Expected) -> bool| {
            messages.iter().filter(|message| wanted(&message.expected)).count()
        };
        let bad = count(|expected| matches!(expected, Expected::Refused(_)));
        let duplicate = count(|expected| *expected == Expected::Duplicate);
        assert!((3800..4200).contains(&bad), "{bad}");
        assert!((1850..2150).contains(&duplicate), "{duplicate}");
        let plain = Generator::new(3, Mix::default()).take(5000);
        assert!({ plain }.all(|message| message.expected == Expected::Stored));
    }

    #[test]
    fn ids_differ_within_a_seed_and_between_seeds() {
        let mut uids = HashSet::new();
        for seed in [0, 1, 2, 42, u64::MAX] {
            for index in (0..50_000).chain(9_950_000..10_000_000) {
                let uid = uid_text(seed, index);
                assert_eq!(uid.len(), 19);
                assert!(uids.insert(uid), "seed {seed}, index {index}");
            }
        }
    }

    #[test]
    fn a_seed_may_be_counted_up_without_repeating_orders() {
        let uids: HashSet<_> =
            (0..1000).flat_map(|seed| (0..100).map(move |index| uid_text(seed, index))).collect();
        assert_eq!(uids.len(), 100_000);
    }

    #[test]
    fn the_sums_add_up_and_the_orders_vary() {
        let mut refunds = 0;
        let mut item_counts = BTreeSet::new();
        let mut currencies = BTreeSet::new();
        let mut bytes = 0;
        let mut with_line_ends = 0;
        let mut with_more_fields = 0;
        for message in Generator::new(5, Mix::default()).take(5000) {
            let order: Details = serde_json::from_slice(&message.payload).unwrap();
            let goods: i64 = order.items.iter().map(|item| item.total_price).sum();
            let payment = &order.payment;
            assert_eq!(payment.goods_total, goods);
            assert_eq!(payment.amount, goods + payment.delivery_cost + payment.custom_fee);
            for item in &order.items {
                assert_eq!(item.total_price, item.price * (100 - item.sale) / 100);
                assert_eq!(item.track_number, order.track_number);
            }
            let fields: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
            with_more_fields += usize::from(fields.as_object().unwrap().len() > 14);
            with_line_ends += usize::from(message.payload.contains(&b'\n'));
            refunds += usize::from(payment.amount < 0);
            item_counts.insert(order.items.len());
            currencies.insert(order.payment.currency);
            bytes += message.payload.len();
        }
        assert!((20..300).contains(&refunds), "{refunds}");
        assert!((100..1500).contains(&with_line_ends), "{with_line_ends}");
        assert!((100..1500).contains(&with_more_fields), "{with_more_fields}");
        assert_eq!(item_counts, (1..=6).collect());
        assert!(["USD", "JPY", "KWD"].iter().all(|&code| currencies.contains(code)));
        assert!((900..1200).contains(&(bytes / 5000)), "{} bytes", bytes / 5000);
    }

    #[test]
    fn what_is_kept_for_duplicates_is_bounded() {
        let mut generator = Generator::new(1, Mix::default());
        generator.by_ref().take(3000).for_each(drop);
        assert_eq!(generator.recent.len(), RECENT_ORDERS);
    }

    #[test]
    fn an_expectation_is_written_in_one_word() {
        let expected = [Expected::Stored, Expected::Duplicate, Expected::Refused(Reason::NotJson)];
        let json = serde_json::to_string(&expected).unwrap();
        assert_eq!(json, r#"["stored","duplicate","refused:not_json"]"#);
    }
}

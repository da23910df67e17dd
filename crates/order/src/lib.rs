//! What an order is: bytes in, an [`Order`] or a [`Refusal`] out. Knows nothing of channels,
//! databases or HTTP.

use std::fmt;

use bytes::Bytes;

mod date;
pub mod details;
pub mod generate;
mod named;
mod refusal;
mod scan;
mod schema;
mod uid;

pub use self::named::uids_named;
pub use self::refusal::{Reason, Refusal};
pub use self::uid::{InvalidUid, OrderUid};

use self::refusal::Fault;
use self::scan::Scanner;

/// An order that keeps every rule, with the very bytes it was published as.
#[derive(Clone, PartialEq, Eq)]
pub struct Order {
    uid: OrderUid,
    document: Bytes,
}

impl Order {
    /// Reads a message that should be an order of at most `max_bytes` bytes.
    ///
    /// The first rule broken, in the order of the bytes, is the one that is named; size and
    /// encoding come before all others.
    /// The cost is linear in the length of the message, and the stack used is bounded.
    pub fn parse(document: Bytes, max_bytes: usize) -> Result<Self, Refusal> {
        match read(&document, max_bytes) {
            Ok(uid) => Ok(Self { uid, document }),
            Err(fault) => Err(fault.into()),
        }
    }

    /// The id of the order.
    #[must_use]
    pub fn uid(&self) -> &OrderUid {
        &self.uid
    }

    /// The order exactly as it was published.
    #[must_use]
    pub fn document(&self) -> &Bytes {
        &self.document
    }

    /// The id and the bytes.
    #[must_use]
    pub fn into_parts(self) -> (OrderUid, Bytes) {
        (self.uid, self.document)
    }
}

/// Leaves the document out: it holds personal data and would end up in logs.
impl fmt::Debug for Order {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Order")
            .field("uid", &self.uid)
            .field("size_bytes", &self.document.len())
            .finish_non_exhaustive()
    }
}

fn read(document: &[u8], max_bytes: usize) -> Result<OrderUid, Fault> {
    if document.len() > max_bytes {
        let size = document.len();
        return Err(Fault::new(
            Reason::TooLarge,
            format!("{size} bytes, must be at most {max_bytes}"),
        ));
    }
    // The quick check does not say where; the one of the standard library does.
    let checked = simdutf8::basic::from_utf8(document);
    let text = checked.or_else(|_| std::str::from_utf8(document)).map_err(|error| {
        Fault::new(Reason::NotUtf8, format!("not UTF-8 from byte {} on", error.valid_up_to()))
    })?;
    let mut scanner = Scanner::new(text);
    scanner.skip_blanks();
    match scanner.peek() {
        None => {
            return Err(Fault::new(Reason::Empty, "expected a JSON object, found nothing"));
        }
        Some(b'{') => {}
        Some(_) => {
            let found = scanner.describe_value();
            scanner.skip_value(1)?;
            return Err(Fault::new(
                Reason::NotAnObject,
                format!("expected a JSON object, found {found}"),
            ));
        }
    }
    let uid = schema::read_order(&mut scanner)?;
    scanner.skip_blanks();
    match scanner.peek() {
        None => Ok(uid),
        Some(_) => Err(Fault::new(
            Reason::TrailingData,
            format!(
                "expected nothing after the object, found {} at byte {}",
                scanner.describe_next(),
                scanner.position()
            ),
        )),
    }
}

/// The table of messages is shared with the tests of the whole service.
#[cfg(test)]
#[path = "../../../tests/it/hostile/table.rs"]
mod hostile;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::details::Details;
    use super::hostile::{Expected, MAX_BYTES, cases};
    use super::*;

    const MODEL: &str = include_str!("../../../data/model.json");

    fn parse(document: impl Into<Bytes>) -> Result<Order, Refusal> {
        Order::parse(document.into(), MAX_BYTES)
    }

    #[test]
    fn every_hostile_message_has_the_fate_the_table_gives_it() {
        let mut wrong = Vec::new();
        for case in cases() {
            let outcome = parse(case.payload.clone());
            let right = match (&outcome, case.expected) {
                (Ok(order), Expected::Stored) => *order.document() == case.payload,
                (Err(refusal), Expected::Refused(reason)) => {
                    refusal.reason.as_str() == reason
                        && refusal.detail.contains(case.detail)
                        && refusal.detail.len() <= 300
                        && refusal.detail.bytes().all(|byte| (b' '..=b'~').contains(&byte))
                }
                _ => false,
            };
            if !right {
                wrong.push(format!("{}: {:?}, {outcome:?}", case.name, case.expected));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn the_table_names_every_reason_that_parsing_can_give() {
        let cases = cases();
        for reason in Reason::ALL {
            let by_the_store = matches!(reason, Reason::Conflict | Reason::Database);
            let in_table =
                cases.iter().any(|case| case.expected == Expected::Refused(reason.as_str()));
            assert_ne!(by_the_store, in_table, "{reason}");
        }
    }

    #[test]
    fn the_stored_messages_of_the_table_have_ids_of_their_own() {
        let stored = cases().into_iter().filter(|case| case.expected == Expected::Stored);
        let mut uids: Vec<_> = stored
            .filter_map(|case| parse(case.payload).ok())
            .map(|order| order.uid().clone())
            .collect();
        let count = uids.len();
        uids.sort_unstable();
        uids.dedup();
        assert_eq!(uids.len(), count);
    }

    #[test]
    fn an_escaped_id_means_what_it_means_unescaped() {
        let order = parse(MODEL.replacen("b563", r"\u0062\u0035\u00363", 1)).unwrap();
        assert_eq!(order.uid().as_str(), "b563feb7b2b84b6test");
    }

    #[test]
    fn every_field_of_the_model_is_required_and_may_stand_once() {
        let model: serde_json::Value = serde_json::from_str(MODEL).unwrap();
        let mut checked = 0;
        for object in ["", "/delivery", "/payment", "/items/0"] {
            let fields = model.pointer(object).unwrap().as_object().unwrap();
            for field in fields.keys() {
                let mut without = model.clone();
                let object_without = without.pointer_mut(object).unwrap();
                object_without.as_object_mut().unwrap().remove(field);
                let refusal = parse(without.to_string()).unwrap_err();
                assert_eq!(refusal.reason, Reason::MissingField);
                let pointer = format!("at {object}/{field}: missing");
                assert!(refusal.detail.starts_with(&pointer), "{refusal}");

                for (other, type_name) in [("null", "null"), ("false", "boolean")] {
                    let mut changed = model.clone();
                    let place = changed.pointer_mut(&format!("{object}/{field}")).unwrap();
                    *place = serde_json::from_str(other).unwrap();
                    let refusal = parse(changed.to_string()).unwrap_err();
                    assert_eq!(refusal.reason, Reason::WrongType, "{refusal}");
                    assert!(refusal.detail.ends_with(type_name), "{refusal}");
                }
                checked += 1;
            }
        }
        assert_eq!(checked, 42);
    }

    #[test]
    fn the_cost_is_linear_in_the_number_of_keys_and_items() {
        let end = MODEL.rfind('}').unwrap();
        let keys: Vec<_> = (0..100_000).map(|n| format!("\"\\u006b{n}\":[]")).collect();
        let many_keys = format!("{},{}}}", &MODEL[..end], keys.join(","));
        let many_values = format!("{},\"x\":[0{}]}}", &MODEL[..end], ",0".repeat(1_000_000));
        let (start, end) = (MODEL.find('[').unwrap() + 1, MODEL.find(']').unwrap());
        let item = MODEL[start..end].replace([' ', '\n'], "");
        let items = vec![item.as_str(); 100_000].join(",");
        let many_items = format!("{}{items}{}", &MODEL[..start], &MODEL[end..]);
        let started = Instant::now();
        for document in [many_keys, many_values, many_items] {
            assert!(Order::parse(document.into(), usize::MAX).is_ok());
        }
        // A cost in the square of 1,000,000 would take an hour.
        assert!(started.elapsed() < Duration::from_mins(1));
    }

    #[test]
    fn debug_does_not_show_what_was_ordered() {
        let order = parse(MODEL).unwrap();
        assert_eq!(
            format!("{order:?}"),
            "Order { uid: OrderUid(\"b563feb7b2b84b6test\"), size_bytes: 1101, .. }"
        );
    }

    /// The model with a few bytes replaced, removed or put in.
    fn mutated_model() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            proptest::sample::select(&b"{}[]\",:\\u0019-+.eEtfn \n\0\xff\xd8"[..]),
            any::<u8>()
        ];
        let edit =
            (any::<proptest::sample::Index>(), 0..4_usize, proptest::collection::vec(byte, 0..4));
        proptest::collection::vec(edit, 1..4).prop_map(|edits| {
            let mut bytes = MODEL.as_bytes().to_vec();
            for (index, removed, inserted) in edits {
                let start = index.index(bytes.len());
                let end = (start + removed).min(bytes.len());
                bytes.splice(start..end, inserted);
            }
            bytes
        })
    }

    fn check_against_serde_json(bytes: Vec<u8>) -> Result<(), TestCaseError> {
        let theirs = serde_json::from_slice::<Details>(&bytes);
        match parse(bytes) {
            Ok(order) => {
                let theirs = theirs.map_err(|error| TestCaseError::fail(error.to_string()))?;
                prop_assert_eq!(order.uid().as_str(), theirs.order_uid);
            }
            Err(refusal) => {
                prop_assert!(refusal.detail.len() <= 300);
                prop_assert!(refusal.detail.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            check_against_serde_json(bytes)?;
        }

        #[test]
        fn no_text_makes_it_panic(text in r#"[ {\["a:,1\\u0é\]}]{0,40}"#) {
            check_against_serde_json(text.into_bytes())?;
        }

        #[test]
        fn what_it_accepts_serde_json_reads_the_same(bytes in mutated_model()) {
            check_against_serde_json(bytes)?;
        }

        #[test]
        fn any_order_that_serde_json_writes_is_accepted_as_it_is(
            uid in "[A-Za-z0-9._~-]{3,128}", texts in proptest::collection::vec("[^\0]{0,20}", 6),
            numbers in any::<[i64; 6]>(), items in 0..4_usize, pretty: bool,
        ) {
            let mut details: Details = serde_json::from_str(MODEL).unwrap();
            details.order_uid.clone_from(&uid);
            details.delivery.name.clone_from(&texts[0]);
            details.delivery.address.clone_from(&texts[1]);
            details.payment.request_id.clone_from(&texts[2]);
            details.customer_id.clone_from(&texts[3]);
            details.payment.amount = numbers[0];
            details.payment.payment_dt = numbers[1];
            details.sm_id = numbers[2];
            details.items[0].brand.clone_from(&texts[4]);
            details.items[0].name.clone_from(&texts[5]);
            details.items[0].price = numbers[3];
            details.items[0].sale = numbers[4];
            details.items = vec![details.items[0].clone(); items];
            let bytes = if pretty { serde_json::to_vec_pretty(&details) } else { serde_json::to_vec(&details) };
            let bytes = Bytes::from(bytes.unwrap());
            let order = parse(bytes.clone()).unwrap();
            prop_assert_eq!(order.uid().as_str(), &uid);
            prop_assert_eq!(order.document(), &bytes);
        }
    }
}

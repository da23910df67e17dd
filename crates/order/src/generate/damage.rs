//! One message that must be refused, made out of a good order.

use fastrand::Rng;

use super::make::{add_member, document, pick};
use crate::Reason;
use crate::details::Details;

/// A message that is no order.
pub(super) struct Damaged {
    pub(super) payload: Vec<u8>,
    pub(super) reason: Reason,
    /// Whether the id of the order it was made from is still in it, valid and in its place.
    pub(super) bears_uid: bool,
}

/// How an order can be spoiled.
const WAYS: &[fn(&mut Rng, &Details) -> Damaged] = &[
    nothing,
    another_language,
    cut_short,
    in_an_array,
    twice,
    without_a_field,
    with_text_for_a_number,
    with_a_huge_number,
    with_another_uid,
    with_another_date,
    with_a_nul,
    with_a_broken_byte,
    with_a_second_uid,
    with_a_deep_field,
];

/// `details` spoiled in one of many ways.
pub(super) fn damaged(rng: &mut Rng, details: &Details) -> Damaged {
    pick(rng, WAYS)(rng, details)
}

fn with_uid(payload: impl Into<Vec<u8>>, reason: Reason) -> Damaged {
    Damaged { payload: payload.into(), reason, bears_uid: true }
}

fn without_uid(payload: impl Into<Vec<u8>>, reason: Reason) -> Damaged {
    Damaged { payload: payload.into(), reason, bears_uid: false }
}

fn nothing(rng: &mut Rng, _: &Details) -> Damaged {
    without_uid(*pick(rng, &["", " ", "\r\n"]), Reason::Empty)
}

fn another_language(rng: &mut Rng, _: &Details) -> Damaged {
    let texts = [
        "ping",
        "<html><body>502 Bad Gateway</body></html>",
        "order_uid,track_number\r\n1,2\r\n",
        "\u{feff}{}",
        "{'order_uid': 'x'}",
    ];
    without_uid(*pick(rng, &texts), Reason::NotJson)
}

fn cut_short(rng: &mut Rng, details: &Details) -> Damaged {
    let mut json = document(rng, details);
    let ends: Vec<_> = json.char_indices().map(|(place, _)| place).collect();
    // The first byte stays: nothing at all is refused for another reason.
    json.truncate(*pick(rng, &ends[1..]));
    without_uid(json, Reason::NotJson)
}

fn in_an_array(rng: &mut Rng, details: &Details) -> Damaged {
    let json = document(rng, details);
    without_uid(format!("[{json}]"), Reason::NotAnObject)
}

fn twice(rng: &mut Rng, details: &Details) -> Damaged {
    let json = document(rng, details);
    with_uid(format!("{json}\n{json}"), Reason::TrailingData)
}

fn without_a_field(rng: &mut Rng, details: &Details) -> Damaged {
    let json = document(rng, details);
    let fields = ["track_number", "phone", "amount", "chrt_id", "locale", "sm_id"];
    let field = format!("\"{}\"", pick(rng, &fields));
    with_uid(json.replacen(&field, "\"renamed\"", 1), Reason::MissingField)
}

fn with_text_for_a_number(rng: &mut Rng, details: &Details) -> Damaged {
    let value = *pick(rng, &["\"7\"", "null", "7.5", "1e3", "true", "[7]"]);
    with_uid(with_amount(details, value), Reason::WrongType)
}

fn with_a_huge_number(rng: &mut Rng, details: &Details) -> Damaged {
    let value = *pick(rng, &["9223372036854775808", "-99999999999999999999"]);
    with_uid(with_amount(details, value), Reason::NumberOutOfRange)
}

fn with_another_uid(rng: &mut Rng, details: &Details) -> Damaged {
    let long = "x".repeat(129);
    let uids = ["", ".", "..", "a/b", "a b", "../../etc/passwd", "заказ", &long];
    let mut details = details.clone();
    details.order_uid = pick(rng, &uids).to_string();
    without_uid(document(rng, &details), Reason::IllegalUid)
}

fn with_another_date(rng: &mut Rng, details: &Details) -> Damaged {
    let dates = ["", "yesterday", "2021-11-26", "2021-02-30T00:00:00Z", "0000-01-01T00:00:00Z"];
    let mut details = details.clone();
    details.date_created = pick(rng, &dates).to_string();
    with_uid(document(rng, &details), Reason::IllegalDate)
}

fn with_a_nul(rng: &mut Rng, details: &Details) -> Damaged {
    let mut details = details.clone();
    details.delivery.address.push('\0');
    with_uid(document(rng, &details), Reason::IllegalText)
}

fn with_a_broken_byte(rng: &mut Rng, details: &Details) -> Damaged {
    let mut payload = document(rng, details).into_bytes();
    let place = rng.usize(..payload.len());
    payload[place] = 0xff;
    without_uid(payload, Reason::NotUtf8)
}

fn with_a_second_uid(rng: &mut Rng, details: &Details) -> Damaged {
    let mut json = document(rng, details);
    add_member(&mut json, r#""order_uid":"another""#);
    with_uid(json, Reason::DuplicateKey)
}

fn with_a_deep_field(rng: &mut Rng, details: &Details) -> Damaged {
    let levels = *pick(rng, &[32, 100, 1000]);
    let mut json = document(rng, details);
    add_member(&mut json, &format!("\"deep\":{}{}", "[".repeat(levels), "]".repeat(levels)));
    with_uid(json, Reason::TooDeep)
}

/// The order with `value` for its amount.
fn with_amount(details: &Details, value: &str) -> String {
    let json = serde_json::to_string(details).expect("strings and integers can always be written");
    let amount = format!("\"amount\":{},", details.payment.amount);
    json.replacen(&amount, &format!("\"amount\":{value},"), 1)
}

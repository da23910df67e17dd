//! The fields of an order and their types, as in `data/model.json`.

use std::cell::Cell;

use super::date;
use super::refusal::{Fault, Reason};
use super::scan::Scanner;
use super::uid::OrderUid;

/// A field that an object must have.
struct Field {
    name: &'static str,
    kind: Kind,
}

/// What the value of a field must be.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Integer,
    Date,
    Uid,
    Object(&'static [Field]),
    /// An array, each element an object with these fields.
    Objects(&'static [Field]),
}

const ORDER: &[Field] = &[
    Field { name: "order_uid", kind: Kind::Uid },
    text("track_number"),
    text("entry"),
    Field { name: "delivery", kind: Kind::Object(DELIVERY) },
    Field { name: "payment", kind: Kind::Object(PAYMENT) },
    Field { name: "items", kind: Kind::Objects(ITEM) },
    text("locale"),
    text("internal_signature"),
    text("customer_id"),
    text("delivery_service"),
    text("shardkey"),
    integer("sm_id"),
    Field { name: "date_created", kind: Kind::Date },
    text("oof_shard"),
];

const DELIVERY: &[Field] = &[
    text("name"),
    text("phone"),
    text("zip"),
    text("city"),
    text("address"),
    text("region"),
    text("email"),
];

const PAYMENT: &[Field] = &[
    text("transaction"),
    text("request_id"),
    text("currency"),
    text("provider"),
    integer("amount"),
    integer("payment_dt"),
    text("bank"),
    integer("delivery_cost"),
    integer("goods_total"),
    integer("custom_fee"),
];

const ITEM: &[Field] = &[
    integer("chrt_id"),
    text("track_number"),
    integer("price"),
    text("rid"),
    text("name"),
    integer("sale"),
    text("size"),
    integer("total_price"),
    integer("nm_id"),
    text("brand"),
    integer("status"),
];

const fn text(name: &'static str) -> Field {
    Field { name, kind: Kind::Text }
}

const fn integer(name: &'static str) -> Field {
    Field { name, kind: Kind::Integer }
}

impl Kind {
    /// What is valid, for error texts.
    fn describe(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Integer => "an integer",
            Self::Date => "a string with a date",
            Self::Uid => "a string with the order's id",
            Self::Object(_) => "an object",
            Self::Objects(_) => "an array of objects",
        }
    }

    /// Whether a value that begins with `byte` is of the right JSON type.
    fn may_begin_with(self, byte: u8) -> bool {
        match self {
            Self::Text | Self::Date | Self::Uid => byte == b'"',
            Self::Integer => matches!(byte, b'-' | b'0'..=b'9'),
            Self::Object(_) => byte == b'{',
            Self::Objects(_) => byte == b'[',
        }
    }
}

/// Steps over the object that begins here, which must be an order, and returns its id.
pub(super) fn read_order(scanner: &mut Scanner<'_>) -> Result<OrderUid, Fault> {
    let mut uid = None;
    read_object(scanner, ORDER, 1, &mut uid)?;
    uid.ok_or_else(|| Fault::new(Reason::MissingField, "order_uid is missing"))
}

fn read_object(
    scanner: &mut Scanner<'_>,
    fields: &'static [Field],
    depth: usize,
    uid: &mut Option<OrderUid>,
) -> Result<(), Fault> {
    let mut seen = 0_u32;
    // Most orders have their fields in the order of the model.
    let mut next = 0;
    let likely = Cell::new(fields.first().map(|field| field.name));
    scanner.object(depth, &likely, |scanner, key, is_likely| {
        let place = if is_likely {
            next
        } else {
            let key = key.unescaped();
            match fields.iter().position(|field| field.name == key) {
                Some(place) => place,
                None => return scanner.skip_value(depth + 1),
            }
        };
        next = place + 1;
        likely.set(fields.get(next).map(|field| field.name));
        if seen & (1 << place) != 0 {
            let text = "given twice, a field of an order may stand once only";
            return Err(Fault::new(Reason::DuplicateKey, text));
        }
        seen |= 1 << place;
        read_value(scanner, fields[place].kind, depth + 1, uid)
    })?;
    for (place, field) in fields.iter().enumerate() {
        if seen & (1 << place) == 0 {
            let text = format!("missing, expected {}", field.kind.describe());
            return Err(Fault::new(Reason::MissingField, text).within(field.name));
        }
    }
    Ok(())
}

fn read_value(
    scanner: &mut Scanner<'_>,
    kind: Kind,
    depth: usize,
    uid: &mut Option<OrderUid>,
) -> Result<(), Fault> {
    if scanner.peek().is_none_or(|byte| !kind.may_begin_with(byte)) {
        return Err(wrong_type(scanner, kind, depth));
    }
    match kind {
        Kind::Text => scanner.skip_string().map(drop),
        Kind::Integer => check_integer(scanner.number()?),
        Kind::Date => check_date(&scanner.string()?.unescaped()),
        Kind::Uid => {
            *uid = Some(read_uid(&scanner.string()?.unescaped())?);
            Ok(())
        }
        Kind::Object(fields) => read_object(scanner, fields, depth, uid),
        Kind::Objects(fields) => scanner
            .array(depth, |scanner| read_value(scanner, Kind::Object(fields), depth + 1, uid)),
    }
}

/// The fault of a value that is not of `kind`, or the one within it if it is no JSON.
#[cold]
fn wrong_type(scanner: &mut Scanner<'_>, kind: Kind, depth: usize) -> Fault {
    let found = scanner.describe_value();
    match scanner.skip_value(depth) {
        Ok(()) => {
            Fault::new(Reason::WrongType, format!("expected {}, found {found}", kind.describe()))
        }
        Err(fault) => fault,
    }
}

fn read_uid(text: &str) -> Result<OrderUid, Fault> {
    OrderUid::try_from(text).map_err(|error| Fault::new(Reason::IllegalUid, error.to_string()))
}

fn check_date(text: &str) -> Result<(), Fault> {
    if date::is_valid(text) {
        return Ok(());
    }
    Err(Fault::new(Reason::IllegalDate, format!("expected {}", date::LEGAL)))
}

/// Checks a number that the scanner accepted; `-0` is an integer like any other.
fn check_integer(number: &str) -> Result<(), Fault> {
    if number.parse::<i64>().is_ok() { Ok(()) } else { Err(not_an_integer(number)) }
}

#[cold]
fn not_an_integer(number: &str) -> Fault {
    if number.contains(['.', 'e', 'E']) {
        let text = "expected an integer, found a number with a fraction or an exponent";
        return Fault::new(Reason::WrongType, text);
    }
    let text = format!("expected an integer from {} to {}", i64::MIN, i64::MAX);
    Fault::new(Reason::NumberOutOfRange, text)
}

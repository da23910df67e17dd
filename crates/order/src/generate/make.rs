//! One good order.

use fastrand::Rng;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use super::countries::{ARTICLES, CARRIERS, COUNTRIES, Country, PROVIDERS, SIZES};
use crate::details::{Delivery, Details, Item, Payment};

/// 2021-01-01, the first day of made-up orders, and the seconds of the five years after it.
const FIRST_DAY: i64 = 1_609_459_200;
const FIVE_YEARS: i64 = 5 * 365 * 24 * 60 * 60;

/// One order in this many is a refund.
const REFUNDS: u32 = 50;

/// The fields of an order with the id `uid`.
pub(super) fn details(rng: &mut Rng, uid: String) -> Details {
    let country = pick(rng, COUNTRIES);
    let track_number = format!("WB{}", digits(rng, 12));
    let is_refund = rng.u32(..REFUNDS) == 0;
    // Small orders are the usual ones.
    let item_count = (0..3).map(|_| rng.usize(1..=6)).min().unwrap_or(1);
    let items: Vec<_> =
        (0..item_count).map(|_| item(rng, country, &track_number, is_refund)).collect();
    let goods_total = items.iter().map(|item| item.total_price).sum();
    let payment = payment(rng, country, &uid, goods_total);
    Details {
        track_number,
        entry: "WBIL".into(),
        delivery: delivery(rng, country),
        items,
        locale: country.locale.into(),
        internal_signature: String::new(),
        customer_id: format!("c{}", digits(rng, 8)),
        delivery_service: pick(rng, CARRIERS).to_string(),
        shardkey: rng.u8(0..10).to_string(),
        sm_id: rng.i64(1..=120),
        date_created: date(rng, payment.payment_dt, country),
        oof_shard: rng.u8(1..=2).to_string(),
        payment,
        order_uid: uid,
    }
}

/// The order as JSON: mostly compact, sometimes for human eyes, sometimes with fields that the
/// service does not know.
pub(super) fn document(rng: &mut Rng, details: &Details) -> String {
    let json = if rng.u8(..8) == 0 {
        serde_json::to_string_pretty(details)
    } else {
        serde_json::to_string(details)
    };
    let mut json = json.expect("strings and integers can always be written");
    if rng.u8(..10) == 0 {
        let extra = pick(
            rng,
            &[
                r#""gift_wrap":true"#,
                r#""comment":"Leave it at the door 🚪 – спасибо!""#,
                r#""promo":{"code":"AUTUMN","percent":7.5},"tags":["vip",null,3]"#,
                r#""schema_version":2,"source":{"app":"ios","build":18446744073709551616}"#,
            ],
        );
        add_member(&mut json, extra);
    }
    json
}

/// Puts `member` at the end of the JSON object `json`, which must end with its brace.
pub(super) fn add_member(json: &mut String, member: &str) {
    json.pop();
    json.push(',');
    json.push_str(member);
    json.push('}');
}

fn item(rng: &mut Rng, country: &Country, track_number: &str, is_refund: bool) -> Item {
    let (name, brand) = *pick(rng, ARTICLES);
    let mut price = rng.i64(1..=300) * country.dollar + rng.i64(0..country.dollar);
    if is_refund {
        price = -price;
    }
    let sale = *pick(rng, &[0, 0, 0, 5, 10, 15, 30, 50, 70]);
    Item {
        chrt_id: rng.i64(1_000_000..100_000_000),
        track_number: track_number.into(),
        price,
        rid: format!("{:016x}{:05x}", rng.u64(..), rng.u32(..1 << 20)),
        name: name.into(),
        sale,
        size: pick(rng, SIZES).to_string(),
        total_price: price * (100 - sale) / 100,
        nm_id: rng.i64(1_000_000..100_000_000),
        brand: brand.into(),
        status: *pick(rng, &[200, 201, 202, 202, 202, 400]),
    }
}

fn payment(rng: &mut Rng, country: &Country, uid: &str, goods_total: i64) -> Payment {
    let is_refund = goods_total < 0;
    let delivery_cost = match rng.u8(..3) {
        0 => 0,
        _ if is_refund => 0,
        _ => rng.i64(1..=20) * country.dollar,
    };
    let custom_fee = match rng.u8(..10) {
        0 if !is_refund => goods_total / 5,
        _ => 0,
    };
    Payment {
        transaction: uid.into(),
        request_id: if rng.bool() { String::new() } else { digits(rng, 10) },
        currency: country.currency.into(),
        provider: pick(rng, PROVIDERS).to_string(),
        amount: goods_total + delivery_cost + custom_fee,
        payment_dt: FIRST_DAY + rng.i64(0..FIVE_YEARS),
        bank: pick(rng, country.banks).to_string(),
        delivery_cost,
        goods_total,
        custom_fee,
    }
}

fn delivery(rng: &mut Rng, country: &Country) -> Delivery {
    let (city, region) = *pick(rng, country.places);
    Delivery {
        name: pick(rng, country.names).to_string(),
        phone: format!("{}{}", country.phone, digits(rng, 9)),
        zip: digits(rng, country.zip_digits),
        city: city.into(),
        address: format!("{} {}", pick(rng, country.streets), rng.u8(1..=180)),
        region: region.into(),
        email: format!("customer.{}@example.com", digits(rng, 6)),
    }
}

/// A moment shortly before the payment, in UTC or in the country's time, sometimes with decimals.
fn date(rng: &mut Rng, payment_dt: i64, country: &Country) -> String {
    let mut moment = OffsetDateTime::from_unix_timestamp(payment_dt - rng.i64(0..600))
        .expect("five years after 2021 are in range");
    if rng.u8(..4) == 0 {
        moment += time::Duration::milliseconds(rng.i64(1..1000));
    }
    if rng.u8(..4) == 0 {
        let offset = UtcOffset::from_hms(country.utc_hours, 0, 0);
        moment = moment.to_offset(offset.expect("a few hours are a valid offset"));
    }
    moment.format(&Rfc3339).expect("whole hours and years of four digits can be written")
}

fn digits(rng: &mut Rng, count: usize) -> String {
    (0..count).map(|_| rng.digit(10)).collect()
}

pub(super) fn pick<'a, T>(rng: &mut Rng, choices: &'a [T]) -> &'a T {
    &choices[rng.usize(..choices.len())]
}

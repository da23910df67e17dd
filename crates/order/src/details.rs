//! The fields of an order by name, for those who read one (the page) or make one up (the generator).

use std::fmt;

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize};

/// Every field of the canonical order, `data/model.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// The id of the order, which is also its key.
    pub order_uid: String,
    /// The carrier's number for the parcel.
    pub track_number: String,
    /// Where the order came in.
    pub entry: String,
    /// Who gets it, and where they live.
    pub delivery: Delivery,
    /// How, when and how much was paid.
    pub payment: Payment,
    /// What was bought; may be empty.
    pub items: Vec<Item>,
    /// Language of the customer, such as `en`.
    pub locale: String,
    /// Signature of an internal system; often empty.
    pub internal_signature: String,
    /// Id of the customer who ordered.
    pub customer_id: String,
    /// Name of the carrier, such as `meest`.
    pub delivery_service: String,
    /// Shard of the sending system.
    pub shardkey: String,
    /// Id of the sending system's storage.
    #[serde(deserialize_with = "integer")]
    pub sm_id: i64,
    /// When the order was made, RFC 3339.
    pub date_created: String,
    /// Shard of the out-of-order storage.
    pub oof_shard: String,
}

/// What stands in place of a masked value, whatever its length was.
pub const MASK: &str = "***";

impl Details {
    /// The same order without what leads to the person: name, phone, postal code, address, email
    /// and the id of the customer are [`MASK`], empty ones too. Town and region stay.
    #[must_use]
    pub fn masked(mut self) -> Self {
        let Delivery { name, phone, zip, city: _, address, region: _, email } = &mut self.delivery;
        for personal in [name, phone, zip, address, email, &mut self.customer_id] {
            MASK.clone_into(personal);
        }
        self
    }
}

/// To whom an order goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// First and last name of the recipient.
    pub name: String,
    /// Telephone number with the country's code.
    pub phone: String,
    /// Postal code, as written in that country.
    pub zip: String,
    /// City or town of the recipient.
    pub city: String,
    /// Street and number of the house.
    pub address: String,
    /// Region or state of the recipient.
    pub region: String,
    /// Electronic mail address of the recipient.
    pub email: String,
}

/// How an order was paid. Amounts are whole numbers of `currency`, of its minor units (cents) or of
/// its major ones: an order does not say which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// The transaction at the payment provider.
    pub transaction: String,
    /// The request at the payment provider; often empty.
    pub request_id: String,
    /// ISO 4217 code, as sent.
    pub currency: String,
    /// Who handled the payment, such as `wbpay`.
    pub provider: String,
    /// The whole sum: goods, delivery and customs.
    #[serde(deserialize_with = "integer")]
    pub amount: i64,
    /// When it was paid, in seconds since 1970.
    #[serde(deserialize_with = "integer")]
    pub payment_dt: i64,
    /// The bank that paid, such as `alpha`.
    pub bank: String,
    /// What the delivery costs, as a part of the sum.
    #[serde(deserialize_with = "integer")]
    pub delivery_cost: i64,
    /// What all goods cost, as a part of the sum.
    #[serde(deserialize_with = "integer")]
    pub goods_total: i64,
    /// Customs fee, as a part of the sum; 0 for none.
    #[serde(deserialize_with = "integer")]
    pub custom_fee: i64,
}

/// One line of an order. Amounts are as in [`Payment`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Id of the characteristic (a colour and size of an article).
    #[serde(deserialize_with = "integer")]
    pub chrt_id: i64,
    /// The carrier's number for the parcel this item is in.
    pub track_number: String,
    /// Price before the discount of `sale`.
    #[serde(deserialize_with = "integer")]
    pub price: i64,
    /// Id of this line of the order.
    pub rid: String,
    /// Name of the article, for people.
    pub name: String,
    /// Discount in percent of the price.
    #[serde(deserialize_with = "integer")]
    pub sale: i64,
    /// Size, as printed on the label.
    pub size: String,
    /// Price after the discount of `sale`.
    #[serde(deserialize_with = "integer")]
    pub total_price: i64,
    /// Id of the article at the seller.
    #[serde(deserialize_with = "integer")]
    pub nm_id: i64,
    /// Brand of the article, for people.
    pub brand: String,
    /// Status code of the sending system.
    #[serde(deserialize_with = "integer")]
    pub status: i64,
}

/// Reads an integer as [`Order::parse`](super::Order::parse) does: `serde_json` takes `-0` for a
/// floating point number and would refuse a stored order that has one.
fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    struct Integer;

    impl Visitor<'_> for Integer {
        type Value = i64;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an integer of 64 bits")
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
            Ok(number)
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
            i64::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
        }

        fn visit_f64<E: Error>(self, number: f64) -> Result<i64, E> {
            if number == 0.0 {
                Ok(0)
            } else {
                Err(E::invalid_type(Unexpected::Float(number), &self))
            }
        }
    }

    deserializer.deserialize_i64(Integer)
}

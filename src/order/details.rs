//! The fields of an order by name, for those who read one (the page) or make one up (the generator).

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
    /// To whom it goes.
    pub delivery: Delivery,
    /// How it was paid.
    pub payment: Payment,
    /// What was bought; may be empty.
    pub items: Vec<Item>,
    /// Language of the customer.
    pub locale: String,
    /// Signature of an internal system; often empty.
    pub internal_signature: String,
    /// Who ordered.
    pub customer_id: String,
    /// Which service delivers.
    pub delivery_service: String,
    /// Shard of the sending system.
    pub shardkey: String,
    /// Id of the sending system's storage.
    pub sm_id: i64,
    /// When the order was made, RFC 3339.
    pub date_created: String,
    /// Shard of the out-of-order storage.
    pub oof_shard: String,
}

/// To whom an order goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Name of the recipient.
    pub name: String,
    /// Telephone number.
    pub phone: String,
    /// Postal code.
    pub zip: String,
    /// City.
    pub city: String,
    /// Street and house.
    pub address: String,
    /// Region.
    pub region: String,
    /// Electronic mail address.
    pub email: String,
}

/// How an order was paid. Amounts are in minor units of `currency`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// The transaction at the payment provider.
    pub transaction: String,
    /// The request at the payment provider; often empty.
    pub request_id: String,
    /// ISO 4217 code, as sent.
    pub currency: String,
    /// The payment provider.
    pub provider: String,
    /// The whole sum.
    pub amount: i64,
    /// When it was paid, in seconds since 1970.
    pub payment_dt: i64,
    /// The bank.
    pub bank: String,
    /// What the delivery costs.
    pub delivery_cost: i64,
    /// What the goods cost.
    pub goods_total: i64,
    /// Customs fee.
    pub custom_fee: i64,
}

/// One line of an order. Amounts are in minor units of the payment's currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Id of the characteristic (a colour and size of an article).
    pub chrt_id: i64,
    /// The carrier's number for the parcel this item is in.
    pub track_number: String,
    /// Price before the sale.
    pub price: i64,
    /// Id of this line.
    pub rid: String,
    /// Name of the article.
    pub name: String,
    /// Sale in percent.
    pub sale: i64,
    /// Size, as printed on the label.
    pub size: String,
    /// Price after the sale.
    pub total_price: i64,
    /// Id of the article.
    pub nm_id: i64,
    /// Brand.
    pub brand: String,
    /// Status code of the sending system.
    pub status: i64,
}

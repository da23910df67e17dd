//! Every text of the pages in every language.

mod english;
mod russian;

use order::InvalidUid;

pub(super) use english::ENGLISH;
pub(super) use russian::RUSSIAN;

/// The texts of one language. A language without one of them does not compile.
pub(super) struct Texts {
    /// The name of the language itself, on the link that changes to it.
    pub(super) language: &'static str,
    pub(super) months: [&'static str; 12],
    pub(super) find_an_order: &'static str,
    pub(super) type_the_id: &'static str,
    pub(super) for_example: &'static str,
    pub(super) order_id: &'static str,
    pub(super) find: &'static str,
    pub(super) not_given: &'static str,
    pub(super) order: Order,
    pub(super) payment: Payment,
    pub(super) items: Items,
    pub(super) record: Record,
    pub(super) no_such_order: Message,
    pub(super) erased: Message,
    pub(super) cannot_tell: Message,
    pub(super) not_an_id: Message,
    pub(super) no_such_page: Message,
    pub(super) method: Message,
    pub(super) internal: Message,
    pub(super) no_token: Message,
    pub(super) bad_token: Message,
    pub(super) not_allowed: Message,
    pub(super) cannot_verify: Message,
    /// That the personal fields of an order are masked.
    pub(super) masked: &'static str,
    /// Before the moment at which the database was asked.
    pub(super) asked_at: &'static str,
    /// Why a text is no id, as a clause.
    pub(super) why_not: fn(&InvalidUid) -> String,
    pub(super) minor_units_of: fn(&str) -> String,
    /// In place of the currency of major units.
    pub(super) no_currency: &'static str,
}

/// The head of an order, and where it goes.
pub(super) struct Order {
    pub(super) title: &'static str,
    pub(super) placed: &'static str,
    pub(super) track_number: &'static str,
    pub(super) carrier: &'static str,
    pub(super) delivery: &'static str,
    pub(super) name: &'static str,
    pub(super) address: &'static str,
    pub(super) city: &'static str,
    pub(super) region: &'static str,
    pub(super) postal_code: &'static str,
    pub(super) phone: &'static str,
    pub(super) email: &'static str,
    pub(super) as_json: &'static str,
    pub(super) copy_link: &'static str,
    pub(super) link_copied: &'static str,
    pub(super) link_not_copied: &'static str,
}

/// How an order was paid.
pub(super) struct Payment {
    pub(super) title: &'static str,
    pub(super) amount: &'static str,
    pub(super) paid: &'static str,
    pub(super) bank: &'static str,
    pub(super) provider: &'static str,
    pub(super) transaction: &'static str,
    pub(super) request: &'static str,
    pub(super) goods: &'static str,
    pub(super) customs: &'static str,
    /// How numbers without decimals in the document are read.
    pub(super) read_as_minor_units: &'static str,
    pub(super) read_as_major_units: &'static str,
}

/// What was bought.
pub(super) struct Items {
    pub(super) title: &'static str,
    pub(super) prices_in: &'static str,
    pub(super) none: &'static str,
    pub(super) name: &'static str,
    pub(super) brand: &'static str,
    pub(super) size: &'static str,
    pub(super) article: &'static str,
    /// Of the sending system; what the codes mean is its own.
    pub(super) status: &'static str,
    pub(super) price: &'static str,
    pub(super) sale: &'static str,
    pub(super) total: &'static str,
}

/// What the sending system noted for itself.
pub(super) struct Record {
    pub(super) title: &'static str,
    pub(super) customer: &'static str,
    pub(super) entry: &'static str,
    pub(super) locale: &'static str,
    pub(super) signature: &'static str,
    pub(super) shard_key: &'static str,
    pub(super) storage_id: &'static str,
    pub(super) out_of_order_shard: &'static str,
}

/// A page that is not an order.
pub(super) struct Message {
    pub(super) title: &'static str,
    /// Made of what it is about: an id, a reason, a list of methods, a time.
    pub(super) text: fn(&str) -> String,
    pub(super) advice: &'static str,
}

//! English.

use order::InvalidUid;

use super::{Items, Message, Order, Payment, Record, Texts};

pub(in super::super) static ENGLISH: Texts = Texts {
    language: "English",
    months: [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    find_an_order: "Find an order",
    type_the_id: "Type the id of an order, or paste the address of its page.",
    for_example: "For example",
    order_id: "Order id",
    find: "Find",
    not_given: "not given",
    order: Order {
        title: "Order",
        placed: "Placed",
        track_number: "Track number",
        carrier: "Carrier",
        delivery: "Delivery",
        name: "Name",
        address: "Address",
        city: "City",
        region: "Region",
        postal_code: "Postal code",
        phone: "Phone",
        email: "Email",
        as_json: "This order as JSON",
        copy_link: "Copy link",
        link_copied: "The link is copied.",
        link_not_copied: "The link could not be copied.",
    },
    payment: Payment {
        title: "Payment",
        amount: "Amount",
        paid: "Paid",
        bank: "Bank",
        provider: "Provider",
        transaction: "Transaction",
        request: "Request",
        goods: "Goods",
        customs: "Customs",
        read_as_minor_units: "The order has whole numbers; they are read as minor units, such as cents.",
        read_as_major_units: "The order has whole numbers; they are read as major units, such as dollars, not as cents.",
    },
    items: Items {
        title: "Items",
        prices_in: "prices in",
        none: "This order has no items.",
        name: "Name",
        brand: "Brand",
        size: "Size",
        article: "Article no.",
        status: "Status code",
        price: "Price",
        sale: "Sale",
        total: "Total",
    },
    record: Record {
        title: "Record",
        customer: "Customer",
        entry: "Entry",
        locale: "Locale",
        signature: "Signature",
        shard_key: "Shard key",
        storage_id: "Storage id",
        out_of_order_shard: "Out-of-order shard",
    },
    no_such_order: Message {
        title: "No such order",
        text: |uid| format!("No order with the id {uid} is known here."),
        advice: "Check the id: capital and small letters differ. An order made just now may take a moment to arrive.",
    },
    erased: Message {
        title: "Order erased",
        text: |uid| {
            format!("The order with the id {uid} was erased and is not kept here any more.")
        },
        advice: "This is for good. Whoever runs this service can tell why it was erased.",
    },
    cannot_tell: Message {
        title: "Cannot tell right now",
        text: |seconds| {
            let wait =
                if seconds == "1" { "a second".into() } else { format!("{seconds} seconds") };
            format!(
                "We cannot tell right now whether this order exists. Reload this page in {wait}."
            )
        },
        advice: "The database cannot be asked at the moment. No order is lost by this.",
    },
    not_an_id: Message {
        title: "Not an order id",
        text: |why| format!("This cannot be the id of an order: {why}."),
        advice: "An id has 1 to 128 characters: letters A to Z, digits, and - . _ ~",
    },
    no_such_page: Message {
        title: "No such page",
        text: |_| "There is no page at this address.".to_owned(),
        advice: "An order has its page at /orders/ followed by its id.",
    },
    method: Message {
        title: "Method not allowed",
        text: |allowed| format!("This page can be asked for with {allowed} only."),
        advice: "Orders are looked up here; they cannot be changed.",
    },
    internal: Message {
        title: "Something went wrong",
        text: |_| "This page could not be made. The fault is ours and has been logged.".to_owned(),
        advice: "Trying again may help; if it does not, tell whoever runs this service.",
    },
    no_token: Message {
        title: "Access token needed",
        text: |_| {
            "Orders are shown to those with an access token, and this request had none.".to_owned()
        },
        advice: "Open this page at the address where your organisation signs you in. If there is none, ask whoever runs this service.",
    },
    bad_token: Message {
        title: "Access token not accepted",
        text: |_| {
            "The access token of this request has ended, or is not for this service.".to_owned()
        },
        advice: "Sign in again, then reload this page. If that does not help, tell whoever runs this service.",
    },
    not_allowed: Message {
        title: "Not allowed to see orders",
        text: |_| "Your access token is good, but does not allow you to see orders.".to_owned(),
        advice: "Ask whoever grants access for orders:read, or for orders:read:masked to see orders without personal data.",
    },
    cannot_verify: Message {
        title: "Cannot check access right now",
        text: |seconds| {
            format!(
                "Whether your access token is good cannot be told right now. Reload this page in {seconds} seconds."
            )
        },
        advice: "The keys of those who issue access tokens cannot be had at the moment.",
    },
    masked: "Personal fields are masked: your access does not include them.",
    asked_at: "The database was asked on",
    why_not,
    minor_units_of: |code| match code {
        "" => "minor units, no currency given".to_owned(),
        code => format!("minor units of {code}"),
    },
    no_currency: "no currency given",
};

fn why_not(invalid: &InvalidUid) -> String {
    match invalid {
        InvalidUid::Empty => "it is empty".to_owned(),
        InvalidUid::TooLong => "it is longer than 128 characters".to_owned(),
        InvalidUid::DotSegment => "it consists of dots alone".to_owned(),
        InvalidUid::Character { character, position } => {
            let character = character.escape_debug();
            format!("character {position} is “{character}”, which an id does not have")
        }
    }
}

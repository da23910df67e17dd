//! The page for people: a search form, one order laid out to read and print, and what to say when there is none.

mod moment;
mod money;

use std::sync::Arc;

use askama::Template;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use order::details::Details;

use self::money::Currency;
use crate::http::html::html;
use crate::log_limit::LogLimit;

/// Shown below the search form; the id of `data/model.json`.
const EXAMPLE_UID: &str = "b563feb7b2b84b6test";

#[derive(Template)]
#[template(path = "index.html")]
struct IndexPage<'a> {
    base: &'a str,
    example: &'static str,
}

#[derive(Template)]
#[template(path = "order.html")]
struct OrderPage<'a> {
    base: &'a str,
    order: &'a Details,
    currency: Currency<'a>,
    placed: String,
    paid: String,
}

/// Every answer that is not an order; each offers the search form again.
#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage<'a> {
    base: &'a str,
    status: u16,
    title: &'a str,
    text: String,
    advice: &'a str,
    /// What the search form is filled with, so that a slip can be mended in place.
    uid: &'a str,
}

/// Makes the pages. Their links begin with the path under which people see the site.
#[derive(Debug, Clone, Default)]
pub struct Pages {
    base_path: Arc<str>,
    /// Bounds how often a document that cannot be read is logged.
    unreadable: Arc<LogLimit>,
}

impl Pages {
    /// `base_path` is empty, or begins with a slash and does not end with one.
    #[must_use]
    pub fn new(base_path: &str) -> Self {
        Self { base_path: base_path.into(), unreadable: Arc::default() }
    }

    /// The page with the search form alone, at `/`.
    #[must_use]
    pub fn index(&self) -> Response {
        let page = IndexPage { base: &self.base_path, example: EXAMPLE_UID };
        html(StatusCode::OK, &page, &HeaderValue::from_static("no-cache"))
    }

    /// One order laid out to read and print.
    ///
    /// A document that is not an order answers 500; none such is ever stored.
    #[must_use]
    pub fn order(&self, document: &[u8], cache_control: &HeaderValue) -> Response {
        let order: Details = match serde_json::from_slice(document) {
            Ok(order) => order,
            Err(error) => {
                self.log_unreadable(&error);
                return self.internal();
            }
        };
        let page = OrderPage {
            base: &self.base_path,
            currency: Currency::new(&order.payment.currency),
            placed: moment::from_rfc3339(&order.date_created),
            paid: moment::from_unix(order.payment.payment_dt),
            order: &order,
        };
        html(StatusCode::OK, &page, cache_control)
    }

    fn log_unreadable(&self, error: &serde_json::Error) {
        let Some(held_back) = self.unreadable.due() else { return };
        // The error's own text may quote the document, which is personal.
        tracing::error!(
            kind = ?error.classify(),
            line = error.line(),
            column = error.column(),
            held_back,
            "Stored document cannot be read as an order"
        );
    }

    /// 404: Postgres was asked and has no such order.
    #[must_use]
    pub fn not_found(&self, uid: &str) -> Response {
        self.message(
            StatusCode::NOT_FOUND,
            "No such order",
            format!("No order with the id {uid} is known here."),
            "Check the id: capital and small letters differ. An order made just now may take a moment to arrive.",
            uid,
        )
    }

    /// 503: Postgres could not be asked, so "no such order" would be a guess.
    #[must_use]
    pub fn cannot_tell(&self, retry_after_seconds: u32) -> Response {
        let wait = match retry_after_seconds {
            0 | 1 => "a second".to_owned(),
            seconds => format!("{seconds} seconds"),
        };
        let mut response = self.message(
            StatusCode::SERVICE_UNAVAILABLE,
            "Cannot tell right now",
            format!(
                "We cannot tell right now whether this order exists. Reload this page in {wait}."
            ),
            "The database cannot be asked at the moment. No order is lost by this.",
            "",
        );
        response.headers_mut().insert(header::RETRY_AFTER, retry_after_seconds.into());
        response
    }

    /// 400: what stands in place of the id cannot be one; `detail` says why, as a clause.
    #[must_use]
    pub fn bad_uid(&self, detail: &str) -> Response {
        self.message(
            StatusCode::BAD_REQUEST,
            "Not an order id",
            format!("This cannot be the id of an order: {detail}."),
            "An id has 1 to 128 characters: letters A to Z, digits, and - . _ ~",
            "",
        )
    }

    /// 404: nothing is served at this address.
    #[must_use]
    pub fn unknown_address(&self) -> Response {
        self.message(
            StatusCode::NOT_FOUND,
            "No such page",
            "There is no page at this address.".to_owned(),
            "An order has its page at /orders/ followed by its id.",
            "",
        )
    }

    /// 405; `allow` lists the methods that are, as in `GET, HEAD`.
    #[must_use]
    pub fn method_not_allowed(&self, allow: &'static str) -> Response {
        let mut response = self.message(
            StatusCode::METHOD_NOT_ALLOWED,
            "Method not allowed",
            format!("This page can be asked for with {allow} only."),
            "Orders are looked up here; they cannot be changed.",
            "",
        );
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
        response
    }

    /// 500: a fault of ours, told in the log and not to the reader.
    #[must_use]
    pub fn internal(&self) -> Response {
        self.message(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something went wrong",
            "This page could not be made. The fault is ours and has been logged.".to_owned(),
            "Trying again may help; if it does not, tell whoever runs this service.",
            "",
        )
    }

    fn message(
        &self,
        status: StatusCode,
        title: &str,
        text: String,
        advice: &str,
        uid: &str,
    ) -> Response {
        let base = &self.base_path;
        let page = MessagePage { base, status: status.as_u16(), title, text, advice, uid };
        html(status, &page, &HeaderValue::from_static("no-store"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::http::site::transcript;

    const MODEL: &[u8] = include_bytes!("../../../data/model.json");
    const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("private, no-cache");

    fn pages() -> Pages {
        Pages::default()
    }

    fn model() -> Value {
        serde_json::from_slice(MODEL).unwrap()
    }

    fn order_page(document: &Value) -> String {
        let response = pages().order(document.to_string().as_bytes(), &CACHE_CONTROL);
        assert_eq!(response.status(), StatusCode::OK);
        transcript(response)
    }

    /// Puts `text` into every text field of the document.
    fn fill(document: &mut Value, text: &str) {
        match document {
            Value::String(field) => text.clone_into(field),
            Value::Array(elements) => elements.iter_mut().for_each(|element| fill(element, text)),
            Value::Object(members) => members.values_mut().for_each(|member| fill(member, text)),
            _ => {}
        }
    }

    fn filled(text: &str) -> Value {
        let mut document = model();
        fill(&mut document, text);
        document
    }

    #[test]
    fn the_order_page_shows_every_field_a_person_reads() {
        insta::assert_snapshot!(transcript(pages().order(MODEL, &CACHE_CONTROL)));
    }

    #[test]
    fn an_odd_order_is_laid_out_without_guessing() {
        let mut document = filled("");
        document["order_uid"] = "odd".into();
        document["date_created"] = "2021-11-26T06:22:19+03:00".into();
        document["payment"]["currency"] = "XYZ".into();
        document["payment"]["amount"] = (-1817).into();
        document["payment"]["payment_dt"] = i64::MIN.into();
        document["items"][0]["track_number"] = "ANOTHER".into();
        insta::assert_snapshot!(order_page(&document));

        document["items"] = Value::Array(Vec::new());
        assert!(order_page(&document).contains("This order has no items."));
    }

    #[test]
    fn every_other_page_says_what_is_the_matter() {
        let pages = [
            ("index", pages().index()),
            ("not_found", pages().not_found("b563feb7b2b84b6test")),
            ("cannot_tell", pages().cannot_tell(2)),
            ("bad_uid", pages().bad_uid("character \"<\" at 3 is not allowed")),
            ("unknown_address", pages().unknown_address()),
            ("method_not_allowed", pages().method_not_allowed("GET, HEAD")),
            ("internal", pages().internal()),
        ];
        for (name, page) in pages {
            insta::assert_snapshot!(name, transcript(page));
        }
    }

    #[test]
    fn what_is_not_an_order_answers_500_and_quotes_nothing() {
        let unreadable = pages().order(br#"{"order_uid": "secret"}"#, &CACHE_CONTROL);
        assert_eq!(transcript(unreadable), transcript(pages().internal()));
    }

    #[test]
    fn no_text_of_an_order_becomes_markup() {
        let marks = |page: &str| ["<", ">", "\"", "'"].map(|mark| page.matches(mark).count());
        let harmless = order_page(&filled("harmless"));
        for hostile in [
            "<script>alert(1)</script>",
            "\"><img src=x onerror=alert(1)>",
            "' onmouseover='alert(1)",
            "</textarea></title></style><svg/onload=alert(1)>",
            "<!-- ",
            "]]></bdi></dd>",
            "{{ order.payment }}{% raw %}",
        ] {
            let page = order_page(&filled(hostile));
            assert_eq!(marks(&page), marks(&harmless), "{hostile}");
            if hostile.contains(['<', '"', '\'']) {
                assert!(!page.contains(hostile), "{hostile}");
            }
        }
        // An entity of the sender's is text as well.
        assert!(order_page(&filled("&lt;b&gt;")).contains("&#38;lt;b&#38;gt;"));

        let marked = marks(&transcript(pages().not_found("harmless")));
        assert_eq!(marks(&transcript(pages().not_found("\"'><script>"))), marked);
    }

    #[test]
    fn no_text_of_an_order_turns_the_direction_of_the_page() {
        let override_rtl = "\u{202e}gnorw";
        let mut document = filled(override_rtl);
        // The id has no such characters: it is checked before it is stored.
        document["order_uid"] = "b563feb7b2b84b6test".into();
        let page = order_page(&document);

        let mut rest = page.as_str();
        let mut outside = String::new();
        while let Some((before, isolated)) = rest.split_once("<bdi>") {
            outside += before;
            rest = isolated.split_once("</bdi>").unwrap().1;
        }
        outside += rest;
        assert!(page.matches(override_rtl).count() > 20);
        assert!(!outside.contains(override_rtl), "{outside}");
    }

    #[test]
    fn every_page_is_whole_without_scripts_and_strangers() {
        for page in [pages().order(MODEL, &CACHE_CONTROL), pages().index(), pages().not_found("x")]
        {
            let page = transcript(page);
            for word in ["<script", " style=", "<style", "http:", "https:", "//"] {
                assert!(!page.contains(word), "{word} in {page}");
            }
            assert!(page.contains("action=\"/orders\""));
        }
    }

    #[test]
    fn every_link_begins_with_the_base_path() {
        let pages = Pages::new("/shop/way-bill");
        for page in [pages.order(MODEL, &CACHE_CONTROL), pages.index(), pages.not_found("x")] {
            let page = transcript(page);
            let links = page.split(['=', ' ', '>']).filter(|word| word.starts_with("\"/"));
            let links: Vec<_> = links.collect();
            assert!(links.len() > 3, "{page}");
            for link in links {
                assert!(link.starts_with("\"/shop/way-bill/"), "{link}");
            }
        }
    }
}

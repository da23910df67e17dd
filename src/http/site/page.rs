//! The page for people: a search form, one order laid out to read and print, and what to say when
//! there is none. In the language of the reader.

mod language;
mod moment;
mod money;
mod texts;
mod typed;

use std::sync::Arc;

use askama::Template;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use order::InvalidUid;
use order::details::Details;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

pub(super) use self::language::Language;
use self::money::Currency;
use self::texts::{Message, Texts};
pub(super) use self::typed::uid as typed_uid;
use crate::http::html::html;
use crate::log_limit::LogLimit;

/// Shown below the search form; the id of `data/model.json`.
const EXAMPLE_UID: &str = "b563feb7b2b84b6test";

/// The most characters of what was typed that are offered to be mended.
const MOST_TYPED: usize = 512;

/// What every page has around it.
struct Frame {
    /// As in `<html lang>`.
    language: &'static str,
    texts: &'static Texts,
    /// The tag of the language that a reader may change to, its name, and where that is done.
    other: &'static str,
    other_name: &'static str,
    change: String,
}

#[derive(Template)]
#[template(path = "index.html")]
struct IndexPage<'a> {
    base: &'a str,
    frame: Frame,
    example: &'static str,
}

#[derive(Template)]
#[template(path = "order.html")]
struct OrderPage<'a> {
    base: &'a str,
    frame: Frame,
    order: &'a Details,
    currency: Currency<'a>,
    /// The currency, or what stands for one that is not known.
    unit: String,
    placed: String,
    paid: String,
}

/// Every answer that is not an order; each offers the search form again.
#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage<'a> {
    base: &'a str,
    frame: Frame,
    status: StatusCode,
    title: &'static str,
    text: String,
    advice: &'static str,
    /// When the database was asked; empty if it was not.
    asked: String,
    /// What the search form is filled with, so that a slip can be mended in place.
    uid: &'a str,
}

/// Makes the pages. Their links begin with the path under which people see the site.
#[derive(Debug, Clone, Default)]
pub struct Pages {
    base_path: Arc<str>,
    language: Language,
    /// Bounds how often a document that cannot be read is logged.
    unreadable: Arc<LogLimit>,
}

impl Pages {
    /// `base_path` is empty, or begins with a slash and does not end with one.
    #[must_use]
    pub fn new(base_path: &str) -> Self {
        Self { base_path: base_path.into(), ..Self::default() }
    }

    /// The same in the language of who sent these headers.
    #[must_use]
    pub fn to(&self, headers: &HeaderMap) -> Self {
        Self { language: Language::of(headers), ..self.clone() }
    }

    /// The page with the search form alone, at `/`.
    #[must_use]
    pub fn index(&self) -> Response {
        let page = IndexPage { base: &self.base_path, frame: self.frame(""), example: EXAMPLE_UID };
        self.answer(StatusCode::OK, &page, &HeaderValue::from_static("no-cache"))
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
        let texts = self.language.texts();
        let currency = Currency::new(&order.payment.currency);
        let page = OrderPage {
            base: &self.base_path,
            frame: self.frame(&order.order_uid),
            currency,
            unit: currency.unit(texts.minor_units_of),
            placed: moment::from_rfc3339(&order.date_created, &texts.months),
            paid: moment::from_unix(order.payment.payment_dt, &texts.months),
            order: &order,
        };
        self.answer(StatusCode::OK, &page, cache_control)
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
        let texts = self.language.texts();
        let asked = format!("{} {}.", texts.asked_at, moment::now(&texts.months));
        let page = self.page(StatusCode::NOT_FOUND, &texts.no_such_order, uid, uid);
        self.message(&MessagePage { asked, ..page })
    }

    /// 503: Postgres could not be asked, so "no such order" would be a guess.
    #[must_use]
    pub fn cannot_tell(&self, uid: &str, retry_after_seconds: u32) -> Response {
        let wait = retry_after_seconds.max(1).to_string();
        let message = &self.language.texts().cannot_tell;
        let page = self.page(StatusCode::SERVICE_UNAVAILABLE, message, &wait, uid);
        let mut response = self.message(&page);
        response.headers_mut().insert(header::RETRY_AFTER, retry_after_seconds.into());
        response
    }

    /// 400: `typed` stands in place of the id and cannot be one.
    #[must_use]
    pub fn bad_uid(&self, invalid: &InvalidUid, typed: &str) -> Response {
        let texts = self.language.texts();
        let end = typed.char_indices().nth(MOST_TYPED).map_or(typed.len(), |(at, _)| at);
        let why = (texts.why_not)(invalid);
        self.message(&self.page(StatusCode::BAD_REQUEST, &texts.not_an_id, &why, &typed[..end]))
    }

    /// 404: nothing is served at this address.
    #[must_use]
    pub fn unknown_address(&self) -> Response {
        let message = &self.language.texts().no_such_page;
        self.message(&self.page(StatusCode::NOT_FOUND, message, "", ""))
    }

    /// 405; `allow` lists the methods that are, as in `GET, HEAD`.
    #[must_use]
    pub fn method_not_allowed(&self, allow: &'static str) -> Response {
        let message = &self.language.texts().method;
        let page = self.page(StatusCode::METHOD_NOT_ALLOWED, message, allow, "");
        let mut response = self.message(&page);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
        response
    }

    /// 500: a fault of ours, told in the log and not to the reader.
    #[must_use]
    pub fn internal(&self) -> Response {
        let message = &self.language.texts().internal;
        self.message(&self.page(StatusCode::INTERNAL_SERVER_ERROR, message, "", ""))
    }

    /// Of a page that may be about an id, or what was typed for one: a change of language keeps it.
    fn frame(&self, uid: &str) -> Frame {
        let (language, other) = (self.language, self.language.other());
        let page = match uid {
            "" => "/?".to_owned(),
            uid => format!("/orders?uid={}&", utf8_percent_encode(uid, NON_ALPHANUMERIC)),
        };
        Frame {
            language: language.tag(),
            texts: language.texts(),
            other: other.tag(),
            other_name: other.texts().language,
            change: format!("{}{page}lang={}", self.base_path, other.tag()),
        }
    }

    fn page<'a>(
        &'a self,
        status: StatusCode,
        message: &Message,
        about: &str,
        uid: &'a str,
    ) -> MessagePage<'a> {
        MessagePage {
            base: &self.base_path,
            frame: self.frame(uid),
            status,
            title: message.title,
            text: (message.text)(about),
            advice: message.advice,
            asked: String::new(),
            uid,
        }
    }

    fn message(&self, page: &MessagePage<'_>) -> Response {
        self.answer(page.status, page, &HeaderValue::from_static("no-store"))
    }

    fn answer(&self, status: StatusCode, page: &impl Template, cache: &HeaderValue) -> Response {
        let mut response = html(status, page, cache);
        let headers = response.headers_mut();
        let language = HeaderValue::from_static(self.language.tag());
        headers.insert(header::CONTENT_LANGUAGE, language);
        headers.insert(header::VARY, HeaderValue::from_static("accept-language, cookie"));
        response
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::texts::ENGLISH;
    use super::*;
    use crate::http::site::transcript;

    const MODEL: &[u8] = include_bytes!("../../../data/model.json");
    const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("private, no-cache");

    fn pages() -> Pages {
        Pages::default()
    }

    /// The page with the moment left out at which the database was asked.
    fn without_now(page: &str) -> String {
        let Some((before, rest)) = page.split_once(ENGLISH.asked_at) else { return page.into() };
        let (_, after) = rest.split_once(" UTC").unwrap();
        format!("{before}{} […]{after}", ENGLISH.asked_at)
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
            ("cannot_tell", pages().cannot_tell("b563feb7b2b84b6test", 2)),
            (
                "bad_uid",
                pages().bad_uid(&InvalidUid::Character { character: '<', position: 3 }, "ab<"),
            ),
            ("unknown_address", pages().unknown_address()),
            ("method_not_allowed", pages().method_not_allowed("GET, HEAD")),
            ("internal", pages().internal()),
        ];
        for (name, page) in pages {
            insta::assert_snapshot!(name, without_now(&transcript(page)));
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

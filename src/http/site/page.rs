//! The page for people: a search form, one order laid out to read and print, and what to say when
//! there is none. In the language of the reader.

mod language;
mod moment;
mod money;
#[cfg(test)]
mod tests;
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
use self::moment::Moment;
use self::money::Currency;
use self::texts::{Message, Texts};
pub(super) use self::typed::uid as typed_uid;
use super::view::View;
use crate::config::Amounts;
use crate::http::guard::{RETRY_AFTER, Refusal};
use crate::http::html::{OWN_SCRIPTS, html};
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
    /// How the amounts are read, where the unit does not say it.
    note: Option<&'static str>,
    /// That the personal fields are masked, where they are.
    masked: Option<&'static str>,
    placed: Moment,
    paid: Moment,
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
    /// When the database was asked, if it was.
    asked: Option<Moment>,
    /// What the search form is filled with, so that a slip can be mended in place.
    uid: &'a str,
}

/// Makes the pages. Their links begin with the path under which people see the site.
#[derive(Debug, Clone, Default)]
pub struct Pages {
    base_path: Arc<str>,
    amounts: Amounts,
    language: Language,
    /// Bounds how often a document that cannot be read is logged.
    unreadable: Arc<LogLimit>,
}

impl Pages {
    /// `base_path` is empty, or begins with a slash and does not end with one; `amounts` is how
    /// those of orders are read.
    #[must_use]
    pub fn new(base_path: &str, amounts: Amounts) -> Self {
        Self { base_path: base_path.into(), amounts, ..Self::default() }
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
        self.order_in(View::Full, document, cache_control)
    }

    /// The same, as much of it as `view` shows.
    pub(super) fn order_in(
        &self,
        view: View,
        document: &[u8],
        cache_control: &HeaderValue,
    ) -> Response {
        let order: Details = match serde_json::from_slice(document) {
            Ok(order) => order,
            Err(error) => {
                self.log_unreadable(&error);
                return self.internal();
            }
        };
        let order = if view == View::Masked { order.masked() } else { order };
        let texts = self.language.texts();
        let currency = Currency::new(&order.payment.currency, self.amounts);
        let page = OrderPage {
            base: &self.base_path,
            frame: self.frame(&order.order_uid),
            currency,
            unit: currency.unit(texts),
            note: currency.note(texts),
            masked: (view == View::Masked).then_some(texts.masked),
            placed: Moment::from_rfc3339(&order.date_created, &texts.months),
            paid: Moment::from_unix(order.payment.payment_dt, &texts.months),
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
        let asked = Some(Moment::now(&texts.months));
        let page = self.page(StatusCode::NOT_FOUND, &texts.no_such_order, uid, uid);
        self.message(&MessagePage { asked, ..page })
    }

    /// 410: the order was erased, and will not come back.
    #[must_use]
    pub fn erased(&self, uid: &str) -> Response {
        let message = &self.language.texts().erased;
        self.message(&self.page(StatusCode::GONE, message, uid, uid))
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

    /// 401, 403 or 503: the request has no token that lets orders be seen, or none that can be
    /// verified now.
    pub(super) fn refused(&self, refusal: Refusal) -> Response {
        let (texts, wait) = (self.language.texts(), RETRY_AFTER.to_string());
        let (status, message) = match refusal {
            Refusal::Missing => (StatusCode::UNAUTHORIZED, &texts.no_token),
            Refusal::Invalid => (StatusCode::UNAUTHORIZED, &texts.bad_token),
            Refusal::Insufficient(_) => (StatusCode::FORBIDDEN, &texts.not_allowed),
            Refusal::Unverifiable => (StatusCode::SERVICE_UNAVAILABLE, &texts.cannot_verify),
        };
        let mut response = self.message(&self.page(status, message, &wait, ""));
        match refusal.problem().challenge() {
            Some(challenge) => response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge),
            None => response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER.into()),
        };
        response
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
            asked: None,
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
        let policy = HeaderValue::from_static(OWN_SCRIPTS);
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        headers.insert(header::VARY, HeaderValue::from_static("accept-language, cookie"));
        response
    }
}

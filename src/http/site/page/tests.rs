//! The pages as their readers get them.

use serde_json::Value;

use super::texts::ENGLISH;
use super::*;
use crate::access::Scope;
use crate::http::site::transcript;

const MODEL: &[u8] = include_bytes!("../../../../data/model.json");
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("private, no-cache");

fn pages() -> Pages {
    Pages::default()
}

/// The page with the moment left out at which the database was asked.
fn without_now(page: &str) -> String {
    let Some((before, rest)) = page.split_once(ENGLISH.asked_at) else { return page.into() };
    let (_, after) = rest.split_once(" UTC").unwrap();
    format!("{before}{} […] UTC{after}", ENGLISH.asked_at)
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
fn the_page_says_how_it_reads_amounts() {
    for (amounts, amount, note) in [
        (Amounts::Minor, "18.17", ENGLISH.payment.read_as_minor_units),
        (Amounts::Major, "1\u{202f}817", ENGLISH.payment.read_as_major_units),
    ] {
        let page = transcript(Pages::new("", amounts).order(MODEL, &CACHE_CONTROL));
        let shown = format!("<strong class=\"number\">{amount}</strong> ");
        assert!(page.contains(&shown), "{page}");
        assert_eq!(page.matches(note).count(), 1, "{page}");
    }
}

#[test]
fn every_other_page_says_what_is_the_matter() {
    let pages = [
        ("index", pages().index()),
        ("not_found", pages().not_found("b563feb7b2b84b6test")),
        ("erased", pages().erased("b563feb7b2b84b6test")),
        ("cannot_tell", pages().cannot_tell("b563feb7b2b84b6test", 2)),
        ("bad_uid", pages().bad_uid(&InvalidUid::Character { character: '<', position: 3 }, "ab<")),
        ("unknown_address", pages().unknown_address()),
        ("method_not_allowed", pages().method_not_allowed("GET, HEAD")),
        ("internal", pages().internal()),
        ("no_token", pages().refused(Refusal::Missing)),
        ("bad_token", pages().refused(Refusal::Invalid)),
        ("not_allowed", pages().refused(Refusal::Insufficient(&[Scope::OrdersRead]))),
        ("cannot_verify", pages().refused(Refusal::Unverifiable)),
    ];
    for (name, page) in pages {
        insta::assert_snapshot!(name, without_now(&transcript(page)));
    }
}

#[test]
fn a_masked_page_has_nothing_that_is_personal_and_says_so() {
    for (pages, says) in [
        (pages(), "Personal fields are masked"),
        (Pages { language: Language::from_tag("ru").unwrap(), ..pages() }, "Личные данные скрыты"),
    ] {
        let full = transcript(pages.order(MODEL, &CACHE_CONTROL));
        let masked = transcript(pages.order_in(View::Masked, MODEL, &CACHE_CONTROL));
        for personal in
            ["Test Testov", "+9720000000", "2639809", "Ploshad Mira 15", "test@gmail.com"]
        {
            assert!(!masked.contains(personal), "{personal}");
            let escaped = personal.replace('+', "&#43;");
            assert!(full.contains(personal) || full.contains(&escaped), "{personal}");
        }
        assert!(masked.contains(says) && !full.contains(says));
        assert!(masked.contains("Kiryat Mozkin") && masked.contains("b563feb7b2b84b6test"));
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
    while let Some((before, isolated)) = rest.split_once("<bdi") {
        outside += before;
        rest = isolated.split_once("</bdi>").unwrap().1;
    }
    outside += rest;
    assert!(page.matches(override_rtl).count() > 20);
    assert!(!outside.contains(override_rtl), "{outside}");
}

#[test]
fn every_page_is_whole_without_inline_scripts_and_strangers() {
    for page in [pages().order(MODEL, &CACHE_CONTROL), pages().index(), pages().not_found("x")] {
        let page = transcript(page);
        for word in ["javascript:", " style=", "<style", "http:", "https:", "//"] {
            assert!(!page.contains(word), "{word} in {page}");
        }
        let own = "<script src=\"/static/page.js\" type=\"module\"></script>";
        assert_eq!(page.matches("<script").count(), page.matches(own).count(), "{page}");
        assert!(page.contains("action=\"/orders\""));
    }
}

#[test]
fn every_link_begins_with_the_base_path() {
    let pages = Pages::new("/shop/way-bill", Amounts::Minor);
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

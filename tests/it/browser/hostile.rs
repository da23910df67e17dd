//! Orders whose contents try to run, to break out of their place, or to turn the text around.

use bytes::Bytes;
use serde_json::{Value, json};

use super::at;
use super::driver::Browser;
use super::layout::{OVERFLOWING, SIZES};
use crate::service::{MODEL, Replica, World};

const HEBREW: &str = "משלוח 123 לקוח";

/// Contents that would set `window.ran` if a browser took them for code.
const CODE: [&str; 6] = [
    "<script>window.ran = 1; alert(1)</script>",
    "</dd></dl></main><img src=x onerror=\"window.ran = 1; alert(2)\">",
    "\" autofocus onfocus=\"window.ran = 1; alert(3)\" x=\"",
    "<svg/onload='window.ran=1;alert(4)'><iframe srcdoc='<script>top.ran=1</script>'>",
    "</title><script>window.ran=1</script><meta http-equiv=refresh content=0;url=/nowhere>",
    "<style>body{display:none}</style><a href=\"javascript:window.ran=1\">here</a>{{7*7}}",
];

/// The model with contents of this kind in every text that may hold any.
fn order(uid: &str, contents: impl Fn(usize) -> String) -> Bytes {
    let mut order: Value = serde_json::from_slice(MODEL).expect("JSON");
    let mut count = 0;
    fill(&mut order, &mut || {
        count += 1;
        contents(count)
    });
    for (place, value) in [
        ("/order_uid", json!(uid)),
        ("/date_created", json!("2021-11-26T06:22:19Z")),
        ("/payment/currency", json!("USD")),
    ] {
        *order.pointer_mut(place).expect(place) = value;
    }
    order.to_string().into()
}

fn fill(value: &mut Value, next: &mut impl FnMut() -> String) {
    match value {
        Value::String(text) => *text = next(),
        Value::Array(list) => list.iter_mut().for_each(|value| fill(value, next)),
        Value::Object(map) => map.values_mut().for_each(|value| fill(value, next)),
        _ => {}
    }
}

fn orders() -> Vec<(&'static str, Bytes)> {
    let controls = "\u{1}\u{7}\u{8}\u{1b}[31m\u{7f}\u{85}\u{feff}\r\n\t\u{fffe}";
    vec![
        ("code", order("code", |n| CODE[n % CODE.len()].to_owned())),
        ("long", order("long", |n| ["Wäyb1ll", "m", "王", "🚚"][n % 4].repeat(400))),
        ("hebrew", order("hebrew", |_| HEBREW.to_owned())),
        ("overrides", order("overrides", |n| format!("{n}\u{202e}\u{2067}{HEBREW} gnp.exe"))),
        ("controls", order("controls", |n| format!("{controls}{n}"))),
    ]
}

async fn with_hostile_orders() -> (World, Replica) {
    let world = World::new().await;
    let replica = world.serve("hostile-pages").await;
    world.publish_raw(orders().into_iter().map(|(_, order)| order)).await;
    world.until_drained().await;
    (world, replica)
}

#[tokio::test]
async fn hostile_contents_neither_run_nor_overflow() {
    let ((_world, replica), browser) = tokio::join!(with_hostile_orders(), Browser::open());
    for (uid, _) in orders() {
        for (width, height, scale) in SIZES {
            browser.resize(width, height, scale).await;
            let status = browser.goto(&at(&replica, &format!("/orders/{uid}"))).await;
            assert_eq!(status, 200, "{uid}");
            assert_eq!(browser.run(OVERFLOWING).await, json!([]), "{uid} at {width} px");
        }
        // A dialog would have refused these commands.
        assert_eq!(browser.run("return window.ran === undefined").await, true, "{uid}");
        let foreign = "return document.querySelectorAll('main :is(script, img, svg, iframe, style, \
            meta, [onerror], [onload], [onfocus], [href^=\"javascript\"])').length";
        assert_eq!(browser.run(foreign).await, 0, "{uid}");
        assert_eq!(browser.console().await, Vec::<String>::new(), "{uid}: nothing was even tried");
    }

    // The text itself is shown as it is.
    browser.goto(&at(&replica, "/orders/code")).await;
    let text = browser.run("return document.querySelector('article').textContent").await;
    let text = text.as_str().expect("a text");
    for code in CODE {
        assert!(text.contains(code), "{code}: {text}");
    }
    for path in ["/orders?uid=%3Cscript%3Ewindow.ran%3D1%3C%2Fscript%3E", "/orders/%22%3E%3Cb%3E"] {
        assert_eq!(browser.goto(&at(&replica, path)).await, 400, "{path}");
        assert_eq!(browser.run("return window.ran === undefined").await, true, "{path}");
        assert_eq!(browser.run("return document.querySelectorAll('main b').length").await, 0);
    }
}

#[tokio::test]
async fn text_from_right_to_left_keeps_to_its_place() {
    let ((_world, replica), browser) = tokio::join!(with_hostile_orders(), Browser::open());
    // Every piece of text of a sender, what isolates it, and its direction.
    let texts = "
        const walker = document.createTreeWalker(document.querySelector('article'), 4);
        const found = [];
        while (walker.nextNode()) {
            if (!/[\\u0590-\\u05ff]/.test(walker.currentNode.data)) continue;
            const style = getComputedStyle(walker.currentNode.parentElement);
            found.push([style.unicodeBidi, style.direction]);
        }
        return found;
    ";
    for uid in ["hebrew", "overrides"] {
        browser.goto(&at(&replica, &format!("/orders/{uid}"))).await;
        let found = browser.run(texts).await;
        let found = found.as_array().expect("a list");
        assert!(found.len() > 15, "{uid}: {found:?}");
        for text in found {
            assert!(text[0].as_str().expect("a text").starts_with("isolate"), "{uid}: {text}");
            assert_eq!(text[1], "rtl", "{uid}");
        }
        assert_eq!(browser.run("return getComputedStyle(document.body).direction").await, "ltr");
        let labels_lead = "return [...document.querySelectorAll('article dl > div')].every(row => \
            row.children[0].getBoundingClientRect().left <= row.children[1].getBoundingClientRect().left)";
        assert_eq!(browser.run(labels_lead).await, true, "{uid}");
    }
}

//! What axe-core finds.

use std::fs;

use bytes::Bytes;
use serde_json::{Value, json};

use super::driver::Browser;
use super::layout::OVERFLOWING;
use super::{at, with_the_model};
use crate::service::MODEL_UID;

/// What axe-core finds fault with on the page that is shown, in light and in dark colours; nothing
/// if all is well.
pub(super) async fn findings(browser: &Browser) -> String {
    let axe = fs::read_to_string(testbed::axe_core().expect("axe-core")).expect("axe-core");
    // Its own end assigns to `window`, if there is no `module`.
    browser.run(&axe).await;
    let mut found = Vec::new();
    for colours in ["light", "dark"] {
        browser.show_as("screen", colours).await;
        let result = browser.run("return axe.run()").await;
        let list = |name: &str| result[name].as_array().expect("a list").clone();
        assert!(list("passes").len() > 15, "{result:#}");
        found.extend(list("violations").iter().map(|violation| tell(colours, violation)));
    }
    found.join("\n")
}

fn tell(colours: &str, violation: &Value) -> String {
    let nodes = violation["nodes"].as_array().into_iter().flatten();
    let nodes: Vec<_> = nodes.map(|node| node["html"].to_string()).collect();
    format!("{colours}: {} {}", violation["help"], nodes.join(" "))
}

/// Checks pages by their addresses and statuses, on a wide screen and on a narrow one.
async fn check(browser: &Browser, pages: &[(String, u64)]) {
    for (url, status) in pages {
        for width in [1280, 320] {
            browser.resize(width, 800, 1).await;
            assert_eq!(browser.goto(url).await, *status, "{url}");
            assert_eq!(findings(browser).await, "", "{url} at {width} px");
            assert_eq!(browser.run(OVERFLOWING).await, json!([]), "{url} at {width} px");
        }
    }
}

#[tokio::test]
async fn axe_finds_nothing_on_the_pages_of_operators_and_developers() {
    let ((world, replica), browser) = tokio::join!(with_the_model(), Browser::open());
    let no_order = format!("{{\"order_uid\": \"{}\"", "long".repeat(25));
    world.publish_raw([Bytes::from(no_order)]).await;
    world.until_drained().await;
    let reject = replica.admin("/rejects").await.text().to_owned();
    let reject = reject.split("href=\"/rejects/").nth(1).and_then(|rest| rest.split('"').next());
    let reject = format!("/rejects/{}", reject.expect("a reject"));
    let admin = ["/statusz", "/orders", "/rejects", reject.as_str(), "/problems/invalid-limit"];
    let admin = admin.map(|path| (format!("http://{}{path}", replica.admin), 200));
    let site = ["/problems", "/problems/request-body-too-large"];
    let site = site.map(|path| (at(&replica, path), 200));
    check(&browser, &[&admin[..], &site].concat()).await;
}

#[tokio::test]
async fn axe_finds_nothing_on_any_page_in_any_colours_at_any_width() {
    let ((_world, replica), browser) = tokio::join!(with_the_model(), Browser::open());
    let order = format!("/orders/{MODEL_UID}");
    let pages =
        [("/", 200), (order.as_str(), 200), ("/orders/unknown", 404), ("/orders?uid=a+b", 400)];
    let pages = pages.map(|(path, status)| (at(&replica, path), status));
    check(&browser, &pages).await;
    let spoil = "document.querySelector('main').style.color = getComputedStyle(document.body)
        .backgroundColor; document.documentElement.removeAttribute('lang')";
    browser.run(spoil).await;
    let found = findings(&browser).await;
    assert!(found.contains("contrast") && found.contains("lang"), "it would find: {found}");
}

//! What axe-core finds.

use std::fs;

use serde_json::Value;

use super::driver::Browser;
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

#[tokio::test]
async fn axe_finds_nothing_on_any_page_in_any_colours_at_any_width() {
    let ((_world, replica), browser) = tokio::join!(with_the_model(), Browser::open());
    let order = format!("/orders/{MODEL_UID}");
    for (path, status) in
        [("/", 200), (order.as_str(), 200), ("/orders/unknown", 404), ("/orders?uid=a+b", 400)]
    {
        for width in [1280, 320] {
            browser.resize(width, 800, 1).await;
            assert_eq!(browser.goto(&at(&replica, path)).await, status, "{path}");
            assert_eq!(findings(&browser).await, "", "{path} at {width} px");
        }
    }
    let spoil = "document.querySelector('main').style.color = getComputedStyle(document.body)
        .backgroundColor; document.documentElement.removeAttribute('lang')";
    browser.run(spoil).await;
    let found = findings(&browser).await;
    assert!(found.contains("contrast") && found.contains("lang"), "it would find: {found}");
}

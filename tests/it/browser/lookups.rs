//! Orders looked up as a person does.

use bytes::Bytes;
use testbed::{Postgres, eventually};

use super::accessibility::findings;
use super::driver::{Browser, ENTER, TAB};
use super::{at, with_the_model};
use crate::service::{MODEL, MODEL_UID, PATIENCE, World};

/// Whether what has the focus is in the window, and has a line around it.
const FOCUS_IS_VISIBLE: &str = "
    const style = getComputedStyle(document.activeElement);
    const box = document.activeElement.getBoundingClientRect();
    return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2
        && box.width > 0 && box.top >= 0 && box.left >= 0
        && box.bottom <= innerHeight && box.right <= innerWidth;
";

/// Presses Tab until something of this role has the focus, which must be visible all the way.
async fn tab_to(browser: &Browser, role: &str) {
    let mut passed = Vec::new();
    while passed.last().is_none_or(|(last, _): &(String, String)| last != role) {
        assert!(passed.len() < 20, "no {role}, but {passed:?}");
        browser.press([TAB]).await;
        let focused = browser.focused().await;
        assert_eq!(browser.run(FOCUS_IS_VISIBLE).await, true, "{focused:?}");
        assert_ne!(focused.1, "", "a {} without a name", focused.0);
        passed.push(focused);
    }
}

#[tokio::test]
async fn a_keyboard_alone_finds_an_order_and_what_is_none() {
    let ((_world, replica), browser) = tokio::join!(with_the_model(), Browser::open());
    browser.goto(&at(&replica, "/")).await;
    let (role, name) = browser.focused().await;
    assert_eq!(role, "textbox", "typing can begin at once");
    assert_ne!(name, "");
    assert_eq!(browser.run(FOCUS_IS_VISIBLE).await, true);
    browser.press(MODEL_UID.chars().chain([ENTER])).await;
    let order = format!("/orders/{MODEL_UID}");
    assert_eq!(browser.arrives_at(&order).await, 200);
    let text = browser.run("return document.querySelector('main').innerText").await;
    for shown in [MODEL_UID, "Test Testov", "Mascaras", "18.17"] {
        assert!(text.as_str().expect("a text").contains(shown), "{shown}: {text}");
    }

    tab_to(&browser, "textbox").await;
    browser.press("unknown".chars()).await;
    tab_to(&browser, "button").await;
    browser.press([ENTER]).await;
    assert_eq!(browser.arrives_at("/orders/unknown").await, 404);
    let text = browser.run("return document.querySelector('main').innerText").await;
    assert!(text.as_str().expect("a text").contains("unknown"), "{text}");

    // What was typed is kept there, and selected by the Tab that leads to it.
    tab_to(&browser, "textbox").await;
    browser.press(MODEL_UID.chars().chain([ENTER])).await;
    assert_eq!(browser.arrives_at(&order).await, 200);
}

#[tokio::test]
async fn without_postgres_a_known_order_is_shown_and_an_unknown_one_is_no_404() {
    let mut postgres = Postgres::start().await.expect("a Postgres of its own");
    let world = World::on(&postgres).await;
    let replica = world.serve("outage").await;
    world.publish_raw([Bytes::from_static(MODEL)]).await;
    world.until_drained().await;
    postgres.stop().await.expect("stopped");

    let browser = Browser::open().await;
    assert_eq!(browser.goto(&at(&replica, "/orders/unknown")).await, 503);
    assert_eq!(findings(&browser).await, "");
    assert_eq!(
        browser.run("return document.querySelectorAll('form[role=search]').length").await,
        1
    );
    assert_eq!(browser.goto(&at(&replica, &format!("/orders/{MODEL_UID}"))).await, 200);
}

const LANGUAGE: &str = "return document.documentElement.lang";

async fn becomes(browser: &Browser, language: &str) {
    eventually(language, PATIENCE, async || {
        (browser.run(LANGUAGE).await == language).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_language_is_changed_by_a_link_and_kept() {
    let ((_world, replica), browser) = tokio::join!(with_the_model(), Browser::open());
    let order = at(&replica, &format!("/orders/{MODEL_UID}"));
    let change = "document.querySelector('a[hreflang]').click()";
    browser.goto(&order).await;
    assert_eq!(browser.run(LANGUAGE).await, "en");
    let heading = "return document.querySelector('h2').textContent";
    let english = browser.run(heading).await;

    browser.run(change).await;
    becomes(&browser, "ru").await;
    assert_eq!(browser.arrives_at(&format!("/orders/{MODEL_UID}")).await, 200, "the same page");
    assert_ne!(browser.run(heading).await, english);
    for path in ["/", "/orders/unknown"] {
        browser.goto(&at(&replica, path)).await;
        assert_eq!(browser.run(LANGUAGE).await, "ru", "{path}");
    }
    browser.run(change).await;
    becomes(&browser, "en").await;
    browser.goto(&order).await;
    assert_eq!(browser.run(heading).await, english);
}

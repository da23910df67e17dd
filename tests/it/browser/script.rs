//! What the page's own script adds, and that nothing but its comfort is missing without it.

use testbed::eventually;

use super::driver::{Browser, ENTER, TAB};
use super::{at, with_the_model};
use crate::service::{MODEL_UID, PATIENCE};

/// The moments of the page and what stands beside each.
const MOMENTS: &str = "
    return [...document.querySelectorAll('time[datetime]')].map(time => [
        time.textContent,
        time.nextElementSibling?.matches('.aside') ? time.nextElementSibling.textContent : '',
    ]);
";

async fn moments(browser: &Browser) -> Vec<(String, String)> {
    let moments: Vec<(String, String)> =
        serde_json::from_value(browser.run(MOMENTS).await).expect("pairs of texts");
    assert!(!moments.is_empty());
    moments
}

#[tokio::test]
async fn moments_are_told_in_the_zone_of_the_reader_beside_those_of_the_order() {
    let ((_world, replica), browser) = tokio::join!(with_the_model(), Browser::open());
    let order = at(&replica, &format!("/orders/{MODEL_UID}"));
    browser.goto(&order).await;
    let sent = moments(&browser).await;
    assert!(
        sent.iter().all(|(time, beside)| time.contains("UTC") && beside.is_empty()),
        "{sent:?}"
    );

    browser.move_to("Asia/Kolkata").await;
    browser.goto(&order).await;
    let told = moments(&browser).await;
    assert_eq!(told.len(), sent.len());
    for ((time, beside), (original, _)) in told.iter().zip(&sent) {
        assert_eq!(beside, &format!(" ({original})"));
        assert!(time.contains("GMT+5:30"), "{time}");
    }
    // date_created of the model is 2021-11-26T06:22:19Z.
    assert!(told[0].0.contains("26 November 2021") && told[0].0.contains("11:52:19"), "{told:?}");
}

/// Tabs to the button that copies, and presses it; what the page then tells.
async fn copy(browser: &Browser) -> String {
    while browser.focused().await.0 != "button"
        || browser.run("return document.activeElement.id").await != "copy-link"
    {
        browser.press([TAB]).await;
    }
    browser.press([ENTER]).await;
    eventually("the page tells", PATIENCE, async || {
        let told = browser.run("return document.getElementById('copy-status').textContent").await;
        told.as_str().filter(|told| !told.is_empty()).map(str::to_owned)
    })
    .await
}

#[tokio::test]
async fn a_button_copies_the_address_of_the_order_and_says_so() {
    let ((_world, replica), browser) = tokio::join!(with_the_model(), Browser::open());
    let order = at(&replica, &format!("/orders/{MODEL_UID}"));
    let answers = [("denied", "The link could not be copied."), ("granted", "The link is copied.")];
    for (state, told) in answers {
        browser.goto(&format!("{order}?from=a-letter#items")).await;
        browser.permit("clipboard-write", state).await;
        assert_eq!(copy(&browser).await, told);
    }
    browser.permit("clipboard-read", "granted").await;
    assert_eq!(browser.run("return navigator.clipboard.readText()").await, order);
}

#[tokio::test]
async fn known_codes_get_their_names_and_amounts_their_unit() {
    let ((_world, replica), browser) = tokio::join!(with_the_model(), Browser::open());
    browser.goto(&at(&replica, &format!("/orders/{MODEL_UID}"))).await;
    let text = browser.run("return document.querySelector('main').innerText").await;
    let text = text.as_str().expect("a text");
    for told in ["USD (US Dollar)", "18.17", "minor units"] {
        assert!(text.contains(told), "{told}: {text}");
    }
}

#[tokio::test]
async fn without_the_script_the_page_shows_the_same_and_the_search_works() {
    let ((_world, replica), browser) = tokio::join!(with_the_model(), Browser::open());
    browser.move_to("Asia/Kolkata").await;
    browser.block("*/static/page.js").await;
    browser.goto(&at(&replica, "/")).await;
    browser.press(MODEL_UID.chars().chain([ENTER])).await;
    assert_eq!(browser.arrives_at(&format!("/orders/{MODEL_UID}")).await, 200);
    let told = moments(&browser).await;
    assert!(
        told.iter().all(|(time, beside)| time.contains("UTC") && beside.is_empty()),
        "{told:?}"
    );
    let button = "return document.getElementById('copy-link').checkVisibility()";
    assert_eq!(browser.run(button).await, false, "a button that does nothing");
}

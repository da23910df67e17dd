//! How the pages are laid out on screens and on paper.

use super::driver::Browser;
use super::{at, with_the_model};
use crate::service::MODEL_UID;

/// What reaches beyond the right or left edge of the window, unless it is hidden on purpose.
pub(super) const OVERFLOWING: &str = "
    const width = document.documentElement.clientWidth;
    const hidden = element => element.closest('thead') && getComputedStyle(
        element.closest('thead')).position === 'absolute';
    const beyond = [...document.body.querySelectorAll('*')].filter(element => {
        const box = element.getBoundingClientRect();
        return (box.right > width + 1 || box.left < -1) && !hidden(element);
    });
    if (document.documentElement.scrollWidth > width) beyond.push(document.documentElement);
    return beyond.map(element => element.outerHTML.slice(0, 100));
";

/// Text that its own box cuts off.
const CUT_OFF: &str = "
    return [...document.querySelectorAll('main *')].filter(element => {
        const style = getComputedStyle(element);
        return style.overflowX !== 'visible' && !element.closest('thead')
            && element.scrollWidth > element.clientWidth + 1;
    }).map(element => element.outerHTML.slice(0, 100));
";

/// Width, height and scale of a window.
pub(super) type Size = (u32, u32, u32);

/// The narrowest telephone; 400 % of a screen of 1280 px; a tablet; a screen.
pub(super) const SIZES: [Size; 4] = [(320, 640, 1), (320, 256, 4), (768, 1024, 1), (1280, 800, 1)];

#[tokio::test]
async fn nothing_scrolls_sideways_on_narrow_screens_or_at_400_percent() {
    let ((_world, replica), browser) = tokio::join!(with_the_model(), Browser::open());
    let order = format!("/orders/{MODEL_UID}");
    for (width, height, scale) in SIZES {
        browser.resize(width, height, scale).await;
        for path in ["/", order.as_str(), "/orders/unknown"] {
            browser.goto(&at(&replica, path)).await;
            let place = format!("{path} at {width} px, scale {scale}");
            let none = serde_json::json!([]);
            assert_eq!(browser.run(OVERFLOWING).await, none, "{place}");
            assert_eq!(browser.run(CUT_OFF).await, none, "{place}");
            let size = "return parseFloat(getComputedStyle(document.body).fontSize)";
            assert_eq!(browser.run(size).await, 16, "text is not made smaller: {place}");
        }
    }
}

/// The brightness of the page behind its text, and of the text, from 0 to 255.
async fn brightness(browser: &Browser) -> (f64, f64) {
    let script = "
        const mean = colour => colour.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0) / 3;
        const style = getComputedStyle(document.body);
        return [mean(style.backgroundColor), mean(style.color)];
    ";
    let both = browser.run(script).await;
    (both[0].as_f64().expect("a number"), both[1].as_f64().expect("a number"))
}

#[tokio::test]
async fn the_page_is_dark_where_the_reader_wants_it_dark_and_light_on_paper() {
    let ((_world, replica), browser) = tokio::join!(with_the_model(), Browser::open());
    browser.goto(&at(&replica, &format!("/orders/{MODEL_UID}"))).await;
    for (media, colours, is_dark) in
        [("screen", "light", false), ("screen", "dark", true), ("print", "dark", false)]
    {
        browser.show_as(media, colours).await;
        let (page, text) = brightness(&browser).await;
        let (dark, bright) = if is_dark { (page, text) } else { (text, page) };
        assert!(dark < 60.0 && bright > 200.0, "{media}, {colours}: {page} behind {text}");
    }
}

#[tokio::test]
async fn an_order_is_printed_on_one_sheet_without_what_is_for_a_screen() {
    let ((_world, replica), browser) = tokio::join!(with_the_model(), Browser::open());
    browser.goto(&at(&replica, &format!("/orders/{MODEL_UID}"))).await;
    for (paper, width, height) in [("A4", 21.0, 29.7), ("Letter", 21.59, 27.94)] {
        let pdf = browser.print(width, height).await;
        let text = String::from_utf8_lossy(&pdf);
        let sheets = text.matches("/Type /Page\n").count();
        assert_eq!(sheets, 1, "{paper}");
    }
    browser.show_as("print", "light").await;
    let shown = "
        return ['form', 'button', 'a[hreflang]', 'article h1', 'article dd'].filter(
            name => document.querySelector(name).checkVisibility());
    ";
    assert_eq!(browser.run(shown).await, serde_json::json!(["article h1", "article dd"]));
}

//! Pictures of the pages, compared with kept ones.
//!
//! `UPDATE_PICTURES=1` writes the kept ones anew.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use super::driver::Browser;
use super::{at, with_the_model};
use crate::service::MODEL_UID;

/// Pictures are compared by the mean colour of squares of this many pixels: letters of another
/// font, or of another way to smooth them, darken a square as much, while an element elsewhere or
/// of another colour does not.
const SQUARE: usize = 40;

/// How far the means of a square may lie apart, from 0 to 255.
const TOLERANCE: f64 = 12.0;

/// The share of squares that may lie further apart: Liberation and Noto in place of `DejaVu` made a
/// difference of 0.045, a card without its frame one of 0.1.
const SHARE: f64 = 0.07;

struct Picture {
    width: usize,
    /// Red, green, blue, row by row.
    pixels: Vec<[u8; 3]>,
}

impl Picture {
    fn read(bytes: &[u8]) -> Self {
        let mut decoder = png::Decoder::new(Cursor::new(bytes));
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().expect("a PNG");
        let mut buffer = vec![0; reader.output_buffer_size().expect("a size")];
        let info = reader.next_frame(&mut buffer).expect("a picture");
        let channels = info.color_type.samples();
        assert!(channels >= 3, "a picture in colours");
        let pixels = buffer.chunks(channels).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        Self { width: info.width as usize, pixels }
    }

    /// The mean colours of its squares.
    fn squares(&self) -> Vec<[f64; 3]> {
        let across = self.width.div_ceil(SQUARE);
        let down = (self.pixels.len() / self.width).div_ceil(SQUARE);
        let mut sums = vec![([0.0; 3], 0.0); across * down];
        for (index, pixel) in self.pixels.iter().enumerate() {
            let (x, y) = (index % self.width, index / self.width);
            let (sum, count) = &mut sums[y / SQUARE * across + x / SQUARE];
            for (sum, value) in sum.iter_mut().zip(pixel) {
                *sum += f64::from(*value);
            }
            *count += 1.0;
        }
        sums.into_iter().map(|(sum, count)| sum.map(|sum| sum / count)).collect()
    }

    /// The share of squares whose colours lie too far apart.
    fn difference(&self, other: &Self) -> f64 {
        let (mine, others) = (self.squares(), other.squares());
        assert_eq!((self.width, mine.len()), (other.width, others.len()), "windows of one size");
        let is_far = |(one, other): &(&[f64; 3], &[f64; 3])| {
            one.iter().zip(*other).any(|(one, other)| (one - other).abs() > TOLERANCE)
        };
        let far = mine.iter().zip(&others).filter(is_far).count();
        let count = |number: usize| f64::from(u32::try_from(number).expect("a small picture"));
        count(far) / count(mine.len())
    }
}

fn kept(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/browser/pictures");
    folder.join(name).with_extension("png")
}

/// Compares the window with the kept picture, or keeps it; then damages the page by a script and
/// checks that this would be noticed.
async fn compare(browser: &Browser, name: &str, damage: &str) {
    let shown = browser.screenshot().await;
    let (kept, seen) = (kept(name), Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
    let seen = seen.with_extension("png");
    fs::write(&seen, &shown).expect("written");
    if std::env::var_os("UPDATE_PICTURES").is_some() {
        fs::write(&kept, &shown).expect("kept");
    }
    let before = fs::read(&kept).unwrap_or_else(|error| panic!("{}: {error}", kept.display()));
    let before = Picture::read(&before);
    let difference = Picture::read(&shown).difference(&before);
    assert!(
        difference <= SHARE,
        "{:.1} % of {} are not as in {}; if they should not be, UPDATE_PICTURES=1 keeps it",
        difference * 100.0,
        seen.display(),
        kept.display(),
    );
    browser.run(damage).await;
    let difference = Picture::read(&browser.screenshot().await).difference(&before);
    assert!(difference > SHARE, "{name}: {damage} makes a difference of {difference} only");
}

#[tokio::test]
async fn the_pages_look_as_they_did() {
    let ((_world, replica), browser) = tokio::join!(with_the_model(), Browser::open());
    browser.resize(1000, 1000, 1).await;
    let order = format!("/orders/{MODEL_UID}");
    for (name, path, damage) in [
        ("search", "/", "document.querySelector('.card').style.background = 'none'"),
        ("order", &order, "document.querySelector('.columns').style.display = 'block'"),
        ("not-found", "/orders/unknown", "document.styleSheets[0].disabled = true"),
    ] {
        browser.goto(&at(&replica, path)).await;
        compare(&browser, name, damage).await;
    }
}
